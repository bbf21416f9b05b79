//! Pages of lists.

use serde::{Deserialize, Serialize};

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Items<T> {
    /// The entries. The member is present even if there are none.
    #[serde(default = "Vec::new")]
    pub item: Vec<T>,
    /// The start of the next page; absent on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<String>,
}
