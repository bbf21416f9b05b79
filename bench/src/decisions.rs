//! Decisions: what one costs, compared with the least that it could cost.
//!
//! Times are measured without a proxy. Calls and capacity units are counted by a proxy in front of the store, in runs of their
//! own.
//!
//! - [`steady`]: a decision and a start, compared with a bare function and the closest [`peer`].
//! - [`loads`]: one instance under many loads. [`shapes`]: plans of different shapes. [`sizes`]: tables of different sizes.

use clap::{Args, ValueEnum};

use crate::stores::kinds;
use crate::{cost, plot, report};

mod loads;
mod peer;
mod shapes;
mod sizes;
pub(crate) mod steady;

const PAGE: &str = "performance.md";

/// `tollgate-bench decisions`.
#[derive(Debug, Args)]
pub(crate) struct Decisions {
    /// A table of a million keys as well, and a million bad keys that all have to be asked about
    #[arg(long)]
    pub(crate) full: bool,
    /// Only this part
    #[arg(long)]
    pub(crate) only: Option<Part>,
}

/// What is measured, each part by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// A steady decision and a start, beside the bare function's and the closest peer's
    Steady,
    /// One instance under many loads
    Loads,
    /// Plans of different shapes, and what they cost on AWS
    Cost,
    /// Tables of different sizes
    Sizes,
}

impl Decisions {
    pub(crate) async fn run(&self) {
        report::write(PAGE, "machine", &report::machine());
        let is_asked = |part| self.only.is_none_or(|only| only == part);
        if is_asked(Part::Steady) {
            let mut text = String::new();
            for kind in kinds() {
                let rows = steady::measure(kind).await;
                plot::steady(kind, &rows);
                text += &steady::table(kind, &rows);
            }
            report::write(PAGE, "steady", &text);
        }
        if is_asked(Part::Loads) {
            let mut text = String::new();
            for kind in kinds() {
                text += &loads::table(kind, &loads::measure(kind, self.full).await);
            }
            report::write(PAGE, "loads", &text);
        }
        if is_asked(Part::Cost) {
            let costs = shapes::measure().await;
            report::write("cost.md", "cost", &cost::table(&costs));
        }
        if is_asked(Part::Sizes) {
            let rows = sizes::measure(self.full).await;
            report::write(PAGE, "sizes", &sizes::table(&rows));
        }
    }
}
