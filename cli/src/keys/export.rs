//! `tollgate keys export`: all keys with their plans, in the columns of an import.

use std::collections::BTreeMap;

use clap::Args;
use jiff::Timestamp;
use serde_json::{Value, json};
use tollgate_api::client::Client;

use crate::failure::Failure;
use crate::output::csv_file::{self, Format};
use crate::output::table::{entries, text, time};
use crate::output::{Output, print};

const COLUMNS: [&str; 11] = [
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
];

/// `tollgate keys export`.
#[derive(Debug, Args)]
pub(super) struct Export {
    /// File format [default: csv, or json with --output json]
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Put a ' before values that a spreadsheet would run as formulas; do not import such a file
    #[arg(long)]
    for_spreadsheets: bool,
}

impl Export {
    pub(super) async fn run(self, api: &Client, output: Output) -> Result<(), Failure> {
        let keys = keys_with_plans(api).await?;
        if output.file_format(self.format) == Format::Json {
            return print(format!("{:#}", Value::Array(keys)));
        }
        let rows = keys.iter().map(row);
        if self.for_spreadsheets {
            csv_file::print(COLUMNS, rows.map(|row| row.map(inert)))
        } else {
            csv_file::print(COLUMNS, rows)
        }
    }
}

/// All keys, each with its value if the stack keeps values, and with `usagePlanIds`.
async fn keys_with_plans(api: &Client) -> Result<Vec<Value>, Failure> {
    let query = [("includeValues", "true")];
    let mut keys: Vec<Value> = api.list(&["apikeys"], &query, None).await?;
    let mut plans: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for plan in api.list::<Value>(&["usageplans"], &[], None).await? {
        let plan_id = text(&plan["id"]);
        let path = ["usageplans", &plan_id, "keys"];
        for key in api.list::<Value>(&path, &[], None).await? {
            let plans = plans.entry(text(&key["id"])).or_default();
            plans.push(plan_id.clone());
        }
    }
    for key in &mut keys {
        key["usagePlanIds"] = json!(plans.remove(&text(&key["id"])).unwrap_or_default());
    }
    Ok(keys)
}

fn row(key: &Value) -> [String; COLUMNS.len()] {
    let own = &key["tollgate"];
    let plans: Vec<_> = entries(&key["usagePlanIds"]).map(text).collect();
    [
        raw(&key["id"]),
        raw(&key["name"]),
        raw(&key["value"]),
        raw(&key["description"]),
        key["enabled"].to_string(),
        plans.join(","),
        raw(&key["customerId"]),
        time(&key["createdDate"]),
        to_the_second(&own["expiresAt"]),
        json_text(&own["restriction"]),
        json_text(&own["overrides"]),
    ]
}

/// A field as it is. What tables do for terminals has no place in a file.
fn raw(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// A time as exactly as the API has it, because an import reads it.
fn to_the_second(value: &Value) -> String {
    let time = value
        .as_i64()
        .and_then(|second| Timestamp::from_second(second).ok());
    time.map_or_else(String::new, |time| time.to_string())
}

/// An object as the JSON that an import reads.
fn json_text(value: &Value) -> String {
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
