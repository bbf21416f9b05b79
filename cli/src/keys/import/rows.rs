//! The rows of a file of keys.

use std::collections::BTreeMap;
use std::path::Path;

use csv::StringRecord;

use crate::failure::Failure;

/// A row of the file.
#[derive(Debug, Default)]
pub(super) struct Row {
    /// Counted from 1, the first row under the header.
    number: usize,
    pub(super) fields: StringRecord,
}

/// Reads the header and the rows of a file.
pub(super) fn read(file: &Path) -> Result<(StringRecord, Vec<Row>), Failure> {
    let cannot = |error: &dyn std::fmt::Display| format!("cannot read {}: {error}", file.display());
    let bytes = std::fs::read(file).map_err(|error| cannot(&error))?;
    let (header, rows) = tollgate_keys::import::table(&bytes).map_err(|error| cannot(&error))?;
    let rows = rows.into_iter();
    let rows = rows.map(|(number, fields)| Row { number, fields });
    Ok((header, rows.collect()))
}

/// Leaves out rows whose key an earlier row has, with a warning about each. Rows of one file go in several calls, and the API
/// sees repeats only within a call.
pub(super) fn without_repeats(
    header: &StringRecord,
    rows: Vec<Row>,
    warnings: &mut Vec<String>,
) -> Vec<Row> {
    let is_key = |column: &str| column.eq_ignore_ascii_case("Key");
    let Some(column) = header.iter().position(is_key) else {
        return rows;
    };
    let mut first_with = BTreeMap::new();
    let mut kept = Vec::with_capacity(rows.len());
    for row in rows {
        let key = row.fields.get(column).unwrap_or_default().to_owned();
        let number = row.number;
        let first = *first_with.entry(key).or_insert(number);
        if first == number {
            kept.push(row);
        } else {
            warnings.push(format!(
                "row {number}: has the Key of row {first}; left out"
            ));
        }
    }
    kept
}

/// A warning about a row of a call, as one about the row of the file.
pub(super) fn in_file(warning: &str, rows: &[Row]) -> String {
    let renumbered = || {
        let (number, reason) = warning.strip_prefix("row ")?.split_once(':')?;
        let index = number.parse::<usize>().ok()?.checked_sub(1)?;
        let number = rows.get(index)?.number;
        Some(format!("row {number}:{reason}"))
    };
    renumbered().unwrap_or_else(|| warning.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_are_about_the_rows_of_the_file() {
        let rows = [7, 9].map(|number| Row {
            number,
            ..Row::default()
        });
        assert_eq!(in_file("row 2: why: because", &rows), "row 9: why: because");
        assert_eq!(in_file("row 3: why", &rows), "row 3: why");
        assert_eq!(in_file("something else", &rows), "something else");
    }
}
