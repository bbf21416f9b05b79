//! The DynamoDB table. Only this crate knows attribute names and expressions.
//!
//! - [`table`]: the engine's calls, each an attempt with a time limit.
//! - [`items`]: management's verbs: reads, conditional writes, queries and transactions.
//! - [`item`]: the content of items, with a module for each kind, and their primary keys.
//! - [`expression`]: update expressions with their conditions, and how they express a charge.
//! - [`schema`]: the table itself, its keys and indexes.
//! - [`connection`]: the SDK client; [`clock`]: the offset of our clock from the store's.
//! - [`retry`]: how many attempts a call has, and how long to wait between them.
//! - [`failure`]: whether the change of a failed call was applied, is indeterminate, or was rejected by its condition.

pub mod clock;
pub mod connection;
pub mod expression;
pub mod failure;
pub mod item;
pub mod items;
pub mod retry;
pub mod schema;
pub mod table;
