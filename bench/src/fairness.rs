//! Many requests at once on one key: whether those with room are admitted, with how many calls, and how soon.
//!
//! - [`crowds`]: many numbers of instances, loads, plans and stores, in simulated time.
//! - [`processes`]: real functions, to check the simulation.
//! - [`together`]: one process that decides many requests at once.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

mod crowds;
mod processes;
mod together;

const PAGE: &str = "fairness.md";

/// `tollgate-bench fairness`.
#[derive(Debug, Args)]
pub(crate) struct Fairness {
    /// Only this part
    #[arg(long)]
    only: Option<Part>,
    /// Requests for each combination of the crowds
    #[arg(long, default_value_t = 2_000)]
    requests: usize,
    /// Another authorizer to start as processes, such as the release before's; the page is left as it is then
    #[arg(long, value_name = "PATH")]
    authorizer: Option<PathBuf>,
}

/// What is measured, each part by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// Several instances, in simulated time
    Crowds,
    /// Several real functions
    Processes,
    /// One process, many requests at once
    Together,
}

impl Fairness {
    pub(crate) fn run(&self) {
        let is_asked = |part| self.only.is_none_or(|only| only == part);
        if is_asked(Part::Crowds) {
            // It runs in simulated time, and needs no runtime.
            crowds::run(self.requests);
        }
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        if is_asked(Part::Processes) {
            runtime.block_on(processes::run(self.authorizer.as_deref()));
        }
        if is_asked(Part::Together) {
            runtime.block_on(together::run());
        }
    }
}
