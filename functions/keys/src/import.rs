//! `ImportApiKeys`: keys from a CSV file, in API Gateway's own format.
//!
//! A header row names the columns, in any order and case. `Name` and `Key` are required; `Description`, `Enabled` (true for a new
//! key if it is empty) and `UsagePlanIds` (several separated by commas) are optional. So are Tollgate's own columns, which
//! `tollgate keys export` writes: `CustomerId`, `Expires`, `Restriction` and `Overrides`, the last two as JSON. Other columns are
//! ignored.
//!
//! - [`file`](mod@file): CSV as spreadsheets write it, to a table of texts.
//! - [`rows`]: the table to keys, with a warning for each row that cannot be one.
//! - `terms`: Tollgate's own columns.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use jiff::Timestamp;
use serde::Deserialize;
use tollgate_admin::Admin;
use tollgate_admin::imports::{ImportKey, Imported};
use tollgate_admin::input::overrides;
use tollgate_api::import::ApiKeyIds;
use tollgate_core::id::PlanId;
use tollgate_dynamo::item::plan::PlanRecord;

use crate::error::ApiError;
use crate::request::is_true;
use crate::vault::Vault;

pub mod file;
pub mod rows;
mod terms;

pub use file::table;
pub use rows::{ImportFile, ImportRow, read_file};

use rows::left_out;

/// The query of `ImportApiKeys`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct ImportQuery {
    mode: Option<String>,
    format: Option<String>,
    failonwarnings: Option<String>,
}

impl ImportQuery {
    /// Whether the call is an import, and not the creation of a key.
    ///
    /// # Errors
    /// [`ApiError::BadRequest`] for an unknown mode.
    pub fn is_import(&self) -> Result<bool, ApiError> {
        match self.mode.as_deref() {
            None | Some("") => Ok(false),
            Some("import") => Ok(true),
            Some(other) => Err(ApiError::BadRequest(format!(
                "Invalid mode: expected import, got {other:?}"
            ))),
        }
    }

    fn check_format(&self) -> Result<(), ApiError> {
        let problem = match self.format.as_deref() {
            Some("csv") => return Ok(()),
            Some(other) => format!("Invalid format: expected csv, got {other:?}"),
            None => "format is required: expected csv".to_owned(),
        };
        Err(ApiError::BadRequest(problem))
    }
}

/// Imports keys. If a key has a row's value already, that key keeps it and is changed.
///
/// # Errors
/// 400 for a file that cannot be read, with its row and column; with `failonwarnings=true` for any warning, and then nothing is
/// imported. 429 if `until` came before all rows were imported: the same file, sent again, goes on.
pub async fn run(
    admin: &Admin,
    vault: &Vault,
    query: &ImportQuery,
    body: &[u8],
    until: Option<Instant>,
) -> Result<ApiKeyIds, ApiError> {
    query.check_format()?;
    let ImportFile { rows, mut warnings } = read_file(body)?;
    let plans = overridden_plans(admin, &rows).await?;
    let mut keys = Vec::with_capacity(rows.len());
    for row in rows {
        match with_overrides(row, &plans, admin.now()) {
            Ok(mut key) => {
                key.sealed = vault.seal(&key.value).await?;
                keys.push(key);
            }
            Err(warning) => warnings.push(warning),
        }
    }
    let fail_on_warnings = is_true(query.failonwarnings.as_deref());
    let Imported { ids, warnings } = admin
        .import_keys(keys, warnings, fail_on_warnings, until)
        .await?;
    Ok(ApiKeyIds { ids, warnings })
}

/// The plans that rows name in their overrides, as far as they exist.
async fn overridden_plans(
    admin: &Admin,
    rows: &[ImportRow],
) -> Result<BTreeMap<PlanId, PlanRecord>, ApiError> {
    let ids: BTreeSet<_> = rows
        .iter()
        .flat_map(|row| row.overrides.keys().cloned())
        .collect();
    let ids: Vec<_> = ids.into_iter().collect();
    let plans = admin.plans_by_id(&ids).await?;
    Ok(plans
        .into_iter()
        .map(|plan| (plan.id.clone(), plan))
        .collect())
}

/// A row's key with its own limits, or the warning that leaves the row out.
fn with_overrides(
    row: ImportRow,
    plans: &BTreeMap<PlanId, PlanRecord>,
    now: Timestamp,
) -> Result<ImportKey, String> {
    let ImportRow { mut key, overrides } = row;
    match overrides::not_over(&overrides, plans, now) {
        Ok(overrides) => {
            key.overrides = overrides;
            Ok(key)
        }
        Err(invalid) => Err(left_out(key.row, &invalid.into())),
    }
}
