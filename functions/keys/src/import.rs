//! `ImportApiKeys`: keys from a CSV file, in API Gateway's own format.
//!
//! A header row names the columns, in any order and case: `Name` and `Key` must be there, `Description`, `Enabled` (true
//! for a new key where it says nothing) and `UsagePlanIds` (several separated by commas) may be, others are ignored.

use axum::Json;
use axum::http::StatusCode;
use csv::{ReaderBuilder, StringRecord, Trim};
use serde::{Deserialize, Serialize};
use tollgate_core::key::KeyValue;
use tollgate_store::manage::Manager;
use tollgate_store::manage::imports::{ImportKey, Imported, warning};

use crate::error::ApiError;
use crate::vault::Vault;
use crate::wire::{bad, description, name};

/// What the resource is called in messages.
const WHAT: &str = "API Key";

/// The query of `ImportApiKeys`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct ImportQuery {
    mode: Option<String>,
    format: Option<String>,
    failonwarnings: Option<String>,
}

/// `ApiKeyIds`.
#[derive(Debug, Serialize)]
pub struct ApiKeyIds {
    ids: Vec<String>,
    warnings: Vec<String>,
}

impl ImportQuery {
    /// Whether the call is an import, and not the creation of a key.
    ///
    /// # Errors
    /// [`ApiError::BadRequest`] for a mode that is not known.
    pub fn is_import(&self) -> Result<bool, ApiError> {
        match self.mode.as_deref() {
            None | Some("") => Ok(false),
            Some("import") => Ok(true),
            Some(other) => Err(bad(format!("Invalid mode: expected import, got {other:?}"))),
        }
    }
}

/// Imports keys. A value that belongs to a key already stays with it, and the key is changed.
///
/// # Errors
/// 400 for a file that cannot be read, with its row and column; with `failonwarnings=true` for any warning, and then nothing
/// is imported.
pub async fn run(
    manager: &Manager,
    vault: &Vault,
    query: &ImportQuery,
    body: &[u8],
) -> Result<(StatusCode, Json<ApiKeyIds>), ApiError> {
    let fail_on_warnings = query
        .failonwarnings
        .as_deref()
        .is_some_and(|value| value.eq_ignore_ascii_case("true"));
    match query.format.as_deref() {
        Some("csv") => {}
        Some(other) => return Err(bad(format!("Invalid format: expected csv, got {other:?}"))),
        None => return Err(bad("format is required: expected csv".to_owned())),
    }
    let (mut keys, warnings) = read(body)?;
    for key in &mut keys {
        key.sealed = vault.seal(&key.value).await?;
    }
    let Imported { ids, warnings } = manager
        .import_keys(keys, warnings, fail_on_warnings)
        .await?;
    Ok((StatusCode::CREATED, Json(ApiKeyIds { ids, warnings })))
}

/// Where each column is.
struct Columns {
    name: usize,
    key: usize,
    description: Option<usize>,
    enabled: Option<usize>,
    plans: Option<usize>,
}

impl Columns {
    fn of(header: &StringRecord) -> Result<Self, ApiError> {
        let find = |name: &str| {
            header
                .iter()
                .position(|column| column.eq_ignore_ascii_case(name))
        };
        let required =
            |name: &str| find(name).ok_or_else(|| bad(format!("Missing required column '{name}'")));
        Ok(Self {
            name: required("Name")?,
            key: required("Key")?,
            description: find("Description"),
            enabled: find("Enabled"),
            plans: find("UsagePlanIds"),
        })
    }
}

/// The rows that can be keys, and what is wrong with the others.
fn read(body: &[u8]) -> Result<(Vec<ImportKey>, Vec<String>), ApiError> {
    // Spreadsheets put a mark in front.
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    // A quote that is not closed would take the rest of the file, keys and all, for one field.
    let is_closed = body.split(|byte| *byte == b'"').count() % 2 == 1;
    if !is_closed {
        return Err(bad("Malformed CSV: a quote is not closed; expected quotes around a field, and doubled inside".to_owned()));
    }
    let mut reader = ReaderBuilder::new().trim(Trim::All).from_reader(body);
    let columns = Columns::of(reader.headers().map_err(|error| malformed(&error))?)?;
    let (mut keys, mut warnings) = (Vec::new(), Vec::new());
    for (index, record) in reader.records().enumerate() {
        let record = record.map_err(|error| malformed(&error))?;
        match row(index + 1, &record, &columns) {
            Ok(key) => keys.push(key),
            Err(reason) => warnings.push(warning(index + 1, format!("{reason}; left out"))),
        }
    }
    Ok((keys, warnings))
}

fn row(number: usize, record: &StringRecord, columns: &Columns) -> Result<ImportKey, ApiError> {
    let text = |column: usize| record.get(column).unwrap_or_default();
    let optional = |column: Option<usize>| column.map(text).filter(|text| !text.is_empty());
    let value = KeyValue::parse(text(columns.key)).map_err(|error| bad(error.to_string()))?;
    let plans = optional(columns.plans).unwrap_or_default().split(',');
    let plans = plans.map(str::trim).filter(|id| !id.is_empty());
    Ok(ImportKey {
        row: number,
        value,
        sealed: None,
        name: name(WHAT, Some(text(columns.name).to_owned()))?,
        description: description(WHAT, optional(columns.description).map(str::to_owned))?,
        enabled: optional(columns.enabled).map(|text| text.eq_ignore_ascii_case("true")),
        plans: plans.map(str::to_owned).collect(),
    })
}

/// What is wrong with the file as such. It never quotes the file, which holds keys.
fn malformed(error: &csv::Error) -> ApiError {
    let row = |position: Option<&csv::Position>| {
        position.map_or_else(String::new, |position| {
            format!(" in row {} (line {})", position.record(), position.line())
        })
    };
    bad(match error.kind() {
        csv::ErrorKind::UnequalLengths {
            pos,
            expected_len,
            len,
        } => format!(
            "Malformed CSV{}: expected {expected_len} columns as in the header, got {len}",
            row(pos.as_ref())
        ),
        csv::ErrorKind::Utf8 { pos, err } => format!(
            "Malformed CSV{}: column {} is not UTF-8",
            row(pos.as_ref()),
            err.field() + 1
        ),
        _ => "Malformed CSV: it cannot be read".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUE: &str = "a-value-of-20-letters";

    fn error(body: &[u8]) -> String {
        read(body).expect_err("malformed").to_string()
    }

    #[test]
    fn columns_come_in_any_order_and_case_and_unknown_ones_are_ignored() {
        let file = format!(
            "\u{feff}color, kEY ,UsagePlanIds,enabled,NAME\n\
             red, {VALUE} ,\"p1, p2,\",tRuE,first\n\
             red,{VALUE}2,,no,\n\
             red,{VALUE}3,p1,,third"
        );
        let (keys, warnings) = read(file.as_bytes()).expect("readable");
        assert!(warnings.is_empty(), "{warnings:?}");
        assert_eq!(keys[0].plans, ["p1", "p2"]);
        assert_eq!(keys[0].name.as_deref(), Some("first"));
        let enabled: Vec<_> = keys.iter().map(|key| key.enabled).collect();
        assert_eq!(enabled, [Some(true), Some(false), None]);
        assert_eq!(keys[1].name, None);
    }

    #[test]
    fn a_missing_column_is_named() {
        assert_eq!(error(b"name,value\nn,v"), "Missing required column 'Key'");
        assert_eq!(error(b"key\nk"), "Missing required column 'Name'");
        assert_eq!(error(b""), "Missing required column 'Name'");
    }

    #[test]
    fn a_malformed_file_is_told_by_row_and_column_and_never_quoted() {
        let short = format!("Name,Key\na,{VALUE}\nb\n");
        assert_eq!(
            error(short.as_bytes()),
            "Malformed CSV in row 2 (line 3): expected 2 columns as in the header, got 1"
        );
        let open = format!("Name,Key\na,\"{VALUE}\nb,{VALUE}2\n");
        assert!(error(open.as_bytes()).starts_with("Malformed CSV: a quote is not closed"));
        let binary = [b"Name,Key\na,", &b"\xff\xfe"[..], VALUE.as_bytes()].concat();
        let binary = error(&binary);
        assert_eq!(
            binary,
            "Malformed CSV in row 1 (line 2): column 2 is not UTF-8"
        );
        assert!(!short.contains("MalformedKey") && !binary.contains(VALUE));
    }

    #[test]
    fn a_row_that_can_be_no_key_is_a_warning() {
        let file = format!("Name,Key\na,short\nb,{VALUE}\nc,tg_{VALUE}\n");
        let (keys, warnings) = read(file.as_bytes()).expect("readable");
        assert_eq!((keys.len(), keys[0].row), (1, 2));
        assert_eq!(
            warnings[0],
            "row 1: API Key value should be at least 20 characters; left out"
        );
        assert!(warnings[1].starts_with("row 3: ") && !warnings[1].contains(VALUE));
    }
}
