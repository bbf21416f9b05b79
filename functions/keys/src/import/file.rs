//! A CSV file, as spreadsheets and API Gateway write it.

use csv::{ReaderBuilder, StringRecord, Trim};

use super::{PLANS, column};
use crate::error::ApiError;
use crate::wire::bad;

/// A header, and the rows under it with their numbers, counted from 1. Blank lines are none.
///
/// # Errors
/// [`ApiError::BadRequest`] says in which row and line the file is malformed.
pub fn table(body: &[u8]) -> Result<(StringRecord, Vec<(usize, StringRecord)>), ApiError> {
    if matches!(
        body,
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [0, ..] | [_, 0, ..]
    ) {
        return Err(bad(
            "Malformed CSV: expected UTF-8, got UTF-16; save the file as \"CSV UTF-8\"".to_owned(),
        ));
    }
    // Spreadsheets put a mark in front.
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let body = quotes_first(body).ok_or_else(|| {
        // It would take the rest of the file, keys and all, for one field.
        bad("Malformed CSV: a quote is not closed; expected quotes around a field, and doubled inside".to_owned())
    })?;
    let mut reader = ReaderBuilder::new()
        .trim(Trim::All)
        .flexible(true)
        .from_reader(&*body);
    let header = reader.headers().map_err(|error| malformed(&error))?.clone();
    for (separator, name) in [(';', "semicolons"), ('\t', "tabs")] {
        if header.len() == 1 && header[0].contains(separator) {
            return Err(bad(format!(
                "Malformed CSV: columns must be separated by commas, got {name}"
            )));
        }
    }
    let plans = column(&header, PLANS)?;
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| malformed(&error))?;
        let line = record.position().map_or(0, csv::Position::line);
        // Spreadsheets leave rows of nothing but commas.
        if record.iter().all(str::is_empty) {
            continue;
        }
        let record = match plans {
            Some(plans) => single_quoted(record, plans),
            None => record,
        };
        let number = rows.len() + 1;
        if record.len() != header.len() {
            return Err(bad(format!(
                "Malformed CSV in row {number} (line {line}): expected {} columns as in the header, got {}",
                header.len(),
                record.len()
            )));
        }
        rows.push((number, record));
    }
    Ok((header, rows))
}

/// The file without the blanks before quotes, which is where API Gateway takes them and CSV does not; `None` where a quote is
/// not closed.
fn quotes_first(body: &[u8]) -> Option<Vec<u8>> {
    enum At {
        /// The start of a field, with so many blanks behind.
        Start(usize),
        Plain,
        Quoted,
        /// Behind a quote that closes, or is the first of two that stand for one.
        Closed,
    }
    let mut at = At::Start(0);
    let mut out = Vec::with_capacity(body.len());
    for &byte in body {
        at = match (at, byte) {
            (At::Start(blanks), b' ' | b'\t') => At::Start(blanks + 1),
            (At::Start(blanks), b'"') => {
                out.truncate(out.len() - blanks);
                At::Quoted
            }
            (At::Quoted, b'"') => At::Closed,
            (At::Quoted, _) | (At::Closed, b'"') => At::Quoted,
            (_, b',' | b'\n' | b'\r') => At::Start(0),
            (At::Start(_) | At::Plain | At::Closed, _) => At::Plain,
        };
        out.push(byte);
    }
    (!matches!(at, At::Quoted)).then_some(out)
}

/// A row whose usage plans stand in single quotes, which API Gateway takes as well, with the plans as one field.
fn single_quoted(record: StringRecord, column: usize) -> StringRecord {
    let fields: Vec<_> = record.iter().collect();
    let end = (column..fields.len()).find(|field| fields[*field].ends_with('\''));
    match (fields.get(column), end) {
        (Some(first), Some(end)) if first.starts_with('\'') => {
            let plans = fields[column..=end].join(",");
            let plans = [plans.trim_matches('\'')];
            let (before, after) = (&fields[..column], &fields[end + 1..]);
            [before, &plans, after].concat().into()
        }
        _ => record,
    }
}

/// What is wrong with the file as such. It never quotes the file, which holds keys.
fn malformed(error: &csv::Error) -> ApiError {
    let csv::ErrorKind::Utf8 { pos, err } = error.kind() else {
        return bad("Malformed CSV: it cannot be read".to_owned());
    };
    let row = pos.as_ref().map_or_else(String::new, |position| {
        format!(" in row {} (line {})", position.record(), position.line())
    });
    bad(format!(
        "Malformed CSV{row}: column {} is not UTF-8",
        err.field() + 1
    ))
}
