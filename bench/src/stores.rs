//! The stores that are measured with.

use tollgate_tests::stores::{DYNAMODB_LOCAL, Kind};

/// The embedded store, and DynamoDB Local if one is running.
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
