//! What callers may ask of management, checked before anything is read or written.
//!
//! Drafts hold what a caller sent; checking one gives what the table can hold, or says which rule it breaks. The errors name
//! facts only: each front door finds its own words for them.
//!
//! | module | rules for |
//! |---|---|
//! | [`key`], [`plan`], [`overrides`] | a new key, a plan, a key's own limits: drafts as wholes |
//! | [`plan_edit`] | changes of a plan's stages, one after the other |
//! | [`limits`] | throttles and quotas |
//! | [`methods`] | lists of methods, and what a key is restricted to |
//! | [`text`], [`tags`], [`stage_keys`] | names, descriptions, customer ids, tags, stages that keys name |
//! | [`times`] | expiry, overlap of a rotation, days of a report |
//! | [`remaining`] | what a caller sets as left of a quota |
//! | [`location`] | where in a draft a value stands |

use tollgate_core::key::MalformedKey;

pub mod key;
pub mod limits;
pub mod location;
pub mod methods;
pub mod overrides;
pub mod plan;
pub mod plan_edit;
pub mod remaining;
pub mod stage_keys;
pub mod tags;
pub mod text;
pub mod times;

pub use key::{KeyDraft, value_or_new};
pub use limits::{InvalidSetting, QuotaDraft, QuotaLimit, ThrottleDraft};
pub use location::Location;
pub use methods::{InvalidMethods, MethodLists};
pub use overrides::{InvalidOverride, OverrideDraft};
pub use plan::{InvalidPlan, PlanDraft, StageDraft};
pub use plan_edit::{InvalidEdit, PlanEdit};
pub use remaining::InvalidRemaining;
pub use stage_keys::InvalidStageKeys;
pub use tags::{InvalidTags, Tags};
pub use text::{InvalidText, Resource};
pub use times::InvalidTime;

/// Input that breaks a rule.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Invalid {
    /// A name, a description or a customer id.
    #[error(transparent)]
    Text(#[from] InvalidText),
    /// Tags.
    #[error(transparent)]
    Tags(#[from] InvalidTags),
    /// A key's value.
    #[error(transparent)]
    Value(#[from] MalformedKey),
    /// An expiry, an overlap or a range of days.
    #[error(transparent)]
    Time(#[from] InvalidTime),
    /// The stages that a key names.
    #[error(transparent)]
    StageKeys(#[from] InvalidStageKeys),
    /// A list of methods, or one of its entries.
    #[error(transparent)]
    Methods(#[from] InvalidMethods),
    /// A throttle or a quota.
    #[error(transparent)]
    Setting(#[from] InvalidSetting),
    /// A plan as a whole.
    #[error(transparent)]
    Plan(#[from] InvalidPlan),
    /// A change of a plan's stages.
    #[error(transparent)]
    Edit(#[from] InvalidEdit),
    /// A key's own limits.
    #[error(transparent)]
    Override(#[from] InvalidOverride),
    /// What is left of a quota.
    #[error(transparent)]
    Remaining(#[from] InvalidRemaining),
}
