//! `tollgate`: the command line.
//!
//! - [`dev`]: the local gateway with everything it needs; [`gateway`], [`demo`]: its parts.
//! - [`table`]: the table in any DynamoDB.
//! - [`store`]: which DynamoDB a command talks to.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

mod demo;
mod dev;
mod gateway;
mod store;
mod table;

/// What a command fails with: a text for people.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Prints a line. Whoever read the first ones and left is no reason to stop serving.
fn say(line: impl std::fmt::Display) {
    use std::io::Write;
    drop(writeln!(std::io::stdout(), "{line}"));
}

/// Exact API keys, throttles and quotas for AWS APIs.
#[derive(Debug, Parser)]
#[command(name = "tollgate", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve a local gateway and the management API, with an embedded DynamoDB where no endpoint is given
    Dev(dev::Dev),
    /// Create, delete or show the table
    Table(table::Table),
}

#[tokio::main]
async fn main() -> ExitCode {
    // Standard output is the commands' own: others read it. The embedded store warns of every condition that does not
    // hold, which is an everyday matter here.
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn,dynoxide=error"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();

    let outcome = match Arguments::parse().command {
        Command::Dev(dev) => dev.run().await,
        Command::Table(table) => table.run().await,
    };
    outcome.unwrap_or_else(|failure| {
        eprintln!("error: {failure}");
        ExitCode::FAILURE
    })
}
