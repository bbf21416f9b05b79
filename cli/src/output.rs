//! What commands print: tables for people, JSON for programs.
//!
//! - [`table`]: tables and their cells.
//! - [`csv_file`]: CSV files.

use std::fmt::Display;
use std::io::Write;

use clap::ValueEnum;
use comfy_table::Table;
use serde_json::Value;

use crate::failure::Failure;

pub(crate) mod csv_file;
pub(crate) mod table;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people
    Table,
    /// For programs: what the management API answers
    Json,
}

impl Output {
    /// Prints `value` as JSON, or as the table that `table` makes of it.
    pub(crate) fn print(
        self,
        value: &Value,
        table: impl FnOnce(&Value) -> Table,
    ) -> Result<(), Failure> {
        match self {
            Self::Json => print(format!("{value:#}")),
            Self::Table => print(table::lines(&table(value))),
        }
    }

    /// Tells people what was done. Programs have the exit code.
    pub(crate) fn done(self, text: &str) -> Result<(), Failure> {
        match self {
            Self::Json => Ok(()),
            Self::Table => print(text),
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
pub(crate) fn announce(line: impl Display) {
    drop(writeln!(std::io::stdout(), "{line}"));
}
