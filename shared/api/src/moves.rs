//! Moves of a key to another plan. With API Gateway a key leaves one plan and joins another, and its usage starts again; a move
//! can carry the usage along.

use serde::{Deserialize, Serialize};
use tollgate_core::id::PlanId;

use crate::object::ObjectOnly;

/// The request for a move. The answer is the [`ApiKey`](crate::ApiKey).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, expecting = "a JSON object")]
pub struct CreateMove {
    /// The plan that the key leaves; required.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_usage_plan_id: Option<PlanId>,
    /// The plan that the key joins; required.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to_usage_plan_id: Option<PlanId>,
    /// [`CARRY`] or [`CLEAR`], for the part of the quota that the key has used; required.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<String>,
    /// Rejects a list in the place of the object.
    #[serde(flatten)]
    pub object: ObjectOnly,
}

/// The used part of the quota counts in the new plan too.
pub const CARRY: &str = "carry";
/// The quota of the new plan starts unused.
pub const CLEAR: &str = "clear";
