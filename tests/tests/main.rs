//! One program holds all tests that cross crates: the SDK and `SQLite` are linked once.
//!
//! A bare `cargo test` needs nothing installed. Tests that need more say so in `#[ignore]`, and `./test` runs them too.
//!
//! The tests run in one process: each has a table, ports and folders of its own, and gives environment variables only to the
//! programs that it starts.

#![recursion_limit = "256"]
#![expect(
    clippy::too_many_lines,
    reason = "a test tells its story from beginning to end"
)]

mod answers;
mod bootstrap;
mod bootstrap_keys;
mod cli;
mod cli_errors;
mod cli_terms;
mod clients;
mod combining;
mod crowds;
mod damaged;
mod deploy;
mod dev;
mod edits;
mod engine;
mod events;
mod exactness;
mod faults;
mod grants;
mod holders;
mod key_life;
mod large_imports;
mod management_errors;
mod management_failures;
mod management_imports;
mod management_input;
mod management_keys;
mod management_lists;
mod management_patches;
mod management_plans;
mod moves;
mod refusals;
mod retrievable;
mod revoked;
mod rotations;
mod round_trips;
mod sam;
mod simulation;
mod snippets;
mod table;
mod telemetry;
mod template;
mod template_rights;
mod terms;
mod upgrade;
mod write;
