//! Rotations: a new value for a key. API Gateway has none; this is Tollgate's own.

use serde::{Deserialize, Serialize};

use crate::object::ObjectOnly;
use crate::secret::Secret;

/// The request for a new value. The answer is the [`ApiKey`](crate::ApiKey) with that value.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, expecting = "a JSON object")]
pub struct CreateRotation {
    /// The new value; without one, the server generates it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Secret>,
    /// Seconds for which the old value stays valid; required, 0 ends it at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overlap_seconds: Option<i64>,
    /// Rejects a list in the place of the object.
    #[serde(flatten)]
    pub object: ObjectOnly,
}
