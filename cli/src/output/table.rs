//! Tables for people: lists with a row for each entry, and single things with a row for each field.

use std::io::IsTerminal;

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;

/// A list: a row for each entry.
pub(crate) fn list(header: &[&str], rows: impl IntoIterator<Item = Vec<Cell>>) -> Table {
    let mut table = borderless();
    table.set_header(header);
    for row in rows {
        table.add_row(row);
    }
    table
}

/// A single thing: a row for each of its fields that has a value.
pub(crate) fn fields(rows: impl IntoIterator<Item = (&'static str, String)>) -> Table {
    let mut table = borderless();
    for (name, value) in rows {
        if !value.is_empty() {
            table.add_row([name, &value]);
        }
    }
    table
}

/// A table without borders. It is wrapped to the width of a terminal, and not wrapped in a pipe.
fn borderless() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    if std::io::stdout().is_terminal() {
        table.set_content_arrangement(ContentArrangement::Dynamic);
    }
    table
}

/// The lines of a table without the spaces around them.
pub(super) fn lines(table: &Table) -> String {
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

/// The entries of an array; none if `value` is something else.
pub(crate) fn entries(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// The members of an object; none if `value` is something else.
pub(crate) fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

/// A value as people read it; empty for null.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => printable(text),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        // Rates are floats on the wire: 10.0 is 10.
        Value::Number(number) if number.is_f64() => number.as_f64().unwrap_or_default().to_string(),
        other => other.to_string(),
    }
}

/// Names may contain control characters, and a terminal would carry them out.
fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter.is_control() {
            printable.extend(letter.escape_default());
        } else {
            printable.push(letter);
        }
    }
    printable
}

/// Epoch seconds as a date and time in UTC.
pub(crate) fn time(value: &Value) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "seconds of this age are far below 2^52"
    )]
    let second = value.as_f64().map(|second| second as i64);
    let time = second.and_then(|second| Timestamp::from_second(second).ok());
    time.map_or_else(String::new, |time| {
        let time = time.to_zoned(TimeZone::UTC);
        time.strftime("%Y-%m-%d %H:%M UTC").to_string()
    })
}
