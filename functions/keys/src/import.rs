//! `ImportApiKeys`: keys from a CSV file, in API Gateway's own format.
//!
//! A header row names the columns, in any order and case: `Name` and `Key` must be there, `Description`, `Enabled` (true
//! for a new key where it says nothing) and `UsagePlanIds` (several separated by commas) may be. So may Tollgate's own, which
//! `tollgate keys export` writes: `CustomerId`, `Expires`, `Restriction` and `Overrides`, the last two as JSON. Others are
//! ignored.

use std::time::Instant;

use axum::Json;
use axum::http::StatusCode;
use csv::StringRecord;
use serde::{Deserialize, Serialize};
use tollgate_admin::Admin;
use tollgate_admin::imports::{ImportKey, Imported, warning};
use tollgate_core::id::{KeyId, PlanId};
use tollgate_core::key::KeyValue;

use crate::error::ApiError;
use crate::vault::Vault;
use crate::wire::{bad, description, name};

mod file;
mod terms;

pub use file::table;
use terms::Given;

/// What the resource is called in messages.
const WHAT: &str = "API Key";

/// The column that may have several entries.
const PLANS: &str = "UsagePlanIds";

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
    ids: Vec<KeyId>,
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
/// 429 where `until` was too soon for all rows: sent again, the file goes on.
/// 400 for a file that cannot be read, with its row and column; with `failonwarnings=true` for any warning, and then nothing
/// is imported.
pub async fn run(
    admin: &Admin,
    vault: &Vault,
    query: &ImportQuery,
    body: &[u8],
    until: Option<Instant>,
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
    let (rows, mut warnings) = read(body)?;
    let plans = terms::plans(admin, rows.iter().map(|(_, given)| given)).await?;
    let mut keys = Vec::with_capacity(rows.len());
    for (mut key, given) in rows {
        match terms::overrides(&given.overrides, &plans, admin.now()) {
            Ok(overrides) => key.overrides = overrides,
            Err(reason) => {
                warnings.push(warning(key.row, format!("{reason}; left out")));
                continue;
            }
        }
        key.sealed = vault.seal(&key.value).await?;
        keys.push(key);
    }
    let Imported { ids, warnings } = admin
        .import_keys(keys, warnings, fail_on_warnings, until)
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
    terms: terms::Columns,
}

impl Columns {
    fn of(header: &StringRecord) -> Result<Self, ApiError> {
        let required = |name: &str| {
            column(header, name)?.ok_or_else(|| bad(format!("Missing required column '{name}'")))
        };
        Ok(Self {
            name: required("Name")?,
            key: required("Key")?,
            description: column(header, "Description")?,
            enabled: column(header, "Enabled")?,
            plans: column(header, PLANS)?,
            terms: terms::Columns::of(header)?,
        })
    }
}

fn column(header: &StringRecord, name: &str) -> Result<Option<usize>, ApiError> {
    let named = header.iter().enumerate();
    let mut named = named.filter(|(_, column)| column.eq_ignore_ascii_case(name));
    match (named.next(), named.next()) {
        (_, Some(_)) => Err(bad(format!("Column '{name}' is there twice"))),
        (first, None) => Ok(first.map(|(index, _)| index)),
    }
}

/// The rows that can be keys, each with what is still to be checked against plans, and what is wrong with the others.
type Rows = (Vec<(ImportKey, Given)>, Vec<String>);

/// Reads a file.
fn read(body: &[u8]) -> Result<Rows, ApiError> {
    let (header, rows) = table(body)?;
    let columns = Columns::of(&header)?;
    let mut warnings: Vec<_> = columns.terms.warning(&header)?.into_iter().collect();
    let mut keys = Vec::with_capacity(rows.len());
    for (number, record) in &rows {
        match row(*number, record, &columns) {
            Ok(key) => keys.push(key),
            Err(reason) => {
                warnings.push(warning(*number, format!("{reason}; left out")));
                continue;
            }
        }
        let enabled = columns.enabled.and_then(|column| record.get(column));
        if !matches!(
            enabled.map(str::to_ascii_lowercase).as_deref(),
            None | Some("" | "true" | "false")
        ) {
            let reason = "Enabled is neither true nor false; taken for false";
            warnings.push(warning(*number, reason));
        }
    }
    Ok((keys, warnings))
}

fn row(
    number: usize,
    record: &StringRecord,
    columns: &Columns,
) -> Result<(ImportKey, Given), ApiError> {
    let text = |column: usize| record.get(column).unwrap_or_default();
    let optional = |column: Option<usize>| column.map(text).filter(|text| !text.is_empty());
    let value = KeyValue::parse(text(columns.key)).map_err(|error| bad(error.to_string()))?;
    let plans = optional(columns.plans).unwrap_or_default().split(',');
    let plans = plans.map(str::trim).filter(|id| !id.is_empty());
    let mut given = columns.terms.read(record)?;
    let key = ImportKey {
        row: number,
        value,
        sealed: None,
        name: name(WHAT, Some(text(columns.name).to_owned()))?,
        description: description(WHAT, optional(columns.description).map(str::to_owned))?,
        enabled: optional(columns.enabled).map(|text| text.eq_ignore_ascii_case("true")),
        plans: plans.map(PlanId::from).collect(),
        customer_id: given.customer_id.take(),
        expires: given.expires.take(),
        restriction: given.restriction.take(),
        overrides: std::collections::BTreeMap::new(),
    };
    Ok((key, given))
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUE: &str = "a-value-of-20-letters";

    fn error(body: &[u8]) -> String {
        read(body).expect_err("malformed").to_string()
    }

    fn keys_of(body: &[u8]) -> Result<(Vec<ImportKey>, Vec<String>), ApiError> {
        let (rows, warnings) = read(body)?;
        Ok((rows.into_iter().map(|(key, _)| key).collect(), warnings))
    }

    #[test]
    fn a_file_of_another_encoding_or_with_other_separators_says_what_is_wrong() {
        let file = format!("Name,Key\na,{VALUE}\n");
        for order in [u16::to_le_bytes, u16::to_be_bytes] {
            for mark in ["", "\u{feff}"] {
                let utf16 = format!("{mark}{file}");
                let utf16: Vec<u8> = utf16.encode_utf16().flat_map(order).collect();
                assert!(error(&utf16).contains("expected UTF-8, got UTF-16"));
            }
        }
        for (separator, name) in [(";", "semicolons"), ("\t", "tabs")] {
            let other = file.replace(',', separator);
            let expected =
                format!("Malformed CSV: columns must be separated by commas, got {name}");
            assert_eq!(error(other.as_bytes()), expected);
        }
    }

    #[test]
    fn columns_come_in_any_order_and_case_and_unknown_ones_are_ignored() {
        let file = format!(
            "\u{feff}color, kEY ,UsagePlanIds,enabled,NAME\n\
             red, {VALUE} ,\"p1, p2,\",tRuE,first\n\
             red,{VALUE}2,,FALSE,\n\
             red,{VALUE}3,p1,,third"
        );
        let (keys, warnings) = keys_of(file.as_bytes()).expect("readable");
        assert!(warnings.is_empty(), "{warnings:?}");
        assert_eq!(keys[0].plans, ["p1", "p2"]);
        assert_eq!(keys[0].name.as_deref(), Some("first"));
        let enabled: Vec<_> = keys.iter().map(|key| key.enabled).collect();
        assert_eq!(enabled, [Some(true), Some(false), None]);
        assert_eq!(keys[1].name, None);
    }

    #[test]
    fn quotes_may_have_blanks_before_and_behind_and_plans_single_ones() {
        for (plans, expected) in [
            ("\"p1,p2\"", ["p1", "p2"].as_slice()),
            (" \"p1, p2\" ", &["p1", "p2"]),
            ("'p1,p2'", &["p1", "p2"]),
            (" ' p1 , p2 ' ", &["p1", "p2"]),
            ("'p1'", &["p1"]),
            ("p1", &["p1"]),
            ("", &[]),
        ] {
            let file = format!(
                "Name, \"Key\",UsagePlanIds, Enabled\n\t\"a \"\"b\"\"\", \"{VALUE}\",{plans}, \"true\"\n"
            );
            let (keys, warnings) = keys_of(file.as_bytes()).expect(&file);
            assert_eq!(keys[0].plans, expected, "{file}");
            assert_eq!(keys[0].value.expose(), VALUE);
            assert_eq!(keys[0].name.as_deref(), Some("a \"b\""));
            assert!(warnings.is_empty(), "{warnings:?}");
        }
    }

    #[test]
    fn an_inch_mark_is_text_and_blank_lines_are_no_rows() {
        let file = format!("Name,Key\n24\"\" monitor,{VALUE}\n  \n,\n , ,,\n\n'tis,{VALUE}2\n\t\n");
        let (keys, _) = keys_of(file.as_bytes()).expect("readable");
        let names: Vec<_> = keys.iter().map(|key| key.name.as_deref()).collect();
        assert_eq!(names, [Some("24\"\" monitor"), Some("'tis")]);
        assert_eq!(keys[1].row, 2);
    }

    #[test]
    fn a_column_that_is_there_twice_is_refused() {
        assert_eq!(error(b"Name,Key,kEY\n"), "Column 'Key' is there twice");
        assert_eq!(
            error(b"Name,Key,UsagePlanIds,UsagePlanIds\n"),
            "Column 'UsagePlanIds' is there twice"
        );
    }

    #[test]
    fn enabled_that_is_neither_true_nor_false_is_false_with_a_warning() {
        let file = format!("Name,Key,Enabled\na,{VALUE},yes\nb,{VALUE}2,FALSE\n");
        let (keys, warnings) = keys_of(file.as_bytes()).expect("readable");
        assert_eq!(keys[0].enabled, Some(false));
        assert_eq!(
            warnings,
            ["row 1: Enabled is neither true nor false; taken for false"]
        );
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
        let (keys, warnings) = keys_of(file.as_bytes()).expect("readable");
        assert_eq!((keys.len(), keys[0].row), (1, 2));
        assert_eq!(
            warnings[0],
            "row 1: API Key value should be at least 20 characters; left out"
        );
        assert!(warnings[1].starts_with("row 3: ") && !warnings[1].contains(VALUE));
    }
}
