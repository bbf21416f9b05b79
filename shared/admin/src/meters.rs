//! The meters of a key, brought in line with its record: told its revision, made for its plans, left behind for others.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure};
use futures_util::future;
use jiff::Timestamp;
use tollgate_core::calendar::{day_of, start_of};
use tollgate_core::id::{KeyId, PlanId};
use tollgate_core::meter::{ClosedDay, Meter};

use super::keys::prefix_of;
use super::links::{NAME_BYTES, plan_list};
use super::listing::{by_name, by_time, shard_of, string};
use super::usage::remaining;
use super::{Admin, Error, logged};
use tollgate_dynamo::expression::Update;
use tollgate_dynamo::failure::{Failure, conditional, refusal};
use tollgate_dynamo::item::key::KeyRecord;
use tollgate_dynamo::item::meter::{
    self, BUCKETS, COUNT, DAY, KEY_REVISION, LANES, PERIOD, PLAN_REVISION, SPENT, period_text,
};
use tollgate_dynamo::item::plan::PlanRecord;
use tollgate_dynamo::item::usage::put_usage;
use tollgate_dynamo::item::{Item, ItemKey};
use tollgate_dynamo::schema::{BY_CREATED, BY_NAME, ITEM_VERSION, SK, TTL};

/// How long a meter that is left behind is kept beyond what it still limits: long enough that no call under way can make
/// a new one in its place.
const TOMBSTONE_SECONDS: i64 = 24 * 60 * 60;

/// What a meter has been told of its place.
#[derive(Debug, Clone, Default)]
pub(super) struct Place {
    /// It has counters.
    counts: bool,
    /// Its place in the list of the plan's keys.
    since: Option<String>,
    /// The key's revision that it knows.
    pub(super) knows: Option<u64>,
}

impl Place {
    /// The place of a meter, of which at least these attributes were read.
    pub(super) fn of(meter: &Item) -> Self {
        Self {
            counts: meter.contains_key(DAY),
            since: string(meter, BY_CREATED.sk).map(str::to_owned),
            knows: meter
                .get(KEY_REVISION)
                .and_then(|known| known.as_n().ok()?.parse().ok()),
        }
    }
}

/// A key's plans and meters.
#[derive(Debug, Default)]
pub(super) struct Surroundings {
    /// Its plans, without those that are gone.
    pub(super) kept: Vec<PlanRecord>,
    /// Its plans that are being deleted or cannot be read.
    pub(super) ending: BTreeSet<PlanId>,
    /// Its meters, by plan.
    pub(super) meters: BTreeMap<PlanId, Place>,
}

/// What became of an update of a meter.
pub(super) enum Told {
    /// It was made; the meter after it.
    Made(Item),
    /// The meter knows this later revision of the key.
    Knows(u64),
    /// Something else that it was to hold did not.
    Refused,
}

impl Told {
    /// The later revision that the meter knows.
    fn known(&self) -> Option<u64> {
        match self {
            Self::Knows(known) => Some(*known),
            Self::Made(_) | Self::Refused => None,
        }
    }
}

impl Admin {
    /// Tells the meters of a key of its record. The latest revision that a meter knows, if that is later than the record's.
    pub(super) async fn update_meters(
        &self,
        record: &KeyRecord,
        around: &Surroundings,
    ) -> Result<Option<u64>, Error> {
        let Surroundings {
            kept,
            ending,
            meters,
        } = around;
        let kept: Vec<_> = kept.iter().filter(|_| !record.deleted).collect();
        // Not only those that are there: a link under way may be about to make one.
        let mut retired: BTreeSet<_> = meters
            .keys()
            .chain(&record.plans)
            .chain(&record.retired_plans)
            .chain(record.moving.iter().map(|moving| &moving.to))
            .collect();
        retired.retain(|id| kept.iter().all(|plan| plan.id != **id));
        let retired = retired.into_iter().map(|plan| {
            let is_ending = ending.contains(plan) && !record.deleted;
            self.retire_meter(record, plan, is_ending)
        });
        let kept = kept.iter().map(|plan| {
            let place = meters.get(&plan.id).cloned().unwrap_or_default();
            self.ensure_meter(record, plan, place)
        });
        let (retired, kept) =
            future::try_join(future::try_join_all(retired), future::try_join_all(kept)).await?;
        Ok(retired.into_iter().chain(kept).flatten().max())
    }

    /// The meter of a key under a plan; `None` where there is none, or nothing that counts.
    pub(super) async fn meter(
        &self,
        key_id: &KeyId,
        plan_id: &PlanId,
    ) -> Result<Option<Meter>, Error> {
        let item = self.read_item(&ItemKey::meter(key_id, plan_id)).await?;
        Ok(item.as_ref().map(meter::read).transpose()?.flatten())
    }

    /// The plans under which a key has meters, left behind or not.
    pub(super) async fn meters_of(&self, key_id: &KeyId) -> Result<BTreeMap<PlanId, Place>, Error> {
        let prefix = ItemKey::meter(key_id, &PlanId::default());
        let mut pages = self
            .client()
            .query()
            .table_name(&self.table)
            .consistent_read(true)
            .key_condition_expression("pk = :pk AND begins_with(sk, :meter)")
            .expression_attribute_values(":pk", AttributeValue::S(prefix.pk))
            .expression_attribute_values(":meter", AttributeValue::S(prefix.sk.clone()))
            .projection_expression("sk, #day, #since, #knows")
            .expression_attribute_names("#knows", KEY_REVISION)
            .expression_attribute_names("#day", DAY)
            .expression_attribute_names("#since", BY_CREATED.sk)
            .into_paginator()
            .items()
            .send();
        let mut meters = BTreeMap::new();
        while let Some(item) = pages.next().await {
            let item = item.map_err(Failure::from)?;
            let plan = string(&item, SK).and_then(|sort| sort.strip_prefix(&prefix.sk));
            if let Some(plan) = plan {
                meters.insert(PlanId::from(plan), Place::of(&item));
            }
        }
        Ok(meters)
    }

    /// Tells a meter that the key is in the plan. One that is missing starts from what was written out, one that was left
    /// behind goes on. The revision that it knows, if that is a later one.
    pub(super) async fn ensure_meter(
        &self,
        key: &KeyRecord,
        plan: &PlanRecord,
        place: Place,
    ) -> Result<Option<u64>, Error> {
        let now = self.now();
        let mut fresh = Meter::new(
            key.revision,
            plan.revision,
            day_of(now),
            plan.limits.quota.as_ref(),
        );
        if !place.counts {
            let from = fresh.period.map_or(fresh.day, |period| period.start);
            let days = self.closed_days(&key.id, &plan.id, from, fresh.day).await?;
            let admitted = days.values().map(|day| day.count).sum::<u64>();
            fresh.spent = i64::try_from(admitted).unwrap_or(i64::MAX);
            fresh.count = days.get(&fresh.day).map_or(0, |day| day.count);
        }
        let mut update = revision(key);
        let time = place.since;
        let time = time.unwrap_or_else(|| by_time(now, key.id.as_str()));
        for (name, value) in entries(key, plan, &time) {
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
        start(&mut update, &fresh);
        Ok(self.update_meter(key, &plan.id, update).await?.known())
    }

    /// Tells a meter that the key is not in the plan any more. First no charge can reach it; then what it counted is
    /// written out; then it may go, but not before it has nothing to limit any more, so that linking the key again does
    /// not reset a spent quota or a spent burst.
    ///
    /// Where the plan is being deleted, that is all for its sweep to do: it finds the key by the meter's place in the list.
    /// The revision that the meter knows, if that is a later one.
    async fn retire_meter(
        &self,
        key: &KeyRecord,
        plan_id: &PlanId,
        is_ending: bool,
    ) -> Result<Option<u64>, Error> {
        let item = match self.update_meter(key, plan_id, revision(key)).await? {
            Told::Made(item) => item,
            told => return Ok(told.known()),
        };
        if is_ending {
            return Ok(None);
        }
        if item.contains_key(TTL) && !item.contains_key(BY_CREATED.pk) {
            // It was left behind before, and nothing could be charged to it since.
            return Ok(None);
        }
        // A damaged meter is revoked all the same.
        let meter = logged(meter::read(&item)).flatten();
        if let Some(meter) = meter.as_ref().filter(|_| !key.deleted) {
            self.write_out(key, plan_id, meter).await?;
        }
        let mut update = revision(key);
        retire(&mut update, meter.as_ref(), self.now());
        Ok(self.update_meter(key, plan_id, update).await?.known())
    }

    /// Makes an update of a meter, under the condition that it knows no later revision of the key, and whatever else it says.
    pub(super) async fn update_meter(
        &self,
        key: &KeyRecord,
        plan_id: &PlanId,
        update: Update,
    ) -> Result<Told, Error> {
        let request = self
            .client()
            .update_item()
            .table_name(&self.table)
            .set_key(Some(ItemKey::meter(&key.id, plan_id).attributes()))
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let error = match update.apply(request).send().await {
            Ok(told) => return Ok(Told::Made(told.attributes.unwrap_or_default())),
            Err(error) => error,
        };
        let Some(refusal) = refusal(&error) else {
            return Err(Failure::from(error).into());
        };
        let known = refusal.item().and_then(|item| item.get(KEY_REVISION));
        let known = known.map(|known| known.as_n().ok().and_then(|known| known.parse().ok()));
        match known {
            Some(Some(known)) if known < u64::MAX => Ok(if known > key.revision {
                Told::Knows(known)
            } else {
                Told::Refused
            }),
            // Nothing can be told to it.
            Some(_) => {
                self.uproot(&key.id, plan_id).await?;
                Ok(Told::Refused)
            }
            None => Ok(Told::Refused),
        }
    }

    /// A meter that is left behind will be gone some day: what it counted is written out.
    async fn write_out(
        &self,
        key: &KeyRecord,
        plan_id: &PlanId,
        meter: &Meter,
    ) -> Result<(), Error> {
        let remaining = self.remaining_at_close(key, plan_id, meter).await?;
        self.write_days_out(&key.id, plan_id, meter, remaining)
            .await
    }

    pub(super) async fn write_days_out(
        &self,
        key_id: &KeyId,
        plan_id: &PlanId,
        meter: &Meter,
        remaining: Option<i64>,
    ) -> Result<(), Error> {
        let today = ClosedDay {
            day: meter.day,
            count: meter.count,
            remaining,
        };
        let days = [Some(today).filter(|day| day.count > 0), meter.closed];
        for day in days.into_iter().flatten() {
            let put = put_usage(&self.client(), &self.table, key_id, plan_id, &day);
            conditional(put.send().await)?;
        }
        Ok(())
    }

    async fn remaining_at_close(
        &self,
        key: &KeyRecord,
        plan_id: &PlanId,
        meter: &Meter,
    ) -> Result<Option<i64>, Error> {
        let plan = match self.any_plan(plan_id).await {
            Err(error) if error.is_damage() => None,
            plan => plan?,
        };
        let quota = plan.and_then(|plan| key.terms(&plan).quota(meter.day));
        let Some(quota) = quota else {
            return Ok(None);
        };
        let history = self.history(&key.id, plan_id, meter, &quota).await?;
        Ok(Some(remaining(&quota, meter, history)))
    }
}

/// An update that makes the key's revision known, under the condition that the meter knows no later one.
pub(super) fn revision(key: &KeyRecord) -> Update {
    let mut update = Update::default();
    let (known, revision) = (update.name(KEY_REVISION), update.number(key.revision));
    update.condition(format!(
        "(attribute_not_exists({known}) OR {known} <= {revision})"
    ));
    update.set(&known, revision);
    update
}

/// Takes a meter off the lists, and lets it go once it has nothing to limit any more.
pub(super) fn retire(update: &mut Update, meter: Option<&Meter>, now: Timestamp) {
    for name in [BY_CREATED.pk, BY_CREATED.sk, BY_NAME.pk, BY_NAME.sk] {
        let name = update.name(name);
        update.remove(name);
    }
    let ttl = update.name(TTL);
    let until = update.number(limits_until(meter, now) + TOMBSTONE_SECONDS);
    update.set(&ttl, until);
}

/// When a meter has nothing to limit any more, epoch seconds: its period is over and its buckets are full.
fn limits_until(meter: Option<&Meter>, now: Timestamp) -> i64 {
    let period = meter.and_then(|meter| meter.period);
    let period = period.map(|period| start_of(period.end()).as_second());
    let levels = meter.into_iter().flat_map(|meter| meter.buckets.values());
    let levels =
        levels.map(|level| i64::try_from(level.tat / 1_000_000_000).unwrap_or(i64::MAX / 2));
    levels.chain(period).fold(now.as_second(), i64::max)
}

/// What a meter starts with, where it has nothing yet.
fn start(update: &mut Update, fresh: &Meter) {
    for (name, value) in initial(fresh) {
        let (name, value) = (update.name(name), update.value(value));
        update.set(&name, format!("if_not_exists({name}, {value})"));
    }
}

fn initial(fresh: &Meter) -> [(&'static str, AttributeValue); 8] {
    let empty = || AttributeValue::M(std::collections::HashMap::new());
    let number = |number: &dyn std::fmt::Display| AttributeValue::N(number.to_string());
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

/// The meter of a key that is made together with it.
pub(super) fn new_meter(key: &KeyRecord, plan: &PlanRecord, now: Timestamp) -> Item {
    let quota = plan.limits.quota.as_ref();
    let fresh = Meter::new(key.revision, plan.revision, day_of(now), quota);
    let mut item = ItemKey::meter(&key.id, &plan.id).attributes();
    let mut put = |name: &str, value| item.insert(name.to_owned(), value);
    put(KEY_REVISION, AttributeValue::N(key.revision.to_string()));
    for (name, value) in initial(&fresh) {
        put(name, value);
    }
    let time = by_time(now, key.id.as_str());
    for (name, value) in entries(key, plan, &time) {
        if let Some(value) = value {
            put(name, AttributeValue::S(value));
        }
    }
    item
}

/// Under what a meter is in the lists of its plan's keys, `time` being when the key was linked.
fn entries(key: &KeyRecord, plan: &PlanRecord, time: &str) -> [(&'static str, Option<String>); 4] {
    let shard = shard_of(&plan_list(&plan.id), key.id.as_str());
    let name = key.name.as_deref().map(|name| prefix_of(name, NAME_BYTES));
    [
        (BY_NAME.pk, name.map(|_| shard.clone())),
        (BY_NAME.sk, name.map(|name| by_name(name, time))),
        (BY_CREATED.pk, Some(shard)),
        (BY_CREATED.sk, Some(time.to_owned())),
    ]
}
