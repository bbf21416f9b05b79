//! The benchmark. It prints its figures and writes them into `docs`. `bench/run` builds the functions that it measures, and
//! measures everything about decisions.
//!
//! - [`decisions`]: decisions of the real authorizer under many loads, compared with a bare function and the closest peer;
//!   [`cost`]: what they cost on AWS.
//! - [`fairness`]: many requests at once on one key.
//! - [`leases`]: what leases would save, by a [`model`].
//! - [`lists`]: pages of the management API's lists, by the number of keys.
//! - [`simulate`]: the simulated fleet of the tests, for longer.
//! - [`subject`]: a function under measurement; [`stores`], [`fill`]: the tables that it works on; [`arrivals`]: the load.
//! - [`statistics`], [`report`], [`plot`]: figures, and where they go.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use decisions::Decisions;
use lists::Lists;

mod arrivals;
mod cost;
mod decisions;
mod fairness;
mod fill;
mod leases;
mod lists;
mod model;
mod plot;
mod report;
mod simulate;
mod statistics;
mod stores;
mod subject;

/// What things cost, in calls, capacity and time.
#[derive(Debug, Parser)]
#[command(name = "tollgate-bench")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// All about decisions: what they take, and what leases would save
    All {
        /// Tables of a million keys as well
        #[arg(long)]
        full: bool,
    },
    /// Decisions of the authorizer: calls, capacity units, times, memory
    Decisions(Decisions),
    /// Whether requests that have room are admitted when many come at once on one key
    Fairness(fairness::Fairness),
    /// What leases would save, by the model of several instances
    Leases,
    /// Pages of the management API's lists, in tables of 1,000 and 100,000 keys
    Lists(Lists),
    /// A fleet of instances in simulated time, whose network fails by a seed
    Simulate(simulate::Simulate),
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::All { full } => wait(async {
            Decisions { full, only: None }.run().await;
            leases::run();
        }),
        Command::Decisions(decisions) => wait(decisions.run()),
        Command::Leases => wait(async { leases::run() }),
        Command::Lists(lists) => wait(lists.run()),
        // These run in simulated time, or start a runtime themselves.
        Command::Fairness(fairness) => {
            fairness.run();
            ExitCode::SUCCESS
        }
        Command::Simulate(simulate) => simulate.run(),
    }
}

fn wait(work: impl Future<Output = ()>) -> ExitCode {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(work);
    ExitCode::SUCCESS
}
