//! Updates: patch operations, as API Gateway takes them.

use serde::{Deserialize, Serialize};

use crate::object::ObjectOnly;

/// The body of an update.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, expecting = "a JSON object")]
pub struct Patch {
    /// The operations. The server carries out all of them or none.
    pub patch_operations: Option<Vec<Operation>>,
    /// Rejects a list in the place of the object.
    #[serde(flatten)]
    pub object: ObjectOnly,
}

impl Patch {
    /// The update that makes these operations.
    pub fn of(operations: Vec<Operation>) -> Self {
        Self {
            patch_operations: Some(operations),
            object: ObjectOnly {},
        }
    }
}

/// One operation. Its members are texts of any content, because the server answers wrong ones with the right ones.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, expecting = "a JSON object")]
pub struct Operation {
    /// The name of an [`Op`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub op: Option<String>,
    /// The part of the resource that it changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The new value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Rejects a list in the place of the object.
    #[serde(flatten)]
    pub object: ObjectOnly,
}

impl Operation {
    /// The operation `op` on `path`, with its value if it has one.
    pub fn new(op: Op, path: impl Into<String>, value: Option<String>) -> Self {
        Self {
            op: Some(op.as_str().to_owned()),
            path: Some(path.into()),
            value,
            object: ObjectOnly {},
        }
    }
}

/// What an operation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Op {
    /// Adds an entry, or sets a value.
    Add,
    /// Sets a value.
    Replace,
    /// Removes an entry or a value.
    Remove,
}

impl Op {
    /// The operation of this name, if there is one.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "add" => Some(Self::Add),
            "replace" => Some(Self::Replace),
            "remove" => Some(Self::Remove),
            _ => None,
        }
    }

    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Replace => "replace",
            Self::Remove => "remove",
        }
    }
}
