//! Retiring a meter whose key is not in the plan any more: it is charged no longer, its counts are archived, and it is kept
//! until it has nothing left to limit.

use jiff::Timestamp;
use tollgate_core::calendar::start_of;
use tollgate_core::id::{KeyId, PlanId};
use tollgate_core::meter::{ClosedDay, Meter};

use super::item::leave_lists;
use super::{MeterPlacement, MeterUpdate, revision};
use crate::usage::remaining;
use crate::{Admin, Error, logged};
use tollgate_dynamo::expression::Update;
use tollgate_dynamo::item::key::KeyRecord;
use tollgate_dynamo::item::meter;
use tollgate_dynamo::schema::TTL;

/// How long a retired meter is kept beyond what it still limits, in seconds: long enough that no operation that is still running
/// can make a new one in its place.
const TOMBSTONE_SECONDS: i64 = 24 * 60 * 60;

impl Admin {
    /// Retires a meter: first no charge can reach it, then its counts are archived, then it gets a time to live. It stays until
    /// it has nothing left to limit, because linking the key again must not reset a spent quota or an empty bucket.
    ///
    /// With `is_ending` the plan is being deleted and only the first step is done: the deletion finds the key by the meter's
    /// index entry, and does the rest.
    ///
    /// Returns the revision that the meter knows if it is later than the record's.
    pub(super) async fn retire_meter(
        &self,
        key: &KeyRecord,
        plan_id: &PlanId,
        is_ending: bool,
    ) -> Result<Option<u64>, Error> {
        let item = match self.update_meter(key, plan_id, revision(key)).await? {
            MeterUpdate::Applied(item) => item,
            other => return Ok(other.later_revision()),
        };
        // A retired meter cannot have been charged since.
        if is_ending || MeterPlacement::of(&item).is_retired() {
            return Ok(None);
        }
        // A damaged meter is retired all the same.
        let meter = logged(meter::read(&item)).flatten();
        if let Some(meter) = meter.as_ref().filter(|_| !key.deleted) {
            let remaining = self.remaining_at_close(key, plan_id, meter).await?;
            self.archive_days(&key.id, plan_id, meter, remaining)
                .await?;
        }
        let mut update = revision(key);
        retire(&mut update, meter.as_ref(), self.now());
        let updated = self.update_meter(key, plan_id, update).await?;
        Ok(updated.later_revision())
    }

    /// Archives what a meter counted. `remaining` is what the quota has left on the meter's day.
    pub(crate) async fn archive_days(
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
            self.items.archive_day(key_id, plan_id, &day).await?;
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

/// Takes a meter out of the lists, and sets its time to live.
pub(crate) fn retire(update: &mut Update, meter: Option<&Meter>, now: Timestamp) {
    leave_lists(update);
    let ttl = update.name(TTL);
    let until = update.number(limits_until(meter, now) + TOMBSTONE_SECONDS);
    update.set(&ttl, until);
}

/// When a meter has nothing left to limit, in epoch seconds: its period is over and its buckets are full.
fn limits_until(meter: Option<&Meter>, now: Timestamp) -> i64 {
    let period = meter.and_then(|meter| meter.period);
    let period = period.map(|period| start_of(period.end()).as_second());
    let levels = meter.into_iter().flat_map(|meter| meter.buckets.values());
    let levels =
        levels.map(|level| i64::try_from(level.tat / 1_000_000_000).unwrap_or(i64::MAX / 2));
    levels.chain(period).fold(now.as_second(), i64::max)
}
