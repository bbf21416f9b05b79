//! Tables for people: lists with a row for each entry, and single things with a row for each field.

use std::io::IsTerminal;

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};
use jiff::tz::TimeZone;
use jiff::{Span, SpanRound, Timestamp, Unit};
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

/// The lines of a table, from the left edge on and without spaces at their ends.
pub(super) fn lines(table: &Table) -> String {
    // Each cell has a space on either side. The first of a line is dropped, and those of a cell's further lines stay.
    let lines = table.lines().map(|line| {
        let line = line.strip_prefix(' ').unwrap_or(&line);
        line.trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// A cell of plain text.
pub(crate) fn cell(value: &Value) -> Cell {
    Cell::new(text(value))
}

/// A cell of a number, or of text that is aligned like one.
pub(crate) fn number(value: impl ToString) -> Cell {
    Cell::new(value).set_alignment(CellAlignment::Right)
}

/// A cell of a count.
pub(crate) fn count(value: u64) -> Cell {
    number(grouped(&value.to_string()))
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
        Value::Number(number) if number.is_f64() => {
            grouped(&number.as_f64().unwrap_or_default().to_string())
        }
        Value::Number(number) => grouped(&number.to_string()),
        other => other.to_string(),
    }
}

/// A decimal number with commas between its thousands.
fn grouped(number: &str) -> String {
    let (sign, digits) = match number.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", number),
    };
    let (whole, fraction) = match digits.find('.') {
        Some(point) => digits.split_at(point),
        None => (digits, ""),
    };
    let mut grouped = sign.to_owned();
    for (index, digit) in whole.char_indices() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped + fraction
}

/// Seconds as a duration of at most two units: `3d 23h`.
pub(crate) fn duration(value: &Value) -> String {
    let Some(seconds) = value.as_f64() else {
        return String::new();
    };
    #[expect(clippy::cast_possible_truncation, reason = "a float cast saturates")]
    let seconds = seconds.ceil() as i64;
    let smallest = match seconds {
        ..3_600 => Unit::Second,
        3_600..86_400 => Unit::Minute,
        _ => Unit::Hour,
    };
    let round = SpanRound::new()
        .largest(Unit::Day)
        .smallest(smallest)
        .mode(jiff::RoundMode::Ceil)
        .days_are_24_hours();
    let span = Span::new().try_seconds(seconds);
    let span = span.and_then(|span| span.round(round));
    span.map_or_else(|_| format!("{seconds}s"), |span| format!("{span:#}"))
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_have_commas_between_their_thousands() {
        for (number, expected) in [
            (json!(0), "0"),
            (json!(999), "999"),
            (json!(1_000), "1,000"),
            (json!(-1_234_567), "-1,234,567"),
            (json!(100_000.5), "100,000.5"),
            (json!(10.0), "10"),
        ] {
            assert_eq!(text(&number), expected);
        }
    }

    #[test]
    fn durations_have_the_units_that_people_use_and_are_never_too_short() {
        for (seconds, expected) in [
            (json!(0), "0s"),
            (json!(0.2), "1s"),
            (json!(90), "1m 30s"),
            (json!(3_599), "59m 59s"),
            (json!(3_601), "1h 1m"),
            (json!(343_199), "4d"),
            (json!(300_000), "3d 12h"),
        ] {
            assert_eq!(duration(&seconds), expected);
        }
    }

    #[test]
    fn a_wrapped_cell_keeps_its_column() {
        let mut table = fields([
            ("id", "h9ptnx8gre".to_owned()),
            ("stages", "abc123:prod abc123:test".to_owned()),
        ]);
        table.set_content_arrangement(ContentArrangement::Dynamic);
        table.set_width(24);
        assert_eq!(
            lines(&table),
            "id      h9ptnx8gre\nstages  abc123:prod\n        abc123:test"
        );
    }
}
