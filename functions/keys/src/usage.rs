//! Usage by key and day, and setting what a key has left.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use futures_util::future::try_join_all;
use jiff::civil::Date;
use serde::Deserialize;
use tollgate_admin::input::remaining::remaining;
use tollgate_admin::input::times::{days, parse_day};
use tollgate_admin::usage::DayUsage;
use tollgate_admin::{Admin, Error, Page};
use tollgate_api::{Patch, Usage};
use tollgate_core::calendar::day_of;
use tollgate_core::id::{KeyId, PlanId};
use tollgate_dynamo::item::key::KeyRecord;
use tollgate_dynamo::item::plan::PlanRecord;

use crate::error::ApiError;
use crate::patch::{self, paths};
use crate::request::{Body, Ids, Params, page};

/// Keys whose usage is read at once.
const AT_ONCE: usize = 16;

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
    let days = days(start, end)?;
    let page = page(query.position, query.limit.as_deref(), "usage")?;
    let plan = admin.plan(&plan_id).await?;
    let keys = match query.key_id.filter(|id| !id.is_empty()) {
        Some(id) => Page {
            items: vec![key_of_usage(&admin, &id).await?],
            position: None,
        },
        None => admin.linked_keys(&plan, None, &page).await?,
    };
    let values = usages(&admin, &plan, &keys.items, days).await?;
    Ok(Json(shown(plan_id, days, values, keys.position)))
}

/// Sets what a key has left of its quota in the current period. The answer shows today.
///
/// # Errors
/// 400 for another operation or path, or a number that cannot be; 404 if the key is not in the plan.
pub async fn update(
    State(admin): State<Arc<Admin>>,
    Ids((plan_id, key_id)): Ids<(PlanId, KeyId)>,
    Body(body): Body<Patch>,
) -> Result<Json<Usage>, ApiError> {
    let changes = patch::read(body, paths::USAGE)?.into_iter();
    let numbers: Result<Vec<_>, _> = changes.map(|change| remaining(change.text())).collect();
    // All operations have to be valid; the last one applies.
    if let Some(remaining) = numbers?.last() {
        admin.set_remaining(&plan_id, &key_id, *remaining).await?;
    }
    let key = admin.linked_key(&plan_id, &key_id).await?;
    let plan = admin.plan(&plan_id).await?;
    let today = day_of(admin.now());
    let days = (today, today);
    let usage = admin.usage(&plan, &key, days).await?;
    let values = BTreeMap::from([(key_id, usage.iter().map(pair).collect())]);
    Ok(Json(shown(plan_id, days, values, None)))
}

/// For each key, a pair of used and remaining requests for each day.
type Values = BTreeMap<KeyId, Vec<[i64; 2]>>;

async fn usages(
    admin: &Admin,
    plan: &PlanRecord,
    keys: &[KeyRecord],
    days: (Date, Date),
) -> Result<Values, ApiError> {
    let mut values = BTreeMap::new();
    for chunk in keys.chunks(AT_ONCE) {
        let usages = chunk.iter().map(|key| admin.usage(plan, key, days));
        let usages = try_join_all(usages).await?;
        for (key, usage) in chunk.iter().zip(usages) {
            values.insert(key.id.clone(), usage.iter().map(pair).collect());
        }
    }
    Ok(values)
}

fn shown(
    plan_id: PlanId,
    (start, end): (Date, Date),
    values: Values,
    position: Option<String>,
) -> Usage {
    Usage {
        plan_id,
        start_date: start.to_string(),
        end_date: end.to_string(),
        position,
        values,
    }
}

/// Used and remaining requests of a day. Without a quota, nothing can remain: -1 stands for that.
fn pair(usage: &DayUsage) -> [i64; 2] {
    let whole = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    [whole(usage.used), usage.remaining.map_or(-1, whole)]
}

/// API Gateway's message for an unknown key is another one here than for the key's own resource.
async fn key_of_usage(admin: &Admin, id: &KeyId) -> Result<KeyRecord, ApiError> {
    admin.key(id).await.map_err(|error| match error {
        Error::NoSuchKey => ApiError::NotFound("Invalid Key identifier specified".to_owned()),
        error => error.into(),
    })
}

fn date(parameter: &str, text: Option<&str>) -> Result<Date, ApiError> {
    let text = text.ok_or_else(|| {
        ApiError::BadRequest(format!("{parameter} is required: expected YYYY-MM-DD"))
    })?;
    parse_day(text).ok_or_else(|| {
        ApiError::BadRequest(format!(
            "Invalid {parameter}: expected YYYY-MM-DD, got {text:?}"
        ))
    })
}
