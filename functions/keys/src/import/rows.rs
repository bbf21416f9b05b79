//! Rows of a file, as keys to import.

use std::collections::BTreeMap;

use csv::StringRecord;
use tollgate_admin::imports::{ImportKey, warning};
use tollgate_admin::input::OverrideDraft;
use tollgate_admin::input::text::{Resource, description, name};
use tollgate_core::id::PlanId;
use tollgate_core::key::KeyValue;

use super::file::{MalformedFile, PLANS, column, table, text};
use super::terms;
use crate::error::ApiError;

/// A file that was read.
#[derive(Debug)]
pub struct ImportFile {
    /// The rows that can be keys.
    pub rows: Vec<ImportRow>,
    /// What is wrong with the others, and with the file.
    pub warnings: Vec<String>,
}

/// A row that can be a key.
#[derive(Debug)]
pub struct ImportRow {
    /// The key, without its own limits.
    pub key: ImportKey,
    /// The key's own limits by plan id, not yet checked against the plans.
    pub overrides: BTreeMap<PlanId, OverrideDraft>,
}

/// The index of each column.
struct Columns {
    name: usize,
    key: usize,
    description: Option<usize>,
    enabled: Option<usize>,
    plans: Option<usize>,
    terms: terms::Columns,
}

impl Columns {
    fn of(header: &StringRecord) -> Result<Self, MalformedFile> {
        let required = |name| column(header, name)?.ok_or(MalformedFile::MissingColumn(name));
        Ok(Self {
            name: required("Name")?,
            key: required("Key")?,
            description: column(header, "Description")?,
            enabled: column(header, "Enabled")?,
            plans: column(header, PLANS)?,
            terms: terms::Columns::of(header)?,
        })
    }

    /// Whether `Enabled` says neither true nor false, nor nothing.
    fn is_enabled_unclear(&self, record: &StringRecord) -> bool {
        let enabled = text(record, self.enabled).unwrap_or_default();
        !matches!(&*enabled.to_ascii_lowercase(), "" | "true" | "false")
    }
}

/// Reads a file. It is also the entry point for anything that tests how files are read.
///
/// # Errors
/// 400 for a file that is malformed as a whole. A row that cannot be a key is a warning.
pub fn read_file(body: &[u8]) -> Result<ImportFile, ApiError> {
    let (header, records) = table(body)?;
    let columns = Columns::of(&header)?;
    let mut warnings: Vec<_> = columns.terms.warning(&header)?.into_iter().collect();
    let mut rows = Vec::with_capacity(records.len());
    for (number, record) in &records {
        match row(*number, record, &columns) {
            Ok(row) => rows.push(row),
            Err(reason) => {
                warnings.push(left_out(*number, &reason));
                continue;
            }
        }
        if columns.is_enabled_unclear(record) {
            let reason = "Enabled is neither true nor false; taken for false";
            warnings.push(warning(*number, reason));
        }
    }
    Ok(ImportFile { rows, warnings })
}

fn row(number: usize, record: &StringRecord, columns: &Columns) -> Result<ImportRow, ApiError> {
    let optional = |column| text(record, column);
    let value = KeyValue::parse(&record[columns.key])?;
    let plans = optional(columns.plans).unwrap_or_default().split(',');
    let plans = plans.map(str::trim).filter(|id| !id.is_empty());
    let terms = columns.terms.read(record)?;
    let key = ImportKey {
        row: number,
        value,
        sealed: None,
        name: name(Resource::ApiKey, Some(record[columns.name].to_owned()))?,
        description: description(
            Resource::ApiKey,
            optional(columns.description).map(str::to_owned),
        )?,
        enabled: optional(columns.enabled).map(|text| text.eq_ignore_ascii_case("true")),
        plans: plans.map(PlanId::from).collect(),
        customer_id: terms.customer_id,
        expires: terms.expires,
        restriction: terms.restriction,
        overrides: BTreeMap::new(),
    };
    Ok(ImportRow {
        key,
        overrides: terms.overrides,
    })
}

/// The warning for a row that cannot be a key.
pub(super) fn left_out(row: usize, reason: &ApiError) -> String {
    warning(row, format!("{reason}; left out"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const VALUE: &str = "a-value-of-20-letters";

    fn error(body: &[u8]) -> String {
        read_file(body).expect_err("malformed").to_string()
    }

    fn keys_of(body: &[u8]) -> Result<(Vec<ImportKey>, Vec<String>), ApiError> {
        let ImportFile { rows, warnings } = read_file(body)?;
        Ok((rows.into_iter().map(|row| row.key).collect(), warnings))
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

    proptest! {
        #[test]
        fn a_file_gives_a_key_or_a_warning_for_each_row(
            rows in proptest::collection::vec(("[a-zé]{0,3}", "[!-~]{0,40}", "[a-z,]{0,5}", "[\\[{}a:\"\\]]{0,6}"), 0..6),
        ) {
            let mut writer = csv::Writer::from_writer(Vec::new());
            writer.write_record(["Name", "Key", "UsagePlanIds", "Restriction"]).expect("in memory");
            for (name, key, plans, restriction) in &rows {
                writer.write_record([name, key, plans, restriction]).expect("in memory");
            }
            let body = writer.into_inner().expect("in memory");
            let (_, table) = table(&body).expect("as written");
            let file = read_file(&body).expect("as written");
            prop_assert_eq!(file.rows.len() + file.warnings.len(), table.len());
            for row in &file.rows {
                let (_, record) = &table[row.key.row - 1];
                prop_assert_eq!(row.key.value.expose(), &record[1]);
                prop_assert_eq!(row.key.name.as_deref().unwrap_or_default(), &record[0]);
            }
        }
    }
}
