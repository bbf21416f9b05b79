//! The look-up of a value: which key it belongs to.

use serde::{Deserialize, Serialize};
use tollgate_core::key::KeyHash;

use super::ItemKey;

/// Which key a value belongs to. The plans are a hint: what to read together with the key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HashRecord {
    /// The key's id.
    pub key_id: String,
    /// The ids of the key's plans.
    #[serde(default)]
    pub plans: Vec<String>,
    /// From when on the value is forgotten, epoch seconds: a day after a rotation has ended its time. `DynamoDB` deletes the item
    /// some time after that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<i64>,
}

impl HashRecord {
    /// Where the record of `hash` is found.
    pub fn item_key(hash: &KeyHash) -> ItemKey {
        ItemKey::hash(&hash.to_string())
    }
}
