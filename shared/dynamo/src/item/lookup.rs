//! The lookup item of a value, which says which key the value belongs to.

use serde::{Deserialize, Serialize};
use tollgate_core::id::{KeyId, PlanId};
use tollgate_core::key::KeyHash;

use super::key::KeyRecord;
use super::{Item, ItemKey, to_item};

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

impl LookupRecord {
    /// The item that leads from a value of `key`, by its hash, to the key.
    pub fn item(key: &KeyRecord, hash: &KeyHash) -> Item {
        let lookup = Self {
            key_id: key.id.clone(),
            plans: key.plans.clone(),
            ttl: None,
        };
        to_item(&ItemKey::hash(hash), &lookup)
    }
}
