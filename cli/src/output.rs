//! What commands print: tables for people, JSON for programs.

use std::io::{BufRead, IsTerminal, Write};

use clap::{Args, ValueEnum};
use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;

use crate::place::Place;
use crate::{Failure, print};

/// What every command that calls the management API takes.
#[derive(Debug, Clone, Args)]
pub(crate) struct Common {
    #[command(flatten)]
    pub(crate) place: Place,
    /// How the answer is printed
    #[arg(long, value_enum, default_value_t = Output::Table, global = true)]
    pub(crate) output: Output,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people
    Table,
    /// For programs: what the management API answers
    Json,
}

impl Output {
    /// Prints `value` as JSON, or what `table` makes of it.
    pub(crate) fn print(
        self,
        value: &Value,
        table: impl FnOnce(&Value) -> Table,
    ) -> Result<(), Failure> {
        match self {
            Self::Json => print(format!("{value:#}")),
            Self::Table => print(trimmed(&table(value))),
        }
    }

    /// Says what was done; programs are told by the exit code.
    pub(crate) fn done(self, text: &str) -> Result<(), Failure> {
        match self {
            Self::Json => Ok(()),
            Self::Table => print(text),
        }
    }
}

/// A list: a row for each entry.
pub(crate) fn list(header: &[&str], rows: impl IntoIterator<Item = Vec<Cell>>) -> Table {
    let mut table = bare();
    table.set_header(header);
    for row in rows {
        table.add_row(row);
    }
    table
}

/// One thing: a row for each of its fields that has a value.
pub(crate) fn fields(rows: impl IntoIterator<Item = (&'static str, String)>) -> Table {
    let mut table = bare();
    for (name, value) in rows {
        if !value.is_empty() {
            table.add_row([name, &value]);
        }
    }
    table
}

/// Columns apart by spaces. A terminal's width is kept; what is piped is not wrapped.
fn bare() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    if std::io::stdout().is_terminal() {
        table.set_content_arrangement(ContentArrangement::Dynamic);
    }
    table
}

fn trimmed(table: &Table) -> String {
    let lines: Vec<_> = table.lines().map(|line| line.trim().to_owned()).collect();
    lines.join("\n")
}

/// A cell of plain text.
pub(crate) fn cell(value: &Value) -> Cell {
    Cell::new(text(value))
}

/// A cell of a number.
pub(crate) fn number(value: impl ToString) -> Cell {
    Cell::new(value).set_alignment(CellAlignment::Right)
}

/// A value as people read it; nothing where there is none.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        // A name can hold anything, and a terminal does what control characters say.
        Value::String(text) => text
            .chars()
            .flat_map(|one| {
                let escaped = one.is_control().then(|| one.escape_default());
                let plain = (!one.is_control()).then_some(one);
                escaped.into_iter().flatten().chain(plain)
            })
            .collect(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        // Rates are floats on the wire: 10.0 is 10.
        Value::Number(number) if number.is_f64() => number.as_f64().unwrap_or_default().to_string(),
        other => other.to_string(),
    }
}

/// Epoch seconds as a date and time in UTC.
pub(crate) fn time(value: &Value) -> String {
    #[expect(clippy::cast_possible_truncation, reason = "seconds of this age")]
    let second = value.as_f64().map(|second| second as i64);
    let time = second.and_then(|second| Timestamp::from_second(second).ok());
    time.map_or_else(String::new, |time| {
        let time = time.to_zoned(TimeZone::UTC);
        time.strftime("%Y-%m-%d %H:%M UTC").to_string()
    })
}

/// The id of a key or a plan, as a command line gives it.
///
/// What is longer may be a key's value, which does not belong into a URL: those are logged.
pub(crate) fn id(text: &str) -> Result<String, String> {
    let is_id =
        (1..=19).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_id.then(|| text.to_owned()).ok_or_else(|| {
        "expected an id such as h9ptnx8gre, which `list` shows; a key's value is none".to_owned()
    })
}

/// Asks before something that cannot be undone.
pub(crate) fn confirm(what: &str, yes: bool) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        return Err(format!("{what}: this cannot be undone; say --yes to do it").into());
    }
    eprint!("{what}? This cannot be undone. [y/N] ");
    std::io::stderr().flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err("nothing was changed".into()),
    }
}
