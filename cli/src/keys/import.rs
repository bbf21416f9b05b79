//! `tollgate keys import`: keys from a CSV file, in calls of a few hundred rows each.
//!
//! - [`rows`]: the file's rows, and warnings about them.

use std::path::PathBuf;

use clap::Args;
use csv::StringRecord;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use tollgate_api::client::Client;

use crate::failure::{Failure, explain};
use crate::output::table::{entries, text};
use crate::output::{Output, csv_file, print};

mod rows;

use rows::Row;

/// Rows in a call. A call then takes about a second, which is how often the progress bar moves.
const ROWS: usize = 500;

/// `tollgate keys import`.
#[derive(Debug, Args)]
pub(super) struct Import {
    /// CSV file with the columns Name and Key, and optionally Description, Enabled, `UsagePlanIds`, `CustomerId`, Expires,
    /// Restriction and Overrides, as `keys export` writes them
    file: PathBuf,
    /// Import nothing if there is any warning; the file may have 4 MB at most
    #[arg(long)]
    fail_on_warnings: bool,
}

/// What came of an import.
#[derive(Default)]
struct Imported {
    ids: Vec<Value>,
    warnings: Vec<String>,
}

impl Import {
    pub(super) async fn run(self, api: &Client, output: Output) -> Result<(), Failure> {
        let (header, rows) = rows::read(&self.file)?;
        let mut imported = Imported::default();
        let rows = if self.fail_on_warnings {
            // Within one call the API finds repeated keys itself.
            rows
        } else {
            rows::without_repeats(&header, rows, &mut imported.warnings)
        };
        let bar = ProgressBar::new(u64::try_from(rows.len())?);
        bar.set_style(ProgressStyle::with_template(
            "{bar:40} {pos} of {len} rows, {eta} left",
        )?);
        let mut done = 0;
        for rows in self.calls(&rows) {
            let outcome = self.call(api, &header, rows).await;
            imported.add(outcome.map_err(|failure| after(done, failure))?, rows);
            done += rows.len();
            bar.inc(u64::try_from(rows.len())?);
        }
        bar.finish_and_clear();
        imported.print(output)?;
        if imported.ids.is_empty() && done > 0 {
            return Err("no row could be imported".into());
        }
        Ok(())
    }

    /// The rows of each call. A file without rows takes a call as well: its header may be wrong.
    fn calls<'a>(&self, rows: &'a [Row]) -> Vec<&'a [Row]> {
        if self.fail_on_warnings || rows.is_empty() {
            vec![rows]
        } else {
            rows.chunks(ROWS).collect()
        }
    }

    async fn call(
        &self,
        api: &Client,
        header: &StringRecord,
        rows: &[Row],
    ) -> Result<Value, Failure> {
        let fail_on_warnings = if self.fail_on_warnings { "true" } else { "" };
        let query = [
            ("mode", "import"),
            ("format", "csv"),
            ("failonwarnings", fail_on_warnings),
        ];
        let file = csv_file::contents(header, rows.iter().map(|row| &row.fields))?;
        Ok(api.post_text(&["apikeys"], &query, file).await?)
    }
}

/// A failure after `done` rows.
fn after(done: usize, failure: Failure) -> Failure {
    if done == 0 {
        return failure;
    }
    let cause = explain(&failure);
    format!(
        "{cause}; {done} rows were imported before. Importing the file again does not change those"
    )
    .into()
}

impl Imported {
    /// Adds the answer to a call with `rows`.
    fn add(&mut self, mut answer: Value, rows: &[Row]) {
        if let Value::Array(ids) = answer["ids"].take() {
            self.ids.extend(ids);
        }
        for warning in entries(&answer["warnings"]) {
            let warning = rows::in_file(&text(warning), rows);
            // Each call repeats the warnings about the header.
            if !self.warnings.contains(&warning) {
                self.warnings.push(warning);
            }
        }
    }

    fn print(&self, output: Output) -> Result<(), Failure> {
        let Self { ids, warnings } = self;
        for warning in warnings {
            eprintln!("warning: {warning}");
        }
        if output.is_json() {
            return print(format!("{:#}", json!({ "ids": ids, "warnings": warnings })));
        }
        let (keys, warnings) = (ids.len(), warnings.len());
        print(format!("{keys} keys imported, {warnings} warnings"))
    }
}
