//! Usage by key and day.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use futures_util::future::try_join_all;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use tollgate_admin::grants::MOST_REMAINING;
use tollgate_admin::usage::DayUsage;
use tollgate_admin::{Admin, Error, Page};
use tollgate_core::calendar::day_of;
use tollgate_core::id::{KeyId, PlanId};
use tollgate_dynamo::item::key::KeyRecord;

use crate::error::ApiError;
use crate::patch::{self, Patch};
use crate::request::{Body, Ids, Paging, Params};
use crate::wire::bad;

/// Keys whose usage is read at once.
const AT_ONCE: usize = 16;
/// Days of a range at most.
const MAX_DAYS: i32 = 90;

/// The query of `GetUsage`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct UsageQuery {
    key_id: Option<KeyId>,
    start_date: Option<String>,
    end_date: Option<String>,
    position: Option<String>,
    limit: Option<String>,
}

/// `Usage`: for each key, one pair of used and remaining per day. A plan without a quota has nothing that could remain:
/// -1 stands for that.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    #[serde(rename = "usagePlanId")]
    plan_id: PlanId,
    start_date: String,
    end_date: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<String>,
    values: BTreeMap<KeyId, Vec<[i64; 2]>>,
}

/// Shows the usage of a plan's keys, or of one of them, from one day to another, both included.
///
/// # Errors
/// 400 for dates that cannot be or are too far apart, 404 for an unknown plan or key.
pub async fn show(
    State(admin): State<Arc<Admin>>,
    Ids(plan_id): Ids<PlanId>,
    Params(query): Params<UsageQuery>,
) -> Result<Json<Usage>, ApiError> {
    let start = date("startDate", query.start_date.as_deref())?;
    let end = date("endDate", query.end_date.as_deref())?;
    let days = end.duration_since(start).as_hours() / 24 + 1;
    if days < 1 || days > i64::from(MAX_DAYS) {
        return Err(bad(format!(
            "Invalid date range: expected endDate on or after startDate and at most {MAX_DAYS} days, got {start} to {end}"
        )));
    }
    let page = Paging::new(query.position, query.limit).page("usage")?;
    let plan = admin.plan(&plan_id).await?;
    let keys = match query.key_id.filter(|id| !id.as_str().is_empty()) {
        Some(id) => Page {
            items: vec![key_of_usage(&admin, &id).await?],
            position: None,
        },
        None => admin.linked_keys(&plan, None, &page).await?,
    };
    let mut values = BTreeMap::new();
    for some in keys.items.chunks(AT_ONCE) {
        let usages = some.iter().map(|key| admin.usage(&plan, key, (start, end)));
        let usages = try_join_all(usages).await?;
        for (key, usage) in some.iter().zip(usages) {
            values.insert(key.id.clone(), usage.iter().map(pair).collect());
        }
    }
    Ok(Json(Usage {
        plan_id,
        start_date: start.to_string(),
        end_date: end.to_string(),
        position: keys.position,
        values,
    }))
}

/// Sets what a key has left of its quota in the current period. The answer shows the day.
///
/// # Errors
/// 400 for another operation or path, or a number that cannot be; 404 where the key is not in the plan.
pub async fn update(
    State(admin): State<Arc<Admin>>,
    Ids((plan_id, key_id)): Ids<(PlanId, KeyId)>,
    Body(patch): Body<Patch>,
) -> Result<Json<Usage>, ApiError> {
    let operations = patch.read(patch::USAGE)?.into_iter();
    let wanted: Result<Vec<_>, _> = operations
        .map(|operation| remaining(operation.value.as_deref()))
        .collect();
    // All or none, and of several the last.
    if let Some(remaining) = wanted?.last() {
        admin.set_remaining(&plan_id, &key_id, *remaining).await?;
    }
    let key = admin.linked_key(&plan_id, &key_id).await?;
    let plan = admin.plan(&plan_id).await?;
    let today = day_of(admin.now());
    let days = admin.usage(&plan, &key, (today, today)).await?;
    Ok(Json(Usage {
        plan_id,
        start_date: today.to_string(),
        end_date: today.to_string(),
        position: None,
        values: BTreeMap::from([(key_id, days.iter().map(pair).collect())]),
    }))
}

/// API Gateway words the error for an unknown key differently here than for the key's own resource.
async fn key_of_usage(admin: &Admin, id: &KeyId) -> Result<KeyRecord, ApiError> {
    admin.key(id).await.map_err(|error| match error {
        Error::NoSuchKey => ApiError::NotFound("Invalid Key identifier specified".to_owned()),
        error => error.into(),
    })
}

fn remaining(value: Option<&str>) -> Result<u64, ApiError> {
    let value = value.unwrap_or_default().trim();
    let remaining = value.parse().ok();
    let remaining = remaining.filter(|remaining| *remaining <= MOST_REMAINING);
    remaining.ok_or_else(|| {
        bad(format!(
            "Invalid value for /remaining: expected a whole number from 0 to {MOST_REMAINING}, got {value:?}"
        ))
    })
}

fn pair(usage: &DayUsage) -> [i64; 2] {
    let whole = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    [whole(usage.used), usage.remaining.map_or(-1, whole)]
}

fn date(name: &str, text: Option<&str>) -> Result<Date, ApiError> {
    let text = text.ok_or_else(|| bad(format!("{name} is required: expected YYYY-MM-DD")))?;
    // The parser takes times and zones as well; this parameter does not.
    let date = text
        .parse()
        .ok()
        .filter(|_| text.len() == "YYYY-MM-DD".len());
    date.ok_or_else(|| bad(format!("Invalid {name}: expected YYYY-MM-DD, got {text:?}")))
}
