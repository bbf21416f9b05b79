//! The look-up of a value: which key it belongs to.

use serde::{Deserialize, Serialize};
use tollgate_core::id::{KeyId, PlanId};

/// Which key a value belongs to. The plans are a hint: what to read together with the key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LookupRecord {
    /// The key's id.
    pub key_id: KeyId,
    /// The ids of the key's plans.
    #[serde(default)]
    pub plans: Vec<PlanId>,
    /// From when on the value is forgotten, epoch seconds: a day after a rotation has ended its time. `DynamoDB` deletes the item
    /// some time after that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<i64>,
}
