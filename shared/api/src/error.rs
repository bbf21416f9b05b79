//! Errors on the wire.

use serde::{Deserialize, Serialize};

/// The body of every error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// AWS's name of the error. The header `x-amzn-ErrorType` holds it too, but proxies drop headers.
    #[serde(rename = "__type")]
    pub name: String,
    /// What is wrong, and what was expected.
    pub message: String,
}
