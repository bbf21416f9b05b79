//! The management API's wire types: API Gateway's own shapes for API keys and usage plans, and Tollgate's additions, which
//! API Gateway's clients ignore.
//!
//! Every type is read and written, because servers and clients share them: a request that a client serializes is one that the
//! server reads, and an answer that the server serializes is one that a client reads. Nothing here checks a value; management
//! does.
//!
//! | module | types |
//! |---|---|
//! | [`key`] | an API key, and the request for a new one |
//! | [`overrides`] | the limits that a key has in place of its plan's |
//! | [`plan`], [`limits`] | a usage plan, its API stages, throttles and quota |
//! | [`plan_key`] | a key as a member of a plan |
//! | [`usage`] | requests by key and day |
//! | [`rotation`], [`moves`] | a new value for a key, another plan for a key |
//! | [`capacity`] | what a plan's keys may send together |
//! | [`whoami`] | what a key's holder has left |
//! | [`import`] | the answer to an import of keys |
//! | [`tags`], [`list`], [`patch`], [`error`] | what several resources share: tags, pages, updates, errors |
//! | [`secret`] | a key's value, which no log shows |
//! | `client` | a client of the API, with the feature `client` |
//! | [`object`] | reading JSON objects and nothing else |

pub mod capacity;
#[cfg(feature = "client")]
pub mod client;
pub mod error;
pub mod import;
pub mod key;
pub mod limits;
pub mod list;
pub mod moves;
pub mod object;
pub mod overrides;
pub mod patch;
pub mod plan;
pub mod plan_key;
pub mod rotation;
pub mod secret;
pub mod tags;
pub mod usage;
pub mod whoami;

pub use error::ErrorBody;
pub use key::{ApiKey, CreateApiKey, KeyFields, NewKeyFields};
pub use list::Items;
pub use overrides::KeyOverride;
pub use patch::{Op, Operation, Patch};
pub use plan::{CreateUsagePlan, UsagePlan};
pub use plan_key::{CreateUsagePlanKey, UsagePlanKey};
pub use secret::Secret;
pub use tags::Tags;
pub use usage::Usage;
