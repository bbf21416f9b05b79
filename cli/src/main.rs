//! `tollgate`: the command line.
//!
//! Clap turns the command line into values, once; each command then runs with those.
//!
//! - [`keys`], [`plans`], [`usage`], [`capacity`], [`whoami`]: clients of the management API. [`endpoint`]: which API they call;
//!   [`api_options`]: the options that they share; [`changes`]: bodies of PATCH requests; [`confirm`]: questions before
//!   deletions; [`names`]: ids and names of keys and plans; [`completion`]: what a shell completes.
//! - [`dev`]: everything on one machine: the [`gateway`], the management API, an embedded DynamoDB.
//! - [`table`]: the table in any DynamoDB. [`store`]: which DynamoDB.
//! - [`arguments`]: arguments that several commands take. [`output`]: what commands print. [`failure`]: why they fail.
//!
//! [`EXAMPLES`] has the exit codes.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

mod api_options;
mod arguments;
mod capacity;
mod changes;
mod completion;
mod confirm;
#[cfg(feature = "dev")]
mod dev;
mod endpoint;
mod failure;
#[cfg(feature = "dev")]
mod gateway;
mod keys;
mod names;
mod output;
mod plans;
mod store;
mod table;
mod usage;
mod whoami;

use failure::Failure;

const EXAMPLES: &str = "\
Examples:
  tollgate dev --demo
      Try everything on this machine
  tollgate plans create --name Basic --stage 'abc123:$default' --rate 10
      Create a plan for a stage of your API
  tollgate keys create --name acme --plan Basic
      Create a key in that plan
  tollgate usage show Basic
      Show what the plan's keys have used

Keys and plans can be given by id or by name.

Exit codes:
  0 done; 1 refused or failed; 2 invalid command line; 3 no such key or plan;
  4 the management API cannot be reached, or does not let you in";

/// Exact API keys, throttles and quotas for AWS APIs.
#[derive(Debug, Parser)]
#[command(name = "tollgate", version, after_help = EXAMPLES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a local gateway and the management API, with an embedded DynamoDB unless you give an endpoint
    #[cfg(feature = "dev")]
    Dev(dev::Dev),
    /// Create, show, change and delete API keys, and put them into plans
    Keys(keys::Keys),
    /// Create, show, change and delete usage plans
    Plans(plans::Plans),
    /// Show what keys have used
    Usage(usage::Usage),
    /// Show the most that the active keys of each API stage may send, beside what they sent yesterday
    Capacity(capacity::Capacity),
    /// Show what a key has left of each limit, as its holder; this charges nothing
    Whoami(whoami::WhoAmI),
    /// Create, delete or show the table
    Table(table::Table),
    /// Print completions for a shell, which also complete ids and names: `source <(tollgate completions bash)`
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

impl Command {
    async fn run(self) -> Result<ExitCode, Failure> {
        match self {
            #[cfg(feature = "dev")]
            Self::Dev(dev) => Box::pin(dev.run()).await?,
            Self::Keys(keys) => keys.run().await?,
            Self::Plans(plans) => plans.run().await?,
            Self::Usage(usage) => usage.run().await?,
            Self::Capacity(capacity) => capacity.run().await?,
            Self::Whoami(whoami) => whoami.run().await?,
            Self::Table(table) => return table.run().await,
            Self::Completions { shell } => output::print(completion::script(shell)?)?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn main() -> ExitCode {
    completion::answer_shell();
    log_to_stderr();
    run(Arguments::parse())
}

#[tokio::main]
async fn run(arguments: Arguments) -> ExitCode {
    let outcome = Box::pin(arguments.command.run()).await;
    outcome.unwrap_or_else(|failure| {
        eprintln!("error: {}", failure::explain(&failure));
        failure::exit_code(&failure)
    })
}

/// Logs to standard error, because programs read what commands print. The embedded store warns of every condition that does not
/// hold, which happens all the time here. The SDK warns of each place where it has found no credentials, and the error says so.
fn log_to_stderr() {
    let usual = || EnvFilter::new("warn,dynoxide=error,aws_config=error,aws_runtime=error");
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| usual());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
}
