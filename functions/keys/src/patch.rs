//! Patch operations: which operation may change which path, and what it changes.
//!
//! - [`paths`]: the table of operations and paths; errors list what it allows.
//! - [`stage_path`]: the paths of method throttles, whose parts are escaped.
//! - [`key`], [`plan`]: what operations do to a key and to a plan.

use tollgate_api::{Op, Operation, Patch};

pub mod key;
pub mod paths;
pub mod plan;
pub mod stage_path;

use paths::{InvalidPatch, Paths};

/// Operations that one update can have.
const MAX_OPERATIONS: usize = 10_000;

/// An operation on a path that it may change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The operation.
    pub op: Op,
    /// The path.
    pub path: String,
    /// The new value.
    pub value: Option<String>,
}

impl Change {
    /// The new value; an absent one is the same as an empty one.
    pub fn text(&self) -> &str {
        self.value.as_deref().unwrap_or_default()
    }
}

/// The changes of an update, each on a path that it may change.
///
/// # Errors
/// [`InvalidPatch`], with the operations or paths that are allowed.
pub fn read(patch: Patch, paths: Paths) -> Result<Vec<Change>, InvalidPatch> {
    let operations = patch.patch_operations.unwrap_or_default();
    if operations.len() > MAX_OPERATIONS {
        return Err(InvalidPatch::TooMany {
            max: MAX_OPERATIONS,
            got: operations.len(),
        });
    }
    let changes = operations.into_iter();
    changes.map(|operation| change(operation, paths)).collect()
}

fn change(operation: Operation, paths: Paths) -> Result<Change, InvalidPatch> {
    let name = operation.op.unwrap_or_default();
    let Some(op) = Op::parse(&name) else {
        return Err(InvalidPatch::Op(name));
    };
    let path = operation.path.unwrap_or_default();
    paths.check(op, &path)?;
    Ok(Change {
        op,
        path,
        value: operation.value,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::paths::{API_KEY, USAGE, USAGE_PLAN};
    use super::*;
    use crate::error::ApiError;

    fn read_one(op: &str, path: &str, paths: Paths) -> Result<Change, String> {
        let operation = Operation {
            op: Some(op.to_owned()),
            path: Some(path.to_owned()),
            ..Operation::default()
        };
        change(operation, paths).map_err(|error| ApiError::from(error).to_string())
    }

    #[test]
    fn a_wrong_path_is_answered_with_the_right_ones_in_the_words_of_api_gateway() {
        assert_eq!(
            read_one("replace", "/id", API_KEY).expect_err("invalid"),
            "Invalid patch path  '/id' specified for op 'replace'. \
             Must be one of: [/description, /enabled, /name, /customerId]"
        );
        assert_eq!(
            read_one("remove", "/name", USAGE_PLAN).expect_err("invalid"),
            "Invalid patch path  '/name' specified for op 'remove'. \
             Must be one of: [/apiStages, /quota, /throttle, /productCode, \
             /apiStages/<apidId:stageName>/throttle/<resourcePath>/<httpMethod>, \
             /apiStages/<apidId:stageName>/throttle]"
        );
    }

    #[test]
    fn copy_test_and_move_are_refused() {
        for op in ["copy", "test", "move", "", "ADD"] {
            let error = read_one(op, "/name", USAGE_PLAN).expect_err("invalid");
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
            assert!(read_one("replace", path, USAGE_PLAN).is_ok(), "{path}");
        }
        assert!(read_one("remove", "/apiStages/a:s/throttle/~1pets/GET", USAGE_PLAN).is_ok());
        assert!(read_one("replace", "/apiStages/a:s/throttle/~1pets/GET", USAGE_PLAN).is_err());
        assert!(read_one("add", "/apiStages/a:s/limits", USAGE_PLAN).is_err());
    }

    proptest! {
        #[test]
        fn any_operation_is_taken_as_it_is_or_refused(
            op in "add|replace|remove|\\PC{0,8}",
            path in "(/[a-zA-Z~:{}/]{0,12}|/apiStages/a:s/throttle(/[a-z~01/{}]{0,12})?(/rateLimit)?|\\PC*)",
        ) {
            for paths in [API_KEY, USAGE_PLAN, USAGE] {
                if let Ok(change) = read_one(&op, &path, paths) {
                    prop_assert_eq!(change.op.as_str(), &op);
                    prop_assert_eq!(&change.path, &path);
                }
            }
        }
    }
}
