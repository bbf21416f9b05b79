//! Keys from CSV files and back, usage as CSV.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use csv::{StringRecord, Writer};
use indicatif::{ProgressBar, ProgressStyle};
use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};
use serde_json::{Value, json};

use crate::api::Api;
use crate::output::{Output, text, time};
use crate::{Failure, print};

/// Rows to a call: one takes a second or so, which is what progress is shown by.
const ROWS: usize = 500;

/// `tollgate keys import`.
#[derive(Debug, Args)]
pub(crate) struct Import {
    /// A CSV file whose header names Name and Key, and perhaps Description, Enabled, `UsagePlanIds`, `CustomerId`, Expires,
    /// Restriction and Overrides, as `keys export` writes them
    file: PathBuf,
    /// Import all or nothing: with any warning nothing is imported. The file then goes in one call, 4 MB at most
    #[arg(long)]
    fail_on_warnings: bool,
}

/// How an export is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Csv,
    Json,
}

impl Import {
    pub(crate) async fn run(self, api: &Api, output: Output) -> Result<(), Failure> {
        let (header, rows) = read(&self.file)?;
        // In one call the API looks for doubles itself; between calls it cannot.
        let (rows, mut warnings) = if self.fail_on_warnings {
            (rows, Vec::new())
        } else {
            distinct(&header, rows)
        };
        // A file without rows is sent as well: its header may be wrong.
        let rows_to_a_call = if self.fail_on_warnings {
            usize::MAX
        } else {
            ROWS
        };
        let mut chunks: Vec<_> = rows.chunks(rows_to_a_call).collect();
        if chunks.is_empty() {
            chunks.push(&[]);
        }
        let bar = ProgressBar::new(u64::try_from(rows.len())?);
        bar.set_style(ProgressStyle::with_template(
            "{bar:40} {pos} of {len} rows, {eta} left",
        )?);
        let (mut ids, mut done) = (Vec::new(), 0);
        for chunk in chunks {
            let imported = api
                .import(&to_csv(&header, chunk)?, self.fail_on_warnings)
                .await;
            let mut imported = imported.map_err(|error| match done {
                0 => error,
                done => format!(
                    "{error}; {done} rows were imported before. Importing the file again changes nothing of those"
                )
                .into(),
            })?;
            if let Value::Array(more) = imported["ids"].take() {
                ids.extend(more);
            }
            let more = imported["warnings"].as_array().into_iter().flatten();
            for warning in more.map(|warning| in_file(&text(warning), chunk)) {
                // What is said of the file is said with each call.
                if !warnings.contains(&warning) {
                    warnings.push(warning);
                }
            }
            done += chunk.len();
            bar.inc(u64::try_from(chunk.len())?);
        }
        bar.finish_and_clear();
        for warning in &warnings {
            eprintln!("warning: {warning}");
        }
        match output {
            Output::Json => print(format!("{:#}", json!({ "ids": ids, "warnings": warnings }))),
            Output::Table => {
                let (keys, warnings) = (ids.len(), warnings.len());
                print(format!("{keys} keys imported, {warnings} warnings"))
            }
        }
    }
}

/// A row and its number, counted from the first under the header.
type Row = (usize, StringRecord);

/// The rows whose keys were not there before, and warnings of the others.
fn distinct(header: &StringRecord, rows: Vec<Row>) -> (Vec<Row>, Vec<String>) {
    let is_key = |column: &str| column.eq_ignore_ascii_case("Key");
    let Some(column) = header.iter().position(is_key) else {
        return (rows, Vec::new());
    };
    let (mut first, mut warnings) = (BTreeMap::new(), Vec::new());
    let mut kept = Vec::with_capacity(rows.len());
    for (number, row) in rows {
        let key = row.get(column).unwrap_or_default().to_owned();
        let earlier = *first.entry(key).or_insert(number);
        if earlier == number {
            kept.push((number, row));
        } else {
            warnings.push(format!(
                "row {number}: has the Key of row {earlier}; left out"
            ));
        }
    }
    (kept, warnings)
}

/// The header and the rows of a file.
fn read(file: &Path) -> Result<(StringRecord, Vec<Row>), Failure> {
    let cannot = |error: &dyn std::fmt::Display| format!("cannot read {}: {error}", file.display());
    let bytes = std::fs::read(file).map_err(|error| cannot(&error))?;
    tollgate_keys::import::table(&bytes).map_err(|error| cannot(&error).into())
}

fn to_csv(header: &StringRecord, rows: &[Row]) -> Result<String, Failure> {
    let mut writer = Writer::from_writer(Vec::new());
    writer.write_record(header)?;
    for (_, row) in rows {
        writer.write_record(row)?;
    }
    Ok(String::from_utf8(writer.into_inner()?)?)
}

/// A warning about a row of a call, about the row of the file.
fn in_file(warning: &str, rows: &[Row]) -> String {
    let told = warning
        .strip_prefix("row ")
        .and_then(|rest| rest.split_once(':'));
    let told = told.and_then(|(number, reason)| {
        let index = number.parse::<usize>().ok()?.checked_sub(1)?;
        Some((rows.get(index)?.0, reason))
    });
    told.map_or_else(
        || warning.to_owned(),
        |(number, reason)| format!("row {number}:{reason}"),
    )
}

/// A field as it is: what tables do for terminals has no place in a file.
fn raw(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// A time, as exactly as it is kept: an import goes by it.
fn to_the_second(value: &Value) -> String {
    let time = value
        .as_i64()
        .and_then(|second| Timestamp::from_second(second).ok());
    time.map_or_else(String::new, |time| time.to_string())
}

/// What is no text, as an import reads it.
fn json_of(value: &Value) -> String {
    if value.is_null() {
        String::new()
    } else {
        value.to_string()
    }
}

/// A field that a spreadsheet would run as a formula, as text.
fn inert(field: String) -> String {
    if field.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        format!("'{field}")
    } else {
        field
    }
}

/// All keys with their plans, in the columns of an import, as far as values are kept.
pub(crate) async fn export_keys(
    api: &Api,
    format: Format,
    for_spreadsheets: bool,
) -> Result<(), Failure> {
    let mut keys = api
        .list(&["apikeys"], &[("includeValues", "true")], None)
        .await?;
    let mut plans: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for plan in api.list(&["usageplans"], &[], None).await? {
        let id = text(&plan["id"]);
        for key in api.list(&["usageplans", &id, "keys"], &[], None).await? {
            plans.entry(text(&key["id"])).or_default().push(id.clone());
        }
    }
    for key in &mut keys {
        let of_key = plans.remove(&text(&key["id"])).unwrap_or_default();
        key["usagePlanIds"] = json!(of_key);
    }
    if format == Format::Json {
        return print(format!("{:#}", Value::Array(keys)));
    }
    let mut writer = Writer::from_writer(Vec::new());
    writer.write_record([
        "Id",
        "Name",
        "Key",
        "Description",
        "Enabled",
        "UsagePlanIds",
        "CustomerId",
        "Created",
        "Expires",
        "Restriction",
        "Overrides",
    ])?;
    for key in &keys {
        let plans = key["usagePlanIds"].as_array().into_iter().flatten();
        let plans: Vec<_> = plans.map(text).collect();
        let fields = [
            raw(&key["id"]),
            raw(&key["name"]),
            raw(&key["value"]),
            raw(&key["description"]),
            key["enabled"].to_string(),
            plans.join(","),
            raw(&key["customerId"]),
            time(&key["createdDate"]),
            to_the_second(&key["tollgate"]["expiresAt"]),
            json_of(&key["tollgate"]["restriction"]),
            json_of(&key["tollgate"]["overrides"]),
        ];
        if for_spreadsheets {
            writer.write_record(fields.map(inert))?;
        } else {
            writer.write_record(fields)?;
        }
    }
    print(String::from_utf8(writer.into_inner()?)?.trim_end())
}

/// Usage, a row for each key and day.
pub(crate) fn export_usage(usage: &Value, from: Date, format: Format) -> Result<(), Failure> {
    if format == Format::Json {
        return print(format!("{usage:#}"));
    }
    let mut writer = Writer::from_writer(Vec::new());
    writer.write_record(["UsagePlanId", "KeyId", "Day", "Used", "Remaining"])?;
    let plan = text(&usage["usagePlanId"]);
    for (key, days) in usage["values"].as_object().into_iter().flatten() {
        for (day, pair) in days.as_array().into_iter().flatten().enumerate() {
            let date = from.saturating_add(i64::try_from(day)?.days());
            writer.write_record([
                &plan,
                key,
                &date.to_string(),
                &text(&pair[0]),
                &text(&pair[1]),
            ])?;
        }
    }
    print(String::from_utf8(writer.into_inner()?)?.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_are_about_the_rows_of_the_file() {
        let rows = [(7, StringRecord::new()), (9, StringRecord::new())];
        assert_eq!(in_file("row 2: why: because", &rows), "row 9: why: because");
        assert_eq!(in_file("row 3: why", &rows), "row 3: why");
        assert_eq!(in_file("something else", &rows), "something else");
    }
}
