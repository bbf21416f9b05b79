//! Bodies of PATCH requests.

use std::fmt::Display;

use serde_json::{Value, json};

/// One operation of a PATCH.
#[derive(Debug)]
pub(crate) struct Change {
    op: &'static str,
    path: String,
    value: Option<String>,
}

/// The body of a PATCH with these operations.
pub(crate) fn body(changes: &[Change]) -> Value {
    let operations: Vec<_> = changes.iter().map(Change::to_json).collect();
    json!({ "patchOperations": operations })
}

impl Change {
    pub(crate) fn replace(path: impl Into<String>, value: impl Display) -> Self {
        Self::new("replace", path, Some(value.to_string()))
    }

    pub(crate) fn add(path: impl Into<String>, value: impl Display) -> Self {
        Self::new("add", path, Some(value.to_string()))
    }

    /// Removes a field.
    pub(crate) fn remove(path: impl Into<String>) -> Self {
        Self::new("remove", path, None)
    }

    /// Removes one entry from a list.
    pub(crate) fn remove_entry(path: impl Into<String>, entry: impl Display) -> Self {
        Self::new("remove", path, Some(entry.to_string()))
    }

    fn new(op: &'static str, path: impl Into<String>, value: Option<String>) -> Self {
        Self {
            op,
            path: path.into(),
            value,
        }
    }

    fn to_json(&self) -> Value {
        let mut operation = json!({ "op": self.op, "path": self.path });
        if let Some(value) = &self.value {
            operation["value"] = json!(value);
        }
        operation
    }
}
