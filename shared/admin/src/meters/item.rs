//! The attributes that a meter starts with, and its entries in the lists of its plan's keys.

use std::collections::HashMap;
use std::fmt::Display;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use tollgate_core::calendar::day_of;
use tollgate_core::meter::Meter;

use crate::links::{NAME_BYTES, plan_list};
use crate::listing::{by_name, by_time, prefix_of, shard_of};
use tollgate_dynamo::expression::Update;
use tollgate_dynamo::item::key::KeyRecord;
use tollgate_dynamo::item::meter::{
    BUCKETS, COUNT, DAY, KEY_REVISION, LANES, PERIOD, PLAN_REVISION, SPENT, period_text,
};
use tollgate_dynamo::item::plan::PlanRecord;
use tollgate_dynamo::item::{Item, ItemKey};
use tollgate_dynamo::schema::{BY_CREATED, BY_NAME, ITEM_VERSION, TTL};

/// A meter that has counted nothing yet.
pub(super) fn fresh_meter(key: &KeyRecord, plan: &PlanRecord, now: Timestamp) -> Meter {
    let quota = plan.limits.quota.as_ref();
    Meter::new(key.revision, plan.revision, day_of(now), quota)
}

/// The item of a meter that is created together with its key.
pub(crate) fn new_meter(key: &KeyRecord, plan: &PlanRecord, now: Timestamp) -> Item {
    let mut item = ItemKey::meter(&key.id, &plan.id).attributes();
    let mut put = |name: &str, value| item.insert(name.to_owned(), value);
    put(KEY_REVISION, AttributeValue::N(key.revision.to_string()));
    for (name, value) in counters(&fresh_meter(key, plan, now)) {
        put(name, value);
    }
    let linked = by_time(now, key.id.as_str());
    for (name, value) in entries(key, plan, &linked) {
        if let Some(value) = value {
            put(name, AttributeValue::S(value));
        }
    }
    item
}

/// Adds the counters of `fresh` to an update, as far as the meter has none.
pub(super) fn start_counters(update: &mut Update, fresh: &Meter) {
    for (name, value) in counters(fresh) {
        let (name, value) = (update.name(name), update.value(value));
        update.set(&name, format!("if_not_exists({name}, {value})"));
    }
}

fn counters(fresh: &Meter) -> [(&'static str, AttributeValue); 8] {
    let empty = || AttributeValue::M(HashMap::new());
    let number = |number: &dyn Display| AttributeValue::N(number.to_string());
    let text = |text: String| AttributeValue::S(text);
    [
        ("v", number(&ITEM_VERSION)),
        (PLAN_REVISION, number(&fresh.revisions.plan)),
        (BUCKETS, empty()),
        (LANES, empty()),
        (DAY, text(fresh.day.to_string())),
        (COUNT, number(&fresh.count)),
        (PERIOD, text(period_text(fresh.period))),
        (SPENT, number(&fresh.spent)),
    ]
}

/// Puts a meter into the lists of its plan's keys, and takes back its retirement. `linked` is the sort key by time.
pub(super) fn enter_lists(update: &mut Update, key: &KeyRecord, plan: &PlanRecord, linked: &str) {
    for (name, value) in entries(key, plan, linked) {
        let name = update.name(name);
        match value {
            Some(value) => {
                let value = update.text(value);
                update.set(&name, value);
            }
            None => update.remove(name),
        }
    }
    let ttl = update.name(TTL);
    update.remove(ttl);
}

/// Takes a meter out of the lists of its plan's keys.
pub(super) fn leave_lists(update: &mut Update) {
    for name in [BY_CREATED.pk, BY_CREATED.sk, BY_NAME.pk, BY_NAME.sk] {
        let name = update.name(name);
        update.remove(name);
    }
}

/// The attributes under which the indexes list a meter; one without a name is in no list by name.
fn entries(
    key: &KeyRecord,
    plan: &PlanRecord,
    linked: &str,
) -> [(&'static str, Option<String>); 4] {
    let shard = shard_of(&plan_list(&plan.id), key.id.as_str());
    let name = key.name.as_deref().map(|name| prefix_of(name, NAME_BYTES));
    [
        (BY_NAME.pk, name.map(|_| shard.clone())),
        (BY_NAME.sk, name.map(|name| by_name(name, linked))),
        (BY_CREATED.pk, Some(shard)),
        (BY_CREATED.sk, Some(linked.to_owned())),
    ]
}
