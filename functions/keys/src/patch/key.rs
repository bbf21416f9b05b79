//! What patch operations do to an API key.

use std::collections::BTreeMap;

use jiff::Timestamp;
use tollgate_admin::{Admin, Error};
use tollgate_core::id::PlanId;
use tollgate_dynamo::item::key::KeyRecord;
use tollgate_dynamo::item::plan::PlanRecord;

use super::{Op, Operation, entry};
use crate::api_keys::{WHAT, customer_id};
use crate::error::ApiError;
use crate::wire::key::{expiry, json_value, restriction};
use crate::wire::stage_keys;
use crate::wire::{Object, WireOverride, bad, description, name};

/// Where overrides are.
const OVERRIDES: &str = "/tollgate/overrides/";

/// The plans whose limits these operations override, by id: what they set is checked against them.
///
/// # Errors
/// 404 where there is no such plan.
pub async fn plans_of(
    admin: &Admin,
    operations: &[Operation],
) -> Result<BTreeMap<PlanId, PlanRecord>, ApiError> {
    let mut plans = BTreeMap::new();
    let set = operations.iter().filter(|it| it.op != Op::Remove);
    for id in set.filter_map(|operation| entry(&operation.path, OVERRIDES)) {
        if !plans.contains_key(id) {
            let id = PlanId::from(id);
            let plan = admin.plan(&id).await?;
            plans.insert(id, plan);
        }
    }
    Ok(plans)
}

/// Whether an operation switches the key off. Anything but "true" is false, as in API Gateway.
pub fn switches_off(operation: &Operation) -> bool {
    let value = operation.value.as_deref().unwrap_or_default();
    operation.path == "/enabled" && !value.eq_ignore_ascii_case("true")
}

/// Makes one change.
///
/// # Errors
/// [`ApiError::BadRequest`] for a value that cannot be.
pub fn apply(
    operation: &Operation,
    record: &mut KeyRecord,
    plans: &BTreeMap<PlanId, PlanRecord>,
    now: Timestamp,
) -> Result<(), ApiError> {
    let removes = operation.op == Op::Remove;
    let value = operation.value.clone();
    let path = operation.path.as_str();
    match path {
        "/name" => record.name = name(WHAT, value)?,
        "/description" => record.description = description(WHAT, value)?,
        "/customerId" => record.customer_id = customer_id(value)?,
        "/enabled" => record.enabled = !switches_off(operation),
        "/stages" => stage_keys::patch(operation, &mut record.stage_keys)?,
        "/tollgate/expiresAt" if removes => record.expires = None,
        "/tollgate/expiresAt" => {
            let seconds = value.unwrap_or_default();
            let seconds = seconds.trim().parse().map_err(|_| {
                bad(format!(
                    "Invalid expiresAt: expected epoch seconds, got {seconds:?}"
                ))
            })?;
            record.expires = Some(expiry(seconds, now)?);
        }
        "/tollgate/restriction" if removes => record.restriction = None,
        "/tollgate/restriction" => {
            let expected = "a map from apiId:stage to a list of /path/METHOD";
            let stages = json_value(path, value.as_deref(), expected)?;
            record.restriction = Some(restriction(&stages)?);
        }
        path => match entry(path, OVERRIDES) {
            Some(id) if removes => drop(record.overrides.remove(id)),
            Some(id) => overrides(id, operation, record, plans, now)?,
            // Labels come from before usage plans; nothing goes by them.
            None => {}
        },
    }
    Ok(())
}

fn overrides(
    id: &str,
    operation: &Operation,
    record: &mut KeyRecord,
    plans: &BTreeMap<PlanId, PlanRecord>,
    now: Timestamp,
) -> Result<(), ApiError> {
    let plan = plans.get(id).ok_or(Error::NoSuchPlan)?;
    if !record.plans.contains(&plan.id) {
        return Err(Error::NotLinked.into());
    }
    let expected = "an object of throttle, quotaLimit, methods and until";
    let value = operation.value.as_deref();
    let Object(given): Object<WireOverride> = json_value(&operation.path, value, expected)?;
    record
        .overrides
        .insert(plan.id.clone(), given.read(plan, now)?);
    Ok(())
}
