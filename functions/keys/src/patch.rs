//! Patch operations: which operation may touch which path. Errors list what could have been said, from the same table.

use serde::Deserialize;

use crate::error::ApiError;
use crate::wire::{ObjectOnly, bad};

pub mod key;
pub mod plan;

/// Operations of one update at most.
const MOST_OPERATIONS: usize = 10_000;

/// The body of an update.
#[derive(Debug, Default, Deserialize)]
#[serde(expecting = "a JSON object")]
#[serde(rename_all = "camelCase", default)]
pub struct Patch {
    patch_operations: Option<Vec<WireOperation>>,
    #[serde(flatten)]
    _object: ObjectOnly,
}

#[derive(Debug, Default, Deserialize)]
#[serde(expecting = "a JSON object")]
#[serde(default)]
struct WireOperation {
    op: Option<String>,
    path: Option<String>,
    value: Option<String>,
    #[serde(flatten)]
    _object: ObjectOnly,
}

/// One operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// What it does.
    pub op: Op,
    /// What it does it to.
    pub path: String,
    /// The new value.
    pub value: Option<String>,
}

/// What an operation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// Adds, or sets.
    Add,
    /// Sets.
    Replace,
    /// Removes.
    Remove,
}

impl Op {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "add" => Some(Self::Add),
            "replace" => Some(Self::Replace),
            "remove" => Some(Self::Remove),
            _ => None,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Replace => "replace",
            Self::Remove => "remove",
        }
    }
}

/// The paths that each operation may touch. A part in angle brackets stands for any text.
type Table = &'static [(Op, &'static [&'static str])];

/// The paths of a resource.
#[derive(Debug, Clone, Copy)]
pub struct Paths {
    /// API Gateway's: errors list them in its words.
    stock: Table,
    /// Those under [`OWN`].
    own: Table,
}

/// What Tollgate's own paths start with.
const OWN: &str = "/tollgate/";

const KEYS_OWN: &[&str] = &[
    "/tollgate/expiresAt",
    "/tollgate/restriction",
    "/tollgate/overrides/<usagePlanId>",
];
const PLANS_OWN: &[&str] = &["/tollgate/methods/<apiId:stageName>"];

/// Of an API key.
pub const API_KEY: Paths = Paths {
    stock: &[
        (Op::Add, &["/labels", "/stages"]),
        (Op::Remove, &["/labels", "/stages"]),
        (
            Op::Replace,
            &["/description", "/enabled", "/name", "/customerId"],
        ),
    ],
    own: &[
        (Op::Add, KEYS_OWN),
        (Op::Replace, KEYS_OWN),
        (Op::Remove, KEYS_OWN),
    ],
};

/// Of a key's usage.
pub const USAGE: Paths = Paths {
    stock: &[(Op::Replace, &["/remaining"])],
    own: &[],
};

const METHOD: &str = "/apiStages/<apidId:stageName>/throttle/<resourcePath>/<httpMethod>";
const METHOD_RATE: &str =
    "/apiStages/<apidId:stageName>/throttle/<resourcePath>/<httpMethod>/rateLimit";
const METHOD_BURST: &str =
    "/apiStages/<apidId:stageName>/throttle/<resourcePath>/<httpMethod>/burstLimit";
const STAGE_THROTTLE: &str = "/apiStages/<apidId:stageName>/throttle";

/// Of a usage plan.
pub const USAGE_PLAN: Paths = Paths {
    stock: &[
        (
            Op::Add,
            &[
                "/apiStages",
                "/quota/limit",
                "/quota/offset",
                "/quota/period",
                "/throttle/rateLimit",
                "/throttle/burstLimit",
                "/productCode",
                METHOD_RATE,
                METHOD_BURST,
                STAGE_THROTTLE,
            ],
        ),
        (
            Op::Replace,
            &[
                "/name",
                "/description",
                "/productCode",
                "/quota/limit",
                "/quota/offset",
                "/quota/period",
                "/throttle/rateLimit",
                "/throttle/burstLimit",
                METHOD_RATE,
                METHOD_BURST,
                STAGE_THROTTLE,
            ],
        ),
        (
            Op::Remove,
            &[
                "/apiStages",
                "/quota",
                "/throttle",
                "/productCode",
                METHOD,
                STAGE_THROTTLE,
            ],
        ),
    ],
    own: &[
        (Op::Add, PLANS_OWN),
        (Op::Replace, PLANS_OWN),
        (Op::Remove, PLANS_OWN),
    ],
};

impl Patch {
    /// The operations, each on a path that it may touch.
    ///
    /// # Errors
    /// [`ApiError::BadRequest`] with what could have been said.
    pub fn read(self, paths: Paths) -> Result<Vec<Operation>, ApiError> {
        let operations = self.patch_operations.unwrap_or_default();
        if operations.len() > MOST_OPERATIONS {
            return Err(bad(format!(
                "patchOperations: expected at most {MOST_OPERATIONS} operations, got {}",
                operations.len()
            )));
        }
        operations
            .into_iter()
            .map(|operation| operation.read(paths))
            .collect()
    }
}

impl WireOperation {
    fn read(self, paths: Paths) -> Result<Operation, ApiError> {
        let op = self.op.unwrap_or_default();
        let Some(op) = Op::parse(&op) else {
            return Err(bad(format!(
                "Invalid patch operation '{op}' specified. Must be one of: [add, replace, remove]"
            )));
        };
        let path = self.path.unwrap_or_default();
        let table = if path.starts_with(OWN) {
            paths.own
        } else {
            paths.stock
        };
        let allowed = table.iter().find(|(known, _)| *known == op);
        let allowed = allowed.map_or(&[][..], |(_, paths)| *paths);
        if !allowed.iter().any(|pattern| matches(pattern, &path)) {
            return Err(bad(format!(
                "Invalid patch path  '{path}' specified for op '{}'. Must be one of: [{}]",
                op.as_str(),
                allowed.join(", ")
            )));
        }
        Ok(Operation {
            op,
            path,
            value: self.value,
        })
    }
}

/// A resource path may itself have slashes: of a method's path, the stage is the first part and the method the last.
fn matches(pattern: &str, path: &str) -> bool {
    match pattern.split_once('<') {
        None => pattern == path,
        Some((head, _)) if head.starts_with(OWN) => entry(path, head).is_some(),
        Some((head, _)) => {
            let rest = path.strip_prefix(head);
            rest.and_then(plan::StagePath::parse)
                .is_some_and(|stage| stage.pattern() == pattern)
        }
    }
}

/// What `path` names under one of Tollgate's own.
pub fn entry<'a>(path: &'a str, under: &str) -> Option<&'a str> {
    path.strip_prefix(under)
        .filter(|name| !name.is_empty() && !name.contains('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(op: &str, path: &str, paths: Paths) -> Result<Operation, String> {
        let operation = WireOperation {
            op: Some(op.to_owned()),
            path: Some(path.to_owned()),
            ..WireOperation::default()
        };
        operation.read(paths).map_err(|error| error.to_string())
    }

    #[test]
    fn a_wrong_path_is_answered_with_the_right_ones_in_the_words_of_api_gateway() {
        assert_eq!(
            read("replace", "/id", API_KEY).expect_err("invalid"),
            "Invalid patch path  '/id' specified for op 'replace'. \
             Must be one of: [/description, /enabled, /name, /customerId]"
        );
        assert_eq!(
            read("remove", "/name", USAGE_PLAN).expect_err("invalid"),
            "Invalid patch path  '/name' specified for op 'remove'. \
             Must be one of: [/apiStages, /quota, /throttle, /productCode, \
             /apiStages/<apidId:stageName>/throttle/<resourcePath>/<httpMethod>, \
             /apiStages/<apidId:stageName>/throttle]"
        );
    }

    #[test]
    fn copy_test_and_move_are_refused() {
        for op in ["copy", "test", "move", "", "ADD"] {
            let error = read(op, "/name", USAGE_PLAN).expect_err("invalid");
            assert!(error.starts_with("Invalid patch operation"), "{error}");
        }
    }

    #[test]
    fn method_paths_are_taken_escaped_and_raw() {
        for path in [
            "/apiStages/a:s/throttle/~1pets~1{id}/GET/rateLimit",
            "/apiStages/a:s/throttle//pets/{id}/GET/rateLimit",
            "/apiStages/a:$default/throttle///GET/rateLimit",
        ] {
            assert!(read("replace", path, USAGE_PLAN).is_ok(), "{path}");
        }
        assert!(read("remove", "/apiStages/a:s/throttle/~1pets/GET", USAGE_PLAN).is_ok());
        assert!(read("replace", "/apiStages/a:s/throttle/~1pets/GET", USAGE_PLAN).is_err());
        assert!(read("add", "/apiStages/a:s/limits", USAGE_PLAN).is_err());
    }
}
