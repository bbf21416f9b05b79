//! The lookup item of a value, which says which key the value belongs to.

use serde::{Deserialize, Serialize};
use tollgate_core::id::{KeyId, PlanId};

/// The key that a value belongs to. The plans are a hint, so that their meters can be read together with the key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LookupRecord {
    /// The key's id.
    pub key_id: KeyId,
    /// The ids of the key's plans.
    #[serde(default)]
    pub plans: Vec<PlanId>,
    /// When the item expires, epoch seconds: a day after a rotation's overlap ended. `DynamoDB` deletes the item some time
    /// after that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<i64>,
}
