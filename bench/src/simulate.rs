//! The simulated fleet of the tests, for longer.

use std::collections::BTreeMap;
use std::process::ExitCode;

use clap::Args;
use indicatif::ProgressBar;
use tollgate_tests::simulation::Scenario;

/// `tollgate-bench simulate`.
#[derive(Debug, Args)]
pub(crate) struct Simulate {
    /// The first seed; a run that failed has named its own
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Runs, each by a seed of its own
    #[arg(long, default_value_t = 100)]
    runs: u64,
    /// Decisions of a run
    #[arg(long, default_value_t = 5_000)]
    decisions: usize,
}

impl Simulate {
    pub(crate) fn run(&self) -> ExitCode {
        let bar = ProgressBar::new(self.runs);
        let (mut decisions, mut calls, mut charged_in_vain) = (0, 0, 0);
        let mut reasons: BTreeMap<_, usize> = BTreeMap::new();
        for seed in self.seed..self.seed + self.runs {
            let summary = match Scenario::new(seed, self.decisions).run() {
                Ok(summary) => summary,
                Err(broken) => {
                    bar.finish_and_clear();
                    eprintln!("a promise is broken: {broken}");
                    return ExitCode::FAILURE;
                }
            };
            decisions += summary.decisions;
            calls += summary.calls;
            charged_in_vain += summary.charged_in_vain;
            for (reason, count) in summary.reasons {
                *reasons.entry(reason).or_default() += count;
            }
            bar.inc(1);
        }
        bar.finish_and_clear();
        println!(
            "{} runs, {decisions} decisions, {calls} calls; every promise was kept",
            self.runs
        );
        println!("charged, with the answer lost, and refused: {charged_in_vain}");
        for (reason, count) in reasons {
            println!("{count:>9} {reason}");
        }
        ExitCode::SUCCESS
    }
}
