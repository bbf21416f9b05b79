//! What commands print: tables for people, JSON for programs.
//!
//! - [`table`]: tables and their cells. [`limits`]: limits as people say them. [`csv_file`]: CSV files.

use std::fmt::Display;
use std::io::Write;

use clap::{Args, ValueEnum};
use comfy_table::Table;
use serde_json::Value;

use crate::api_options::HEADING;
use crate::failure::Failure;

pub(crate) mod csv_file;
pub(crate) mod limits;
pub(crate) mod table;

/// How a command prints.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Output {
    /// How to print the answer
    #[arg(id = "output", long = "output", value_name = "FORMAT", value_enum, default_value_t = Format::Table, global = true, help_heading = HEADING)]
    format: Format,
    /// Print nothing but the answer: no notes, no confirmations
    #[arg(long, short, global = true, help_heading = HEADING)]
    quiet: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Table,
    /// For programs: what the management API answers
    Json,
}

impl Output {
    /// Whether programs read what is printed.
    pub(crate) fn is_json(self) -> bool {
        self.format == Format::Json
    }

    /// The format of a file: the given one, or else JSON for programs and CSV for people.
    pub(crate) fn file_format(self, given: Option<csv_file::Format>) -> csv_file::Format {
        given.unwrap_or(match self.format {
            Format::Json => csv_file::Format::Json,
            Format::Table => csv_file::Format::Csv,
        })
    }

    /// Prints `value` as JSON, or as the table that `table` makes of it.
    pub(crate) fn print(
        self,
        value: &Value,
        table: impl FnOnce(&Value) -> Table,
    ) -> Result<(), Failure> {
        match self.format {
            Format::Json => print(format!("{value:#}")),
            Format::Table => print(table::lines(&table(value))),
        }
    }

    /// Confirms to people what was done. Programs have the exit code.
    pub(crate) fn done(self, text: &str) -> Result<(), Failure> {
        if self.is_json() || self.quiet {
            return Ok(());
        }
        print(text)
    }

    /// Tells people something besides the answer, on standard error.
    pub(crate) fn note(self, text: impl Display) {
        if !self.quiet {
            eprintln!("{text}");
        }
    }
}

/// Prints a line. If that fails, the command fails: nothing else may ever show the value of a new key.
pub(crate) fn print(line: impl Display) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")
        .and_then(|()| out.flush())
        .map_err(|error| format!("cannot write the output: {error}").into())
}

/// Prints a line of a server, which goes on serving after its first lines were read and the pipe was closed.
#[cfg(feature = "dev")]
pub(crate) fn announce(line: impl Display) {
    drop(writeln!(std::io::stdout(), "{line}"));
}
