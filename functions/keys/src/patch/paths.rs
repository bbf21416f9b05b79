//! The table of operations and the paths that they may change. Errors list the paths from it.

use tollgate_api::Op;

use super::stage_path::{METHOD, METHOD_BURST, METHOD_RATE, STAGE_THROTTLE, StagePath};

/// An update that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPatch {
    /// Too many operations.
    #[error("an update can have {max} operations, got {got}")]
    TooMany {
        /// Operations that it can have.
        max: usize,
        /// Operations that it has.
        got: usize,
    },
    /// An operation that there is not.
    #[error("unknown operation {0:?}")]
    Op(String),
    /// A path that the operation may not change.
    #[error("{path:?} is not one of the paths that an operation can {}: {}", .op.as_str(), .allowed.join(", "))]
    Path {
        /// The operation.
        op: Op,
        /// The path.
        path: String,
        /// The paths that it may change.
        allowed: &'static [&'static str],
    },
}

/// The paths that each operation may change. A part in angle brackets stands for any text.
type Table = &'static [(Op, &'static [&'static str])];

/// The paths of a resource.
#[derive(Debug, Clone, Copy)]
pub struct Paths {
    /// API Gateway's, in the order in which it lists them.
    stock: Table,
    /// Tollgate's own.
    own: Table,
}

/// The start of Tollgate's own paths.
const OWN: &str = "/tollgate/";

/// When a key expires.
pub(super) const EXPIRES_AT: &str = "/tollgate/expiresAt";
/// What a key is restricted to.
pub(super) const RESTRICTION: &str = "/tollgate/restriction";
/// The start of a path to a key's own limits under one plan.
pub(super) const OVERRIDES: &str = "/tollgate/overrides/";
/// The start of a path to the open methods of one stage.
pub(super) const METHODS: &str = "/tollgate/methods/";

const KEYS_OWN: &[&str] = &[EXPIRES_AT, RESTRICTION, "/tollgate/overrides/<usagePlanId>"];
const PLANS_OWN: &[&str] = &["/tollgate/methods/<apiId:stageName>"];

/// The paths of an API key.
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

/// The paths of a key's usage.
pub const USAGE: Paths = Paths {
    stock: &[(Op::Replace, &["/remaining"])],
    own: &[],
};

/// The paths of a usage plan.
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

impl Paths {
    /// Checks that `op` may change `path`.
    pub(super) fn check(self, op: Op, path: &str) -> Result<(), InvalidPatch> {
        let table = if path.starts_with(OWN) {
            self.own
        } else {
            self.stock
        };
        let row = table.iter().find(|(known, _)| *known == op);
        let allowed = row.map_or(&[][..], |(_, patterns)| *patterns);
        if allowed.iter().any(|pattern| matches(pattern, path)) {
            return Ok(());
        }
        Err(InvalidPatch::Path {
            op,
            path: path.to_owned(),
            allowed,
        })
    }
}

/// Whether a path is one that a pattern stands for.
fn matches(pattern: &str, path: &str) -> bool {
    match pattern.split_once('<') {
        None => pattern == path,
        Some((head, _)) if head.starts_with(OWN) => entry(path, head).is_some(),
        Some(_) => StagePath::parse(path).is_some_and(|stage| stage.pattern() == pattern),
    }
}

/// The entry that `path` names under `parent`, one of Tollgate's own paths.
pub(super) fn entry<'a>(path: &'a str, parent: &str) -> Option<&'a str> {
    path.strip_prefix(parent)
        .filter(|name| !name.is_empty() && !name.contains('/'))
}
