//! What clients send and see of a decision. No I/O, no AWS.
//!
//! - [`credential`]: where a request carries its key.
//! - [`context`]: a verdict as an authorizer hands it on.
//! - [`fields`]: the `RateLimit` and `RateLimit-Policy` fields of a verdict.
//! - [`problem`]: the status, headers and problem document of a refusal.

pub mod context;
pub mod credential;
pub mod fields;
pub mod problem;
