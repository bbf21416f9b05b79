//! Imports of keys.

use serde::{Deserialize, Serialize};
use tollgate_core::id::KeyId;

/// The answer to `ImportApiKeys`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ApiKeyIds {
    /// The keys' ids, in the order of their rows.
    #[serde(default)]
    pub ids: Vec<KeyId>,
    /// What was left out of the import, and why.
    #[serde(default)]
    pub warnings: Vec<String>,
}
