//! What an engine remembers, and how it comes to know it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future;
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp, ToSpan};
use tokio::time::Instant;
use tollgate_core::calendar::Period;
use tollgate_core::charge::History;
use tollgate_core::id::{KeyId, PlanId};
use tollgate_core::meter::ClosedDay;

use super::instance::Instance;
use super::seen::CachedMeter;
use super::{
    Attempt, Decider, MAX_TRIES, NEGATIVE_AGE, PLAN_HARD_AGE, PLAN_SOFT_AGE, RECORD_HARD_AGE,
    RECORD_SOFT_AGE, Scope,
};
use crate::cache::{Cached, Weigh};
use tollgate_dynamo::failure::{Corrupt, Failure};
use tollgate_dynamo::item::ItemKey;
use tollgate_dynamo::item::key::KeyRecord;
use tollgate_dynamo::item::lookup::LookupRecord;
use tollgate_dynamo::item::plan::PlanRecord;
use tollgate_dynamo::item::usage::UsageRecord;
use tollgate_dynamo::table::Budget;

/// How often, and how long apart, a key on its way to another plan is looked for: about half a second in all.
const MOVE_LOOKS: u32 = 20;
const MOVE_PAUSE: Duration = Duration::from_millis(25);

/// What is known of a key.
#[derive(Clone)]
pub(super) struct Account {
    pub(super) record: Cached<Arc<KeyRecord>>,
    pub(super) meters: HashMap<PlanId, CachedMeter>,
    /// Meters that could not be understood, by plan.
    pub(super) damaged: HashMap<PlanId, Corrupt>,
    /// When the store last said that it is too busy for the key.
    pub(super) throttled_at: Option<Timestamp>,
    /// When the store last confirmed a charge of the key.
    pub(super) good_at: Option<Timestamp>,
}

impl Weigh for Account {
    fn bytes(&self) -> usize {
        // A meter is about 1 KB; one that has grown has grown by its buckets.
        let meters = self.meters.values();
        let meters = meters.map(|seen| 1_000 + seen.meter.value.buckets.len() * 100);
        self.record.value.bytes() + meters.sum::<usize>()
    }
}

impl Decider {
    /// What is known of the key, read where it is not; `None` where there is no such key.
    pub(super) async fn known(
        &self,
        attempt: &mut Attempt<'_>,
    ) -> Result<Option<Arc<Account>>, Failure> {
        let Scope { hash, now, .. } = attempt.scope;
        if let Some(known) = self.keys.get(&hash) {
            if known.record.is_within(RECORD_HARD_AGE, now) {
                return Ok(Some(known));
            }
            // From the value on: that may be another key's by now.
            self.keys.remove(&hash);
        }
        let unknown = self.unknown.get(&hash);
        if unknown.is_some_and(|unknown| unknown.is_within(NEGATIVE_AGE, now)) {
            return Ok(None);
        }
        let known = self.read_key(attempt).await?.map(Arc::new);
        match &known {
            Some(known) => self.keys.put(hash, Arc::clone(known)),
            None => self.unknown.put(hash, Cached::new((), now)),
        }
        Ok(known)
    }

    /// The cold path: the value's item, then key, plans and meters at once.
    async fn read_key(&self, attempt: &mut Attempt<'_>) -> Result<Option<Account>, Failure> {
        let scope = attempt.scope;
        let item = ItemKey::hash(&scope.hash);
        let hash: Option<LookupRecord> = self.read(|| self.table.get(&item, &scope.budget)).await?;
        // One whose time is over may still be there: DynamoDB deletes it when it comes to it.
        let is_kept = |hash: &LookupRecord| hash.ttl.is_none_or(|ttl| scope.now.as_second() < ttl);
        let Some(hash) = hash.filter(is_kept) else {
            return Ok(None);
        };
        attempt.fresh = true;
        self.read_record(scope, &hash.key_id, &hash.plans).await
    }

    /// Reads a key with its meters, and those of its plans that are not known. `hint` names the plans it probably has.
    pub(super) async fn read_record(
        &self,
        scope: Scope,
        id: &KeyId,
        hint: &[PlanId],
    ) -> Result<Option<Account>, Failure> {
        let item = ItemKey::key(id);
        let record = self.read(|| self.table.get::<KeyRecord>(&item, &scope.budget));
        let (record, meters) = future::join(record, self.read_meters(scope, id, hint)).await;
        let (Some(mut record), mut meters) = (record?, meters?) else {
            return Ok(None);
        };
        record.forget_texts();
        // A value that was replaced is no longer this key's.
        if record.deleted || !record.has_value(&scope.hash) {
            return Ok(None);
        }
        let missed: Vec<_> = record
            .plans
            .iter()
            .filter(|plan| !hint.contains(plan))
            .cloned()
            .collect();
        meters.extend(self.read_meters(scope, id, &missed).await?);
        meters.retain(|(plan, _)| record.plans.contains(plan));
        let mut known = Account {
            record: Cached::new(Arc::new(record), scope.now),
            meters: HashMap::new(),
            damaged: HashMap::new(),
            throttled_at: None,
            good_at: None,
        };
        for (plan, meter) in meters {
            match meter {
                Ok(seen) => {
                    known.meters.insert(plan, seen);
                }
                Err(damaged) => {
                    known.damaged.insert(plan, damaged);
                }
            }
        }
        Ok(Some(known))
    }

    /// Reads a key's meters under these plans, and the plans themselves where they are not known.
    async fn read_meters(
        &self,
        scope: Scope,
        id: &KeyId,
        plans: &[PlanId],
    ) -> Result<Vec<(PlanId, Result<CachedMeter, Corrupt>)>, Failure> {
        let reads = plans.iter().map(|plan| self.read_meter(scope, id, plan));
        let seen = future::try_join_all(reads).await?;
        Ok(seen.into_iter().flatten().collect())
    }

    async fn read_meter(
        &self,
        scope: Scope,
        id: &KeyId,
        plan: &PlanId,
    ) -> Result<Option<(PlanId, Result<CachedMeter, Corrupt>)>, Failure> {
        let meter = self.read(|| self.table.meter(id, plan, &scope.budget));
        let (meter, known) = future::join(meter, self.plan(scope, plan)).await;
        // The key may have other plans than one that is damaged.
        if let Err(failure) = known
            && !matches!(failure, Failure::Corrupt(_))
        {
            return Err(failure);
        }
        let meter = match meter {
            Ok(None) => return Ok(None),
            Ok(Some(meter)) => Ok(CachedMeter::new(meter, scope.now, self.uncertainty())),
            Err(Failure::Corrupt(damaged)) => Err(damaged),
            Err(failure) => return Err(failure),
        };
        Ok(Some((plan.clone(), meter)))
    }

    /// Reads the key again, because something shows that it changed, or because too much time has passed.
    pub(super) async fn reread(&self, scope: Scope, record: &KeyRecord) -> Result<(), Failure> {
        let before = self.keys.get(&scope.hash);
        // Until it is read, nothing says that the key is still good.
        self.keys.update(&scope.hash, |known| {
            Arc::make_mut(known).good_at = None;
        });
        match self.read_record(scope, &record.id, &record.plans).await? {
            Some(mut known) => {
                for (plan, seen) in &mut known.meters {
                    if let Some(before) = before.as_ref().and_then(|known| known.meters.get(plan)) {
                        seen.carry(before, scope.now, self.uncertainty());
                    }
                }
                self.keys.put(scope.hash, Arc::new(known));
            }
            // The value may belong to another key by now, so the next turn starts from the value.
            None => self.keys.remove(&scope.hash),
        }
        Ok(())
    }

    /// Waits for a key that is on its way from one plan to another, for as long as that should take. False where it has not
    /// arrived.
    pub(super) async fn await_move(
        &self,
        attempt: &Attempt<'_>,
        known: &Account,
    ) -> Result<bool, Failure> {
        for _ in 0..MOVE_LOOKS {
            tokio::time::sleep(MOVE_PAUSE).await;
            self.reread(attempt.scope, &known.record.value).await?;
            let arrived = self
                .keys
                .get(&attempt.scope.hash)
                .is_none_or(|known| known.record.value.moving.is_none());
            if arrived {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// A key's plans, in the order in which it was linked to them.
    pub(super) async fn plans_of(
        &self,
        scope: Scope,
        record: &KeyRecord,
    ) -> Vec<Result<Option<Arc<PlanRecord>>, Failure>> {
        let plans = record.plans.iter().map(|id| self.plan(scope, id));
        future::join_all(plans).await
    }

    /// A plan as it is known, read where that is too long ago.
    pub(super) async fn plan(
        &self,
        scope: Scope,
        id: &PlanId,
    ) -> Result<Option<Arc<PlanRecord>>, Failure> {
        match self.plans.get(id) {
            Some(plan) if plan.is_within(PLAN_HARD_AGE, scope.now) => Ok(plan.value),
            _ => self.read_plan(scope, id).await,
        }
    }

    pub(super) async fn read_plan(
        &self,
        scope: Scope,
        id: &PlanId,
    ) -> Result<Option<Arc<PlanRecord>>, Failure> {
        self.read(|| self.load_plan(scope, id)).await
    }

    async fn load_plan(
        &self,
        scope: Scope,
        id: &PlanId,
    ) -> Result<Option<Arc<PlanRecord>>, Failure> {
        let item = ItemKey::plan(id);
        let record: Option<PlanRecord> = self.table.get(&item, &scope.budget).await?;
        let plan = record.filter(|record| !record.deleted).map(Arc::new);
        self.plans
            .put(id.clone(), Cached::new(plan.clone(), scope.now));
        Ok(plan)
    }

    /// How far off our clock may be.
    pub(super) fn uncertainty(&self) -> SignedDuration {
        self.table.connection().clock().uncertainty()
    }

    /// Reads an ageing plan again, for the next request. That it failed shows at the hard age, if it still does.
    pub(super) async fn refresh_plan(&self, scope: Scope, plan: &PlanId) {
        let known = self.plans.get(plan);
        if known.is_some_and(|plan| plan.is_within(PLAN_SOFT_AGE, scope.now)) {
            return;
        }
        // Nobody waits for a second try.
        if let Err(failure) = self.load_plan(scope, plan).await {
            tracing::warn!(%failure, %plan, "could not refresh a plan");
        }
    }

    /// Reads an ageing record again, for the next request. That it failed shows at the hard age, if it still does.
    pub(super) async fn refresh_record(&self, scope: Scope) {
        let Some(known) = self.keys.get(&scope.hash) else {
            return;
        };
        if known.record.is_within(RECORD_SOFT_AGE, scope.now) {
            return;
        }
        // Nobody waits for a second try.
        let budget = Budget {
            end: scope.budget.end.min(Instant::now() + scope.budget.attempt),
            ..scope.budget
        };
        let once = Scope { budget, ..scope };
        if let Err(failure) = self.reread(once, &known.record.value).await {
            tracing::warn!(%failure, key_id = %known.record.value.id, "could not refresh a key");
            // That the store is silent says nothing against the key.
            self.keys.update(&scope.hash, |now| {
                Arc::make_mut(now).good_at = known.good_at;
            });
        }
    }

    /// Notes that the store is too busy for a key.
    pub(super) fn throttled(&self, scope: Scope) {
        self.keys.update(&scope.hash, |known| {
            Arc::make_mut(known).throttled_at = Some(scope.now);
        });
    }

    /// Tries a call until it is answered or time is out: a read, or a write that does no harm twice.
    pub(super) async fn read<T, F>(&self, read: impl Fn() -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let mut before = None;
        for tries in 1.. {
            match read().await {
                Err(failure @ (Failure::Throttled(_) | Failure::Indeterminate(_)))
                    if tries < MAX_TRIES =>
                {
                    tracing::warn!(%failure, "reading again");
                    before = Some(failure);
                    tokio::time::sleep(Instance::back_off(tries)).await;
                }
                // What has taken the time.
                Err(Failure::OutOfTime) => return Err(before.unwrap_or(Failure::OutOfTime)),
                outcome => return outcome,
            }
        }
        unreachable!("the last try is returned")
    }

    /// Changes what was seen of a meter, if it is still kept in mind.
    pub(super) fn change_seen(
        &self,
        scope: Scope,
        plan: &PlanId,
        change: impl FnOnce(&mut CachedMeter),
    ) {
        self.keys.update(&scope.hash, |known| {
            if let Some(seen) = Arc::make_mut(known).meters.get_mut(plan) {
                change(seen);
            }
        });
    }

    /// Sums up what was admitted in `period` before the meter's day. Only needed once after a quota was changed to one
    /// that had begun before: at most a month of days, all read at once.
    pub(super) async fn history(
        &self,
        scope: Scope,
        (key, plan): (&KeyId, &PlanId),
        waiting: Option<ClosedDay>,
        period: Period,
        before: Date,
    ) -> Result<History, Failure> {
        let days = period.start.series(1.day()).take_while(|day| *day < before);
        // A day beyond the period's end is damage: nothing was admitted on the days before it.
        let days = days.take_while(|day| *day < period.end());
        let counts = days.map(|day| self.admitted_on(scope, key, plan, day, waiting));
        let counts = future::try_join_all(counts).await?;
        Ok(History {
            period,
            before,
            admitted: counts.iter().sum(),
        })
    }

    async fn admitted_on(
        &self,
        scope: Scope,
        key: &KeyId,
        plan: &PlanId,
        day: Date,
        waiting: Option<ClosedDay>,
    ) -> Result<u64, Failure> {
        if let Some(closed) = waiting.filter(|closed| closed.day == day) {
            return Ok(closed.count);
        }
        let item = ItemKey::usage(key, plan, day);
        let usage: Option<UsageRecord> = self.read(|| self.table.get(&item, &scope.budget)).await?;
        Ok(usage.map_or(0, |usage| usage.count))
    }
}
