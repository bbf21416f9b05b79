//! A CSV file, as spreadsheets and API Gateway write it.

use csv::{ErrorKind, Position, ReaderBuilder, StringRecord, Trim};

/// The column that can have several entries.
pub(super) const PLANS: &str = "UsagePlanIds";

/// A file that cannot be read. The texts never quote the file, which holds values of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MalformedFile {
    /// In another encoding than UTF-8.
    #[error("Malformed CSV: expected UTF-8, got UTF-16; save the file as \"CSV UTF-8\"")]
    Utf16,
    /// A quote that is not closed would make one field of the rest of the file, values of keys included.
    #[error(
        "Malformed CSV: a quote is not closed; expected quotes around a field, and doubled inside"
    )]
    OpenQuote,
    /// Columns that are separated otherwise than by commas.
    #[error("Malformed CSV: columns must be separated by commas, got {0}")]
    Separator(&'static str),
    /// A row that is longer or shorter than the header.
    #[error(
        "Malformed CSV in row {row} (line {line}): expected {expected} columns as in the header, got {got}"
    )]
    Columns {
        /// The row, counted from 1.
        row: usize,
        /// The line in the file.
        line: u64,
        /// Columns of the header.
        expected: usize,
        /// Columns of the row.
        got: usize,
    },
    /// A field that is not UTF-8.
    #[error("Malformed CSV in row {row} (line {line}): column {column} is not UTF-8")]
    NotUtf8 {
        /// The row, counted from 1.
        row: u64,
        /// The line in the file.
        line: u64,
        /// The column, counted from 1.
        column: usize,
    },
    /// A field of unknown position that is not UTF-8.
    #[error("Malformed CSV: column {0} is not UTF-8")]
    NotUtf8InColumn(usize),
    /// Unreadable for another reason.
    #[error("Malformed CSV: it cannot be read")]
    Unreadable,
    /// A required column is missing.
    #[error("Missing required column '{0}'")]
    MissingColumn(&'static str),
    /// A column that is there twice.
    #[error("Column '{0}' is there twice")]
    ColumnTwice(&'static str),
}

/// A row with its number, counted from 1.
pub type NumberedRow = (usize, StringRecord);

/// Reads a file: the header, and the rows under it. Blank lines are not rows.
///
/// # Errors
/// [`MalformedFile`], with row and line if one row is to blame.
pub fn table(body: &[u8]) -> Result<(StringRecord, Vec<NumberedRow>), MalformedFile> {
    let body = prepared(body)?;
    let mut reader = ReaderBuilder::new()
        .trim(Trim::All)
        .flexible(true)
        .from_reader(&*body);
    let header = reader.headers().map_err(|error| malformed(&error))?.clone();
    check_separator(&header)?;
    let plans = column(&header, PLANS)?;
    let mut rows = Vec::new();
    for record in reader.records() {
        let mut record = record.map_err(|error| malformed(&error))?;
        let line = record.position().map_or(0, Position::line);
        // Spreadsheets leave rows of nothing but commas.
        if record.iter().all(str::is_empty) {
            continue;
        }
        if let Some(plans) = plans {
            record = with_joined_plans(record, plans);
        }
        let row = rows.len() + 1;
        if record.len() != header.len() {
            return Err(MalformedFile::Columns {
                row,
                line,
                expected: header.len(),
                got: record.len(),
            });
        }
        rows.push((row, record));
    }
    Ok((header, rows))
}

/// The index of a column, if the file has it.
///
/// # Errors
/// [`MalformedFile::ColumnTwice`].
pub(super) fn column(
    header: &StringRecord,
    name: &'static str,
) -> Result<Option<usize>, MalformedFile> {
    let columns = header.iter().enumerate();
    let mut named = columns.filter(|(_, column)| column.eq_ignore_ascii_case(name));
    match (named.next(), named.next()) {
        (_, Some(_)) => Err(MalformedFile::ColumnTwice(name)),
        (first, None) => Ok(first.map(|(index, _)| index)),
    }
}

/// The text of a column, if the file has the column and the text is not empty.
pub(super) fn text(record: &StringRecord, column: Option<usize>) -> Option<&str> {
    let text = column.and_then(|column| record.get(column));
    text.filter(|text| !text.is_empty())
}

/// The file in the form that the CSV reader takes.
fn prepared(body: &[u8]) -> Result<Vec<u8>, MalformedFile> {
    if matches!(
        body,
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [0, ..] | [_, 0, ..]
    ) {
        return Err(MalformedFile::Utf16);
    }
    // Spreadsheets start a file with a byte order mark.
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    without_blanks_before_quotes(body).ok_or(MalformedFile::OpenQuote)
}

fn check_separator(header: &StringRecord) -> Result<(), MalformedFile> {
    for (separator, name) in [(';', "semicolons"), ('\t', "tabs")] {
        if header.len() == 1 && header[0].contains(separator) {
            return Err(MalformedFile::Separator(name));
        }
    }
    Ok(())
}

/// The file without blanks before quotes, which API Gateway takes and CSV does not; `None` if a quote is not closed.
fn without_blanks_before_quotes(body: &[u8]) -> Option<Vec<u8>> {
    enum At {
        /// The start of a field, after so many blanks.
        Start(usize),
        Plain,
        Quoted,
        /// After a quote that ends the field, or is the first of two that stand for one.
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

/// Joins the fields of a row's usage plans to one, if they are in single quotes: API Gateway takes these too.
fn with_joined_plans(record: StringRecord, column: usize) -> StringRecord {
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

fn malformed(error: &csv::Error) -> MalformedFile {
    let ErrorKind::Utf8 { pos, err } = error.kind() else {
        return MalformedFile::Unreadable;
    };
    let column = err.field() + 1;
    match pos {
        Some(position) => MalformedFile::NotUtf8 {
            row: position.record(),
            line: position.line(),
            column,
        },
        None => MalformedFile::NotUtf8InColumn(column),
    }
}

#[cfg(test)]
mod tests {
    use csv::Writer;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_bytes_are_a_table_or_an_error(
            body in prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..80),
                "(Name,Key,UsagePlanIds\n)?[\"', ,a\n\r\t;]{0,40}".prop_map(String::into_bytes),
            ],
        ) {
            if let Ok((header, rows)) = table(&body) {
                prop_assert!(rows.iter().all(|(_, row)| row.len() == header.len()));
            }
        }

        #[test]
        fn a_table_that_is_written_reads_back_trimmed(
            rows in proptest::collection::vec(("\\PC{0,8}", "[\"', ,a\n\r\t;]{0,8}"), 0..6),
        ) {
            let mut writer = Writer::from_writer(Vec::new());
            writer.write_record(["Name", "Description"]).expect("in memory");
            for (name, description) in &rows {
                writer.write_record([name, description]).expect("in memory");
            }
            let body = writer.into_inner().expect("in memory");
            let (_, read) = table(&body).expect("as written");
            let read: Vec<_> = read.iter().map(|(_, row)| (&row[0], &row[1])).collect();
            let written = rows.iter().map(|(name, text)| (name.trim(), text.trim()));
            let written: Vec<_> = written.filter(|row| *row != ("", "")).collect();
            prop_assert_eq!(read, written);
        }
    }
}
