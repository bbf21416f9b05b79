//! The management API on the wire: the shapes of API Gateway's service model, both ways, and a client of them.

#[cfg(feature = "client")]
pub mod client;
