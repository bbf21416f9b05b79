//! What an engine remembers, and how it comes to know it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future;
use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};
use tollgate_core::calendar::Period;
use tollgate_core::charge::{self, History};
use tollgate_core::meter::{ClosedDay, Meter};
use tollgate_core::verdict::Reason;

use super::guesses::Guesses;
use super::instance::Instance;
use super::{Attempt, Charged, Engine, MAX_TRIES, NEGATIVE_AGE, PLAN_HARD_AGE, PLAN_SOFT_AGE};
use crate::cache::Dated;
use crate::failure::Failure;
use crate::manage::usage::UsageRecord;
use crate::record::{HashRecord, ItemKey, KeyRecord, PlanRecord};

/// How often, and how long apart, a key on its way to another plan is looked for: about half a second in all.
const MOVE_LOOKS: u32 = 20;
const MOVE_PAUSE: Duration = Duration::from_millis(25);

/// What is known of a key.
#[derive(Clone)]
pub(super) struct Known {
    pub(super) record: Dated<Arc<KeyRecord>>,
    pub(super) meters: HashMap<String, Seen>,
    /// When the store last confirmed a charge of the key.
    pub(super) good_at: Option<Timestamp>,
}

/// A meter as it was last seen.
#[derive(Clone)]
pub(super) struct Seen {
    pub(super) meter: Dated<Arc<Meter>>,
    /// The closed day that was written out from here.
    pub(super) flushed: Option<Date>,
    /// What was admitted before the meter's day in a period that the quota was changed to.
    pub(super) history: Option<History>,
    pub(super) guesses: Guesses,
}

impl Seen {
    pub(super) fn new(meter: Meter, read_at: Timestamp) -> Self {
        Self {
            meter: Dated::new(Arc::new(meter), read_at),
            flushed: None,
            history: None,
            guesses: Guesses::default(),
        }
    }
}

impl Engine {
    /// What is known of the key, read where it is not; `None` where there is no such key.
    pub(super) async fn known(&self, attempt: &mut Attempt<'_>) -> Result<Option<Known>, Failure> {
        if let Some(known) = self.keys.get(&attempt.hash) {
            return Ok(Some(known));
        }
        let now = attempt.now;
        if self
            .unknown
            .get(&attempt.hash)
            .is_some_and(|unknown| unknown.is_within(NEGATIVE_AGE, now))
        {
            return Ok(None);
        }
        let known = self.read_key(attempt).await?;
        match &known {
            Some(known) => self.keys.put(attempt.hash, known.clone()),
            None => self.unknown.put(attempt.hash, Dated::new((), now)),
        }
        Ok(known)
    }

    /// The cold path: the value's item, then key, plans and meters at once.
    pub(super) async fn read_key(
        &self,
        attempt: &mut Attempt<'_>,
    ) -> Result<Option<Known>, Failure> {
        let item = HashRecord::item_key(&attempt.hash);
        let hash: Option<HashRecord> = self.read(|| self.table.get(&item, &attempt.budget)).await?;
        let Some(hash) = hash else {
            return Ok(None);
        };
        attempt.fresh = true;
        self.read_record(attempt, &hash.key_id, &hash.plans).await
    }

    /// Reads a key with its meters, and those of its plans that are not known. `hint` names the plans it probably has.
    pub(super) async fn read_record(
        &self,
        attempt: &Attempt<'_>,
        id: &str,
        hint: &[String],
    ) -> Result<Option<Known>, Failure> {
        let item = ItemKey::key(id);
        let record = self.read(|| self.table.get::<KeyRecord>(&item, &attempt.budget));
        let (record, meters) = future::join(record, self.read_meters(attempt, id, hint)).await;
        let (Some(mut record), mut meters) = (record?, meters?) else {
            return Ok(None);
        };
        // A value that was replaced is no longer this key's.
        if record.deleted || !record.has_value(&attempt.hash.to_string()) {
            return Ok(None);
        }
        // Nothing here can open it.
        record.sealed = None;
        let missed: Vec<_> = record
            .plans
            .iter()
            .filter(|plan| !hint.contains(plan))
            .cloned()
            .collect();
        meters.extend(self.read_meters(attempt, id, &missed).await?);
        meters.retain(|plan, _| record.plans.contains(plan));
        let read_at = attempt.now;
        Ok(Some(Known {
            record: Dated::new(Arc::new(record), read_at),
            meters,
            good_at: None,
        }))
    }

    /// Reads a key's meters under these plans, and the plans themselves where they are not known.
    pub(super) async fn read_meters(
        &self,
        attempt: &Attempt<'_>,
        id: &str,
        plans: &[String],
    ) -> Result<HashMap<String, Seen>, Failure> {
        let reads = plans.iter().map(|plan| self.read_meter(attempt, id, plan));
        let seen = future::try_join_all(reads).await?;
        Ok(seen.into_iter().flatten().collect())
    }

    async fn read_meter(
        &self,
        attempt: &Attempt<'_>,
        id: &str,
        plan: &str,
    ) -> Result<Option<(String, Seen)>, Failure> {
        let meter = self.read(|| self.table.meter(id, plan, &attempt.budget));
        let (meter, known) = future::join(meter, self.plan(attempt, plan)).await;
        known?;
        let seen = |meter| (plan.to_owned(), Seen::new(meter, attempt.now));
        Ok(meter?.map(seen))
    }

    /// Reads the key again, because something shows that it changed.
    pub(super) async fn reread(
        &self,
        attempt: &mut Attempt<'_>,
        known: &Known,
    ) -> Result<(), Failure> {
        attempt.fresh = true;
        // Until it is read, nothing says that the key is still good.
        self.keys
            .update(&attempt.hash, |known| known.good_at = None);
        let record = &known.record.value;
        match self.read_record(attempt, &record.id, &record.plans).await? {
            Some(known) => self.keys.put(attempt.hash, known),
            // The value may belong to another key by now, so the next turn starts from the value.
            None => self.keys.remove(&attempt.hash),
        }
        Ok(())
    }

    /// Waits for a key that is on its way from one plan to another, for as long as that should take. False where it has not
    /// arrived.
    pub(super) async fn await_move(
        &self,
        attempt: &mut Attempt<'_>,
        known: &Known,
    ) -> Result<bool, Failure> {
        for _ in 0..MOVE_LOOKS {
            tokio::time::sleep(MOVE_PAUSE).await;
            self.reread(attempt, known).await?;
            let arrived = self
                .keys
                .get(&attempt.hash)
                .is_none_or(|known| known.record.value.moving.is_none());
            if arrived {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The plan that the request is charged under: of the key's plans that open its stage, the one linked first.
    /// Otherwise why there is none. From here on it is the time that it is then.
    pub(super) async fn charged(
        &self,
        attempt: &mut Attempt<'_>,
        known: &Known,
    ) -> Result<Result<Charged, Reason>, Failure> {
        let record = &known.record.value;
        attempt.now = (attempt.request.clock)();
        if !record.enabled {
            return Ok(Err(Reason::Disabled));
        }
        if record.is_expired(&attempt.hash, attempt.now) {
            return Ok(Err(Reason::Expired));
        }
        let plans = record.plans.iter().map(|id| self.plan(attempt, id));
        let plans = future::try_join_all(plans).await?;
        // Reading may have taken a while.
        attempt.now = (attempt.request.clock)();
        let target = attempt.request.target;
        for plan in plans.into_iter().flatten() {
            let Some(seen) = known.meters.get(&plan.id) else {
                continue;
            };
            let terms = record.terms(&plan);
            let stage = match terms.opens(target) {
                Ok(stage) => stage,
                Err(Reason::NotInPlan) => continue,
                Err(reason) => return Ok(Err(reason)),
            };
            let meter = &seen.meter.value;
            return Ok(Ok(Charged {
                limits: terms.limits(stage, target, charge::today(meter, attempt.now)),
                quota_before: terms.quota(meter.day),
                seen: seen.clone(),
                plan,
            }));
        }
        Ok(Err(Reason::NotInPlan))
    }

    /// A plan as it is known, read where that is too long ago.
    pub(super) async fn plan(
        &self,
        attempt: &Attempt<'_>,
        id: &str,
    ) -> Result<Option<Arc<PlanRecord>>, Failure> {
        match self.plans.get(id) {
            Some(plan) if plan.is_within(PLAN_HARD_AGE, attempt.now) => Ok(plan.value),
            _ => self.read_plan(attempt, id).await,
        }
    }

    pub(super) async fn read_plan(
        &self,
        attempt: &Attempt<'_>,
        id: &str,
    ) -> Result<Option<Arc<PlanRecord>>, Failure> {
        let item = ItemKey::plan(id);
        let record: Option<PlanRecord> =
            self.read(|| self.table.get(&item, &attempt.budget)).await?;
        let plan = record.filter(|record| !record.deleted).map(Arc::new);
        self.plans
            .put(id.to_owned(), Dated::new(plan.clone(), attempt.now));
        Ok(plan)
    }

    /// Reads an ageing plan again, for the next request. That it failed shows at the hard age, if it still does.
    pub(super) async fn refresh_plan(&self, attempt: &Attempt<'_>, charged: &Charged) {
        let known = self.plans.get(&charged.plan.id);
        if known.is_some_and(|plan| plan.is_within(PLAN_SOFT_AGE, attempt.now)) {
            return;
        }
        if let Err(failure) = self.read_plan(attempt, &charged.plan.id).await {
            tracing::warn!(%failure, plan = charged.plan.id, "could not refresh a plan");
        }
    }

    /// Tries a call until it is answered or time is out: a read, or a write that does no harm twice.
    pub(super) async fn read<T, F>(&self, read: impl Fn() -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        for tries in 1.. {
            match read().await {
                Err(failure @ (Failure::Busy(_) | Failure::Lost(_))) if tries < MAX_TRIES => {
                    tracing::warn!(%failure, "reading again");
                    tokio::time::sleep(Instance::back_off(tries)).await;
                }
                outcome => return outcome,
            }
        }
        unreachable!("the last try is returned")
    }

    pub(super) fn note(&self, attempt: &Attempt<'_>, plan: &str, meter: Meter) {
        let meter = Dated::new(Arc::new(meter), attempt.now);
        self.change_seen(attempt, plan, |seen| seen.meter = meter);
    }

    pub(super) fn note_flushed(&self, attempt: &Attempt<'_>, plan: &str, day: Date) {
        self.change_seen(attempt, plan, |seen| seen.flushed = Some(day));
    }

    /// Changes what was seen of a meter, if it is still kept in mind.
    pub(super) fn change_seen(
        &self,
        attempt: &Attempt<'_>,
        plan: &str,
        change: impl FnOnce(&mut Seen),
    ) {
        self.keys.update(&attempt.hash, |known| {
            if let Some(seen) = known.meters.get_mut(plan) {
                change(seen);
            }
        });
    }

    /// Sums up what was admitted in `period` before the meter's day. Only needed once after a quota was changed to one
    /// that had begun before: at most a month of days, all read at once.
    pub(super) async fn recount(
        &self,
        attempt: &Attempt<'_>,
        known: &Known,
        charged: &Charged,
        period: Period,
        before: Date,
    ) -> Result<(), Failure> {
        let (key, plan) = (known.record.value.id.as_str(), charged.plan.id.as_str());
        let waiting = charged.seen.meter.value.closed;
        let days = period.start.series(1.day()).take_while(|day| *day < before);
        let counts = days.map(|day| self.admitted_on(attempt, key, plan, day, waiting));
        let counts = future::try_join_all(counts).await?;
        let history = History {
            period,
            before,
            admitted: counts.iter().sum(),
        };
        self.change_seen(attempt, plan, |seen| seen.history = Some(history));
        Ok(())
    }

    async fn admitted_on(
        &self,
        attempt: &Attempt<'_>,
        key: &str,
        plan: &str,
        day: Date,
        waiting: Option<ClosedDay>,
    ) -> Result<u64, Failure> {
        if let Some(closed) = waiting.filter(|closed| closed.day == day) {
            return Ok(closed.count);
        }
        let item = ItemKey::usage(key, plan, day);
        let usage: Option<UsageRecord> =
            self.read(|| self.table.get(&item, &attempt.budget)).await?;
        Ok(usage.map_or(0, |usage| usage.count))
    }
}
