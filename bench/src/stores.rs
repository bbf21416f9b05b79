//! The stores that are measured on.

use tollgate_tests::stores::{DYNAMODB_LOCAL, Kind};

/// The embedded store, and DynamoDB Local where it runs.
pub(crate) fn kinds() -> Vec<Kind> {
    let local = std::env::var_os(DYNAMODB_LOCAL).map(|_| Kind::DynamodbLocal);
    [Kind::Embedded].into_iter().chain(local).collect()
}

pub(crate) fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Embedded => "embedded store",
        Kind::DynamodbLocal => "DynamoDB Local",
    }
}
