//! `tollgate usage`: what keys have used.
//!
//! - [`report`]: a plan's usage, read from the API. [`table`]: tables and bars of it. [`export`]: files of it.

use clap::{Args, Subcommand};
use serde_json::Value;
use tollgate_api::client::Client;

use crate::api_options::ApiOptions;
use crate::failure::Failure;
use crate::output::csv_file::Format;
use crate::output::{Output, print};

mod export;
mod report;
mod table;

use report::Range;

/// `tollgate usage`.
#[derive(Debug, Args)]
pub(crate) struct Usage {
    #[command(flatten)]
    options: ApiOptions,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show a plan's usage by day and by key
    Show {
        #[command(flatten)]
        range: Range,
        /// Show all days and all keys, not only the days with usage and the 20 keys with the most
        #[arg(long)]
        all: bool,
    },
    /// Print a plan's usage, a row for each key and day
    Export {
        #[command(flatten)]
        range: Range,
        /// File format [default: csv, or json with --output json]
        #[arg(long, value_enum)]
        format: Option<Format>,
    },
}

impl Usage {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let (api, output) = (self.options.endpoint.client().await?, self.options.output);
        match self.action {
            Action::Show { range, all } => show(&range, &api, output, all).await,
            Action::Export { range, format } => {
                let report = range.read(&api).await?;
                export::print(&report.usage, report.from, output.file_format(format))
            }
        }
    }
}

async fn show(range: &Range, api: &Client, output: Output, all: bool) -> Result<(), Failure> {
    let report = range.read(api).await?;
    let by_day = |usage: &Value| table::by_day(usage, report.from, all);
    if output.is_json() {
        return output.print(&report.usage, by_day);
    }
    if report.is_unused() && !all {
        return print(format!("No usage from {} to {}.", report.from, report.to));
    }
    output.print(&report.usage, by_day)?;
    if range.is_of_one_key() {
        return Ok(());
    }
    let names = report.key_names(api).await?;
    print("")?;
    output.print(&report.usage, |usage| table::by_key(usage, &names, all))
}
