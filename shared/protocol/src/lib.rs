//! The protocol between Tollgate and API clients: how they send keys and how they receive decisions. No I/O, no AWS.
//!
//! - [`credential`]: finds the key in a request.
//! - [`context`]: a verdict as an authorizer passes it on.
//! - [`fields`]: the `RateLimit` and `RateLimit-Policy` fields of a verdict.
//! - [`problem`]: the status, headers and problem document of a refusal.

pub mod context;
pub mod credential;
pub mod fields;
pub mod problem;
