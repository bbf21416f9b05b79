//! What patch operations do to an API key.

use std::collections::BTreeMap;

use jiff::Timestamp;
use tollgate_admin::input::text::{Resource, customer_id, description, name};
use tollgate_admin::input::{MethodLists, methods, stage_keys, times};
use tollgate_admin::{Admin, Error};
use tollgate_api::object::Object;
use tollgate_api::{KeyOverride, Op};
use tollgate_core::id::PlanId;
use tollgate_core::terms::Restriction;
use tollgate_dynamo::item::key::KeyRecord;
use tollgate_dynamo::item::plan::PlanRecord;

use super::Change;
use super::paths::{EXPIRES_AT, OVERRIDES, RESTRICTION, entry};
use crate::draft;
use crate::error::ApiError;
use crate::request::json_value;

/// The plans whose limits these changes override, by id: the new limits are checked against them.
///
/// # Errors
/// 404 if there is no such plan.
pub async fn overridden_plans(
    admin: &Admin,
    changes: &[Change],
) -> Result<BTreeMap<PlanId, PlanRecord>, ApiError> {
    let mut plans = BTreeMap::new();
    let set = changes.iter().filter(|change| change.op != Op::Remove);
    for id in set.filter_map(|change| entry(&change.path, OVERRIDES)) {
        if !plans.contains_key(id) {
            let id = PlanId::from(id);
            let plan = admin.plan(&id).await?;
            plans.insert(id, plan);
        }
    }
    Ok(plans)
}

/// Whether a change disables the key. As in API Gateway, any text but "true" does.
pub fn disables(change: &Change) -> bool {
    change.path == "/enabled" && !change.text().eq_ignore_ascii_case("true")
}

/// Makes a change.
///
/// # Errors
/// 400 for a value that cannot be, 404 for a stage to remove that the key does not name.
pub fn apply(
    change: &Change,
    record: &mut KeyRecord,
    plans: &BTreeMap<PlanId, PlanRecord>,
    now: Timestamp,
) -> Result<(), ApiError> {
    let value = || change.value.clone();
    match change.path.as_str() {
        "/name" => record.name = name(Resource::ApiKey, value())?,
        "/description" => record.description = description(Resource::ApiKey, value())?,
        "/customerId" => record.customer_id = customer_id(value())?,
        "/enabled" => record.enabled = !disables(change),
        "/stages" if change.op == Op::Remove => {
            stage_keys::remove(&mut record.stage_keys, change.text())?;
        }
        "/stages" => stage_keys::add(&mut record.stage_keys, change.text())?,
        EXPIRES_AT => record.expires = expiry(change, now)?,
        RESTRICTION => record.restriction = restriction(change)?,
        path => {
            // The only other path is /labels: labels date from before usage plans, and nothing depends on them.
            if let Some(plan) = entry(path, OVERRIDES) {
                overrides(plan, change, record, plans, now)?;
            }
        }
    }
    Ok(())
}

fn expiry(change: &Change, now: Timestamp) -> Result<Option<Timestamp>, ApiError> {
    if change.op == Op::Remove {
        return Ok(None);
    }
    let text = change.text();
    let seconds = text.trim().parse().map_err(|_| {
        ApiError::BadRequest(format!(
            "Invalid expiresAt: expected epoch seconds, got {text:?}"
        ))
    })?;
    Ok(Some(times::expiry(seconds, now)?))
}

fn restriction(change: &Change) -> Result<Option<Restriction>, ApiError> {
    if change.op == Op::Remove {
        return Ok(None);
    }
    let expected = "a map from apiId:stage to a list of /path/METHOD";
    let stages: MethodLists = json_value(&change.path, change.text(), expected)?;
    Ok(Some(methods::restriction(&stages)?))
}

fn overrides(
    id: &str,
    change: &Change,
    record: &mut KeyRecord,
    plans: &BTreeMap<PlanId, PlanRecord>,
    now: Timestamp,
) -> Result<(), ApiError> {
    if change.op == Op::Remove {
        record.overrides.remove(id);
        return Ok(());
    }
    let plan = plans.get(id).ok_or(Error::NoSuchPlan)?;
    if !record.plans.contains(&plan.id) {
        return Err(Error::NotLinked.into());
    }
    let expected = "an object of throttle, quotaLimit, methods and until";
    let Object(given): Object<KeyOverride> = json_value(&change.path, change.text(), expected)?;
    let overrides = draft::overrides(given).check(plan, now)?;
    record.overrides.insert(plan.id.clone(), overrides);
    Ok(())
}
