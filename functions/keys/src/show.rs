//! Records as clients see them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;
use tollgate_admin::Page;
use tollgate_admin::input::limits::LARGEST_NUMBER;
use tollgate_admin::input::methods::{open_lists, texts};
use tollgate_api::limits::{QuotaSettings, ThrottleSettings};
use tollgate_api::object::ObjectOnly;
use tollgate_api::plan::{ApiStage, MethodLists, PlanFields};
use tollgate_api::plan_key::API_KEY;
use tollgate_api::{ApiKey, Items, KeyFields, KeyOverride, Secret, UsagePlan, UsagePlanKey};
use tollgate_core::limit::{Quota, Throttle};
use tollgate_core::plan::{ApiStage as StageRecord, Plan};
use tollgate_core::template::MethodTemplate;
use tollgate_core::terms::{Override, Restriction};
use tollgate_dynamo::item::key::KeyRecord;
use tollgate_dynamo::item::plan::PlanRecord;

/// A page of a list, each entry as `show` shows it.
pub(crate) fn items<R, T>(page: Page<R>, show: impl FnMut(R) -> T) -> Items<T> {
    Items {
        item: page.items.into_iter().map(show).collect(),
        position: page.position,
    }
}

/// Whole epoch seconds, rounded down.
fn seconds(time: Timestamp) -> i64 {
    time.as_millisecond().div_euclid(1000)
}

/// A key of a list: without its tags, and with its value if that is kept.
pub(crate) fn listed_key(record: KeyRecord, value: Option<String>) -> ApiKey {
    ApiKey {
        tollgate: key_fields(&record),
        id: record.id,
        value: value.map(Secret::from),
        name: record.name,
        customer_id: record.customer_id,
        description: record.description,
        enabled: record.enabled,
        created_date: seconds(record.created),
        last_updated_date: seconds(record.updated),
        stage_keys: record.stage_keys,
        tags: None,
    }
}

/// A key with its tags, and with its value if that is kept.
pub(crate) fn key(mut record: KeyRecord, value: Option<String>) -> ApiKey {
    let tags = std::mem::take(&mut record.tags);
    ApiKey {
        tags: Some(tags),
        ..listed_key(record, value)
    }
}

/// A key in the answer that gives it its value: with its tags, if it has any.
pub(crate) fn created_key(record: KeyRecord, value: &str) -> ApiKey {
    let mut shown = key(record, Some(value.to_owned()));
    shown.tags = shown.tags.filter(|tags| !tags.is_empty());
    shown
}

/// Adds the last day on which a key was charged, if there is one.
pub(crate) fn set_last_used(key: &mut ApiKey, day: Option<Date>) {
    if let Some(day) = day {
        key.tollgate.get_or_insert_default().last_used_day = Some(day.to_string());
    }
}

/// A key as a member of a plan, with its value if that is kept.
pub(crate) fn plan_key(record: KeyRecord, value: Option<String>) -> UsagePlanKey {
    UsagePlanKey {
        id: record.id,
        r#type: API_KEY.to_owned(),
        value: value.map(Secret::from),
        name: record.name,
    }
}

/// Tollgate's own fields of a key; `None` if none is set.
fn key_fields(record: &KeyRecord) -> Option<KeyFields> {
    let restriction = record.restriction.as_ref().map(restriction);
    let overrides = record.overrides.iter();
    let fields = KeyFields {
        expires_at: record.expires.map(seconds),
        earlier_value_until: record
            .retiring
            .as_ref()
            .map(|retiring| seconds(retiring.until)),
        last_used_day: None,
        restriction,
        overrides: overrides
            .map(|(plan, given)| (plan.clone(), key_override(given)))
            .collect(),
    };
    (fields != KeyFields::default()).then_some(fields)
}

/// The methods that a key may call.
pub(crate) fn restriction(restriction: &Restriction) -> MethodLists {
    let stages = restriction.iter();
    stages
        .map(|(stage, methods)| (stage.to_string(), texts(methods)))
        .collect()
}

fn key_override(given: &Override) -> KeyOverride {
    let methods = given.methods.iter();
    KeyOverride {
        throttle: given.throttle.as_ref().map(throttle),
        quota_limit: given
            .quota_limit
            .and_then(|limit| i64::try_from(limit).ok()),
        methods: methods
            .map(|(stage, methods)| (stage.to_string(), throttles(methods)))
            .collect(),
        until: given.until.map(|day| day.to_string()),
    }
}

/// A plan of a list, without its tags.
pub(crate) fn listed_plan(record: PlanRecord) -> UsagePlan {
    let stages = record.limits.stages.iter();
    UsagePlan {
        tollgate: plan_fields(&record.limits),
        api_stages: stages.map(stage).collect(),
        throttle: record.limits.throttle.as_ref().map(throttle),
        quota: record.limits.quota.as_ref().map(quota),
        id: record.id,
        name: record.name,
        description: record.description,
        product_code: record.product_code,
        tags: None,
    }
}

/// A plan with its tags.
pub(crate) fn plan(mut record: PlanRecord) -> UsagePlan {
    let tags = std::mem::take(&mut record.tags);
    UsagePlan {
        tags: Some(tags),
        ..listed_plan(record)
    }
}

/// A plan in the answer that creates it: with its tags, if it has any.
pub(crate) fn created_plan(record: PlanRecord) -> UsagePlan {
    let mut shown = plan(record);
    shown.tags = shown.tags.filter(|tags| !tags.is_empty());
    shown
}

/// Tollgate's own fields of a plan; `None` if every stage is open entirely.
fn plan_fields(limits: &Plan) -> Option<PlanFields> {
    let methods = open_lists(limits);
    (!methods.is_empty()).then_some(PlanFields { methods })
}

fn stage(stage: &StageRecord) -> ApiStage {
    ApiStage {
        api_id: stage.api_id.clone(),
        stage: stage.stage.clone(),
        throttle: throttles(&stage.throttle),
        object: ObjectOnly {},
    }
}

fn throttles(throttles: &BTreeMap<MethodTemplate, Throttle>) -> BTreeMap<String, ThrottleSettings> {
    let throttles = throttles.iter();
    throttles
        .map(|(method, given)| (method.to_string(), throttle(given)))
        .collect()
}

fn throttle(throttle: &Throttle) -> ThrottleSettings {
    ThrottleSettings {
        burst_limit: throttle.burst_limit().map(i64::from),
        rate_limit: throttle.rate_limit(),
        object: ObjectOnly {},
    }
}

/// A quota. A limit that an earlier release stored can be larger than clients can read; they see the largest that they can.
fn quota(quota: &Quota) -> QuotaSettings {
    let limit = i64::try_from(quota.limit()).unwrap_or(i64::MAX);
    QuotaSettings {
        limit: Some(limit.min(LARGEST_NUMBER)),
        offset: Some(i64::from(quota.offset())),
        period: Some(quota.period().as_str().to_owned()),
        object: ObjectOnly {},
    }
}

#[cfg(test)]
mod tests {
    use tollgate_api::CreateApiKey;
    use tollgate_api::rotation::CreateRotation;

    use super::*;
    use crate::request::parse;

    const VALUE: &str = "a-value-of-the-users-own";

    #[test]
    fn what_holds_a_value_does_not_show_it_to_a_log() {
        let body = format!("{{\"value\": \"{VALUE}\"}}");
        let create: CreateApiKey = parse(body.as_bytes()).expect("valid");
        let rotation: CreateRotation = parse(body.as_bytes()).expect("valid");
        let shown = created_key(KeyRecord::default(), VALUE);
        let linked = plan_key(KeyRecord::default(), Some(VALUE.to_owned()));
        assert!(serde_json::to_string(&shown).is_ok_and(|json| json.contains(VALUE)));
        for text in [
            format!("{create:?}"),
            format!("{rotation:?}"),
            format!("{shown:?}"),
            format!("{linked:?}"),
        ] {
            assert!(text.contains("hidden") && !text.contains(VALUE), "{text}");
        }
    }
}
