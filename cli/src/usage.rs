//! `tollgate usage`: what keys have used.
//!
//! - [`report`]: a plan's usage, read from the API. [`table`]: tables and bars of it. [`export`]: files of it.

use clap::{Args, Subcommand};
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
    /// Show the use of a plan day by day, as a table and a chart
    Show(Range),
    /// Print the use of a plan, a row for each key and day
    Export {
        #[command(flatten)]
        range: Range,
        /// How it is written
        #[arg(long, value_enum, default_value = "csv")]
        format: Format,
    },
}

impl Usage {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let api = self.options.endpoint.client().await?;
        match self.action {
            Action::Show(range) => show(&range, &api, self.options.output).await,
            Action::Export { range, format } => {
                let usage = range.read(&api).await?;
                export::print(&usage, range.days().0, format)
            }
        }
    }
}

async fn show(range: &Range, api: &Client, output: Output) -> Result<(), Failure> {
    let usage = range.read(api).await?;
    output.print(&usage, |usage| table::by_day(usage, range.days().0))?;
    let has_keys = usage["values"]
        .as_object()
        .is_some_and(|keys| !keys.is_empty());
    if output == Output::Table && !range.is_of_one_key() && has_keys {
        print("")?;
        output.print(&usage, table::by_key)?;
    }
    Ok(())
}
