//! Tags of keys and plans.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::object::ObjectOnly;

/// Tags by key.
pub type Tags = BTreeMap<String, String>;

/// The body of `TagResource`, and the answer to `GetTags`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(expecting = "a JSON object")]
pub struct TagsBody {
    /// The tags; required in a request.
    #[serde(default)]
    pub tags: Option<Tags>,
    /// Rejects a list in the place of the object.
    #[serde(flatten)]
    pub object: ObjectOnly,
}
