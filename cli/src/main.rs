//! `tollgate`: the command line.
//!
//! - [`dev`]: the local gateway with everything it needs; [`gateway`], [`demo`], [`server`]: its parts.
//! - [`keys`], [`plans`], [`usage`], [`capacity`], [`whoami`]: the management API's clients; [`api`], [`place`]: how it is called, and which one;
//!   [`output`]: what they print; [`transfer`]: CSV files, in and out.
//! - [`times`]: times and durations, as people type them.
//! - [`table`]: the table in any DynamoDB.
//! - [`store`]: which DynamoDB a command talks to.
//!
//! Exit codes: 0 done; 1 refused or failed; 2 a command line that makes no sense; 3 no such key or plan; 4 the management
//! API cannot be reached or does not let the caller, or the key, in.

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use tracing_subscriber::EnvFilter;

mod api;
mod capacity;
mod demo;
mod dev;
mod gateway;
mod keys;
mod output;
mod place;
mod plans;
mod server;
mod store;
mod table;
mod times;
mod transfer;
mod usage;
mod whoami;

/// What a command fails with: a text for people.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Prints what a command has to say. Where it cannot be written, the command has failed: it may be all that there is to
/// see of a new key.
fn print(text: impl std::fmt::Display) -> Result<(), Failure> {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}")
        .and_then(|()| out.flush())
        .map_err(|error| format!("cannot write the output: {error}").into())
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
    /// Make, show, change and delete API keys, and put them into plans
    Keys(keys::Keys),
    /// Make, show, change and delete usage plans
    Plans(plans::Plans),
    /// Show what keys have used
    Usage(usage::Usage),
    /// Show what the active keys of each API stage may send at most, beside what they sent yesterday
    Capacity(capacity::Capacity),
    /// Show what a key has left of each limit, as its holder; nothing is charged
    Whoami(whoami::WhoAmI),
    /// Create, delete or show the table
    Table(table::Table),
    /// Print completions for a shell, to be sourced by it
    Completions {
        /// Which one
        shell: clap_complete::Shell,
    },
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
        Command::Keys(keys) => keys.run().await,
        Command::Plans(plans) => plans.run().await,
        Command::Usage(usage) => usage.run().await,
        Command::Capacity(capacity) => capacity.run().await,
        Command::Whoami(whoami) => whoami.run().await,
        Command::Table(table) => table.run().await,
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "tollgate", &mut script);
            print(String::from_utf8_lossy(&script)).map(|()| ExitCode::SUCCESS)
        }
    };
    outcome.unwrap_or_else(|failure| {
        eprintln!("error: {failure}");
        let call = failure.downcast_ref::<api::CallError>();
        call.map_or(ExitCode::FAILURE, api::CallError::exit_code)
    })
}
