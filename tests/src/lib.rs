//! What the tests that cross crates stand on: real stores, a proxy that fails on purpose, a Runtime API for the real
//! binaries.
//!
//! - [`stores`]: the embedded DynamoDB and DynamoDB Local, a table of its own for each test.
//! - [`proxy`]: between a function and its store: counts, cuts, delays, refuses.
//! - [`lambda`]: the real bootstraps, driven as Lambda drives them.
//! - [`api`]: the management API, called in process.
//! - [`gateway`]: `tollgate dev` as a process; [`cli`]: the command line on its management API.
//! - [`deploy`]: `sam deploy` onto an emulated AWS.
//! - [`kms`]: AWS KMS, as moto plays it.
//! - [`sam`]: the built stack in `sam local`.
//! - [`simulation`]: a fleet of instances in simulated time, on a store and a network that fail by a seed.
//! - [`stack`]: a deployed stack that is in use.
//! - [`world`]: plans, keys and decisions in a few words.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]
#![expect(clippy::too_many_lines, reason = "a scenario is told in one piece")]
#![recursion_limit = "256"]
#![expect(clippy::missing_errors_doc, reason = "test support")]

pub mod api;
pub mod cli;
pub mod deploy;
pub mod gateway;
pub mod kms;
pub mod lambda;
pub mod proxy;
pub mod sam;
pub mod simulation;
pub mod stack;
pub mod stores;
pub mod world;
