//! `tollgate`: the command line.
//!
//! Clap turns the command line into values, once; each command then runs with those.
//!
//! - [`keys`], [`plans`], [`usage`], [`capacity`], [`whoami`]: clients of the management API. [`endpoint`]: which API they call;
//!   [`api_options`]: the options that they share; [`changes`]: bodies of PATCH requests; [`confirm`]: questions before
//!   deletions.
//! - [`dev`]: everything on one machine: the [`gateway`], the management API, an embedded DynamoDB.
//! - [`table`]: the table in any DynamoDB. [`store`]: which DynamoDB.
//! - [`arguments`]: arguments that several commands take. [`output`]: what commands print. [`failure`]: why they fail.
//!
//! Exit codes: 0 done; 1 refused or failed; 2 a command line that makes no sense; 3 no such key or plan; 4 the management
//! API cannot be reached or does not let the caller, or the key, in.

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use tracing_subscriber::EnvFilter;

mod api_options;
mod arguments;
mod capacity;
mod changes;
mod confirm;
mod dev;
mod endpoint;
mod failure;
mod gateway;
mod keys;
mod output;
mod plans;
mod store;
mod table;
mod usage;
mod whoami;

use failure::Failure;

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

impl Command {
    async fn run(self) -> Result<ExitCode, Failure> {
        match self {
            Self::Dev(dev) => dev.run().await?,
            Self::Keys(keys) => keys.run().await?,
            Self::Plans(plans) => plans.run().await?,
            Self::Usage(usage) => usage.run().await?,
            Self::Capacity(capacity) => capacity.run().await?,
            Self::Whoami(whoami) => whoami.run().await?,
            Self::Table(table) => return table.run().await,
            Self::Completions { shell } => {
                let mut script = Vec::new();
                clap_complete::generate(shell, &mut Arguments::command(), "tollgate", &mut script);
                output::print(String::from_utf8_lossy(&script))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    log_to_stderr();
    let outcome = Box::pin(Arguments::parse().command.run()).await;
    outcome.unwrap_or_else(|failure| {
        eprintln!("error: {}", failure::explain(&failure));
        failure::exit_code(&failure)
    })
}

/// Logs to standard error, because programs read what commands print. The embedded store warns of every condition that does not
/// hold, which happens all the time here.
fn log_to_stderr() {
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn,dynoxide=error"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
}
