//! The benchmark. It prints what it has measured, and writes it into `docs/performance.md`.
//!
//! - [`lists`]: pages of the management API's lists, by the number of keys.
//! - [`report`]: where the figures go.

use clap::{Parser, Subcommand};

mod lists;
mod report;

/// What things cost, in calls, capacity and time.
#[derive(Debug, Parser)]
#[command(name = "tollgate-bench")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Pages of the management API's lists, in tables of 1,000 and 100,000 keys
    Lists(lists::Lists),
}

#[tokio::main]
async fn main() {
    match Arguments::parse().command {
        Command::Lists(lists) => lists.run().await,
    }
}
