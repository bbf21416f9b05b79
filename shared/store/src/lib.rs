//! The DynamoDB table: the one place that knows attribute names and expressions.
//!
//! - [`engine`]: one request decided: caches, the one write, its further tries. Every front door goes through it.
//! - [`table`]: the calls that the engine makes, each an attempt with a time limit.
//! - [`manage`]: keys, plans, links and usage, as the management API needs them.
//! - [`record`]: what the items of keys, plans and values hold.
//! - [`schema`]: the table itself, its keys and indexes.
//! - [`connection`]: the SDK client, warmed and renewed; [`clock`]: our offset to the store's clock.
//! - [`config`]: the environment.
//! - [`failure`]: what a failed call means: not applied, lost, or refused by its condition.

mod cache;
pub mod clock;
pub mod config;
pub mod connection;
pub mod engine;
mod expression;
pub mod failure;
pub mod manage;
mod meter_item;
pub mod record;
pub mod schema;
pub mod table;
