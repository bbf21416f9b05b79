//! Keys as members of a usage plan.

use serde::{Deserialize, Serialize};
use tollgate_core::id::KeyId;

use crate::object::ObjectOnly;
use crate::secret::Secret;

/// The only type of key that a usage plan can have.
pub const API_KEY: &str = "API_KEY";

/// `CreateUsagePlanKey`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, expecting = "a JSON object")]
pub struct CreateUsagePlanKey {
    /// The key's id; required.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_id: Option<KeyId>,
    /// [`API_KEY`]; required.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_type: Option<String>,
    /// Rejects a list in the place of the object.
    #[serde(flatten)]
    pub object: ObjectOnly,
}

/// `UsagePlanKey`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsagePlanKey {
    /// The key's id.
    pub id: KeyId,
    /// [`API_KEY`].
    pub r#type: String,
    /// The key's value, if the server keeps values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Secret>,
    /// The key's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}
