//! The DynamoDB table: the one place that knows attribute names and expressions.
//!
//! - [`table`]: the calls that the engine makes, each an attempt with a time limit.
//! - [`item`]: what the items hold, a module for each kind, and under which keys they are found.
//! - [`expression`]: update expressions under their conditions; what a charge means in DynamoDB's words.
//! - [`schema`]: the table itself, its keys and indexes.
//! - [`connection`]: the SDK client, warmed and renewed; [`clock`]: our offset to the store's clock.
//! - [`failure`]: what a failed call means: not applied, lost, or refused by its condition.

pub mod clock;
pub mod connection;
pub mod expression;
pub mod failure;
pub mod item;
pub mod schema;
pub mod table;
