//! The write that charges a batch, and its further tries.
//!
//! - `members`: who of a batch is charged, and what becomes of each; `refusing`: refusals by what is known;
//!   `writing`: the write itself, and what its answer teaches.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use tollgate_core::charge::{self, ChargeRequest, Step};
use tollgate_core::meter::Meter;
use tollgate_core::plan::{BucketId, Limits};
use tollgate_core::sharing::{Circumstances, Tactic};
use tollgate_core::verdict::{Reason, Verdict};

use super::combine::{Group, Member, Outcome, Outcomes};
use super::instance::LaneGuard;
use super::seen::CachedMeter;
use super::{Attempt, Decider, MAX_TRIES, MAX_TURNS, Scope, TimeSource};
use tollgate_dynamo::failure::Failure;
use tollgate_dynamo::item::ItemKey;
use tollgate_dynamo::item::key::KeyRecord;
use tollgate_dynamo::item::plan::PlanRecord;

mod members;
mod refusing;
mod writing;

use members::decided;

/// What is charged: a key under one of its plans, by limits that are the same for all members of a batch.
pub(super) struct Charging {
    decider: Arc<Decider>,
    scope: Scope,
    clock: TimeSource,
    record: Arc<KeyRecord>,
    plan: Arc<PlanRecord>,
    limits: Limits,
    day: Date,
}

impl Charging {
    pub(super) fn new(
        decider: &Arc<Decider>,
        attempt: &Attempt<'_>,
        record: &Arc<KeyRecord>,
        plan: Arc<PlanRecord>,
        limits: Limits,
        day: Date,
    ) -> Self {
        Self {
            decider: Arc::clone(decider),
            scope: attempt.scope,
            clock: Arc::clone(&attempt.request.clock),
            record: Arc::clone(record),
            plan,
            limits,
            day,
        }
    }

    pub(super) fn group(&self) -> Group {
        Group {
            hash: self.scope.hash,
            plan: self.plan.id.clone(),
            key_revision: self.record.revision,
            plan_revision: self.plan.revision,
            limits: self.limits.clone(),
            day: self.day,
        }
    }

    /// Charges these members: as many as there is room for, in order of arrival.
    pub(super) async fn run(self, members: Vec<Member>) -> Outcomes {
        let (slot, sequence) = self.decider.instance.slot((self.clock)());
        let mut batch = Batch {
            slot,
            sequence,
            of: self,
            started: None,
            tries: 0,
            lost: None,
            outcomes: vec![None; members.len()],
            members,
        };
        batch.scope_until_last();
        for _ in 0..MAX_TURNS {
            match batch.turn().await {
                Ok(Turn::Next) if batch.tries < MAX_TRIES => {}
                Ok(_) => break,
                Err(failure) => {
                    batch.rest(&Outcome::Failed(failure));
                    break;
                }
            }
        }
        batch.rest(&decided(Verdict::because(Reason::Contended)));
        batch.outcomes.into_iter().flatten().collect()
    }
}

/// Members under way.
struct Batch {
    of: Charging,
    members: Vec<Member>,
    /// One for each member, as they become known.
    outcomes: Vec<Option<Outcome>>,
    slot: LaneGuard,
    sequence: u64,
    /// The time of the first try.
    started: Option<Timestamp>,
    tries: u32,
    /// An answer was lost: the write that charged these members may still be made.
    lost: Option<Vec<usize>>,
}

/// Whether there is more to do.
enum Turn {
    Next,
    Done,
}

/// A meter as a batch looks at it at one moment.
struct View<'a> {
    seen: &'a CachedMeter,
    now: Timestamp,
    /// How far the meter's time is ahead, and how far a clock may be off, nanoseconds.
    ahead: i128,
    tolerance: i128,
    tactics: BTreeMap<BucketId, Tactic>,
}

impl Batch {
    /// The batch has as much time as its most patient member.
    fn scope_until_last(&mut self) {
        let waiting = self.members.iter().filter(|member| member.is_waiting());
        let last = waiting.map(|member| member.end).max();
        let end = &mut self.of.scope.budget.end;
        *end = last.unwrap_or(*end);
    }

    async fn turn(&mut self) -> Result<Turn, Failure> {
        let now = (self.of.clock)();
        self.of.scope.now = now;
        let Some(seen) = self.seen(now) else {
            if let Some(lost) = self.lost.take() {
                // The lost write may still be made, and the next one would go by other limits.
                return Ok(self.uncertain(&lost));
            }
            return Ok(self.again(false));
        };
        let meter = Arc::clone(&seen.meter.value);
        if let Some(made) = self.lost.clone().filter(|_| self.is_made(&meter)) {
            // An earlier try was made after all.
            return Ok(self.admit(&made, &meter, &self.view(&seen, now)));
        }
        if self.waiting().next().is_none() {
            self.rest(&Outcome::Failed(Failure::OutOfTime));
            return Ok(Turn::Done);
        }
        let view = self.view(&seen, now);
        let chosen = self.choose(&meter, &view);
        match charge::charge(&meter, &self.ask(&view, self.cost(&chosen))) {
            Step::Refuse(_) => self.refuse(&view).await,
            step => self.take(step, &view, &chosen).await,
        }
    }

    /// Goes on with a step other than a refusal.
    async fn take(
        &mut self,
        step: Step,
        view: &View<'_>,
        chosen: &[usize],
    ) -> Result<Turn, Failure> {
        let (decider, scope) = (Arc::clone(&self.of.decider), self.of.scope);
        let (key, plan) = (self.of.record.id.clone(), self.of.plan.id.clone());
        let item = ItemKey::meter(&key, &plan);
        match step {
            Step::KeyChanged => {
                decider.reread(scope, &self.of.record).await?;
                Ok(self.again(true))
            }
            Step::PlanChanged => {
                decider.read_plan(scope, &plan).await?;
                Ok(self.again(false))
            }
            Step::ArchiveDay(closed) => {
                let flush = || decider.table.flush(&key, &plan, &closed, &scope.budget);
                decider.read(flush).await?;
                self.change_seen(|seen| seen.flushed = Some(closed.day));
                Ok(Turn::Next)
            }
            Step::LoadHistory(period, before) => {
                let waiting = view.seen.meter.value.closed;
                let history = decider.history(scope, (&key, &plan), waiting, period, before);
                let history = history.await?;
                self.change_seen(|seen| seen.history = Some(history));
                Ok(Turn::Next)
            }
            Step::SyncRevisions(adopt) => {
                self.tries += 1;
                let written = decider.table.adopt(&item, adopt, &scope.budget).await;
                self.record_outcome(written).await
            }
            Step::RebaseBuckets(settle) => {
                self.tries += 1;
                let written = decider.table.charge(&item, &settle, None, &scope.budget);
                self.record_outcome(written.await).await
            }
            Step::Charge(charge) => self.charge(view, &charge, chosen).await,
            Step::Refuse(_) => Ok(Turn::Next),
        }
    }

    /// The meter as it is known; `None` if the group has nothing in common any more.
    fn seen(&self, now: Timestamp) -> Option<CachedMeter> {
        let known = self.of.decider.keys.get(&self.of.scope.hash)?;
        let record = &known.record.value;
        let seen = known.meters.get(&self.of.plan.id)?;
        let revision = self.of.plan.revision;
        let plan = self.of.decider.plans.get(&self.of.plan.id);
        // One that was put out of mind says nothing.
        let is_same_plan =
            plan.is_none_or(|plan| plan.value.is_some_and(|plan| plan.revision == revision));
        let is_as_it_was = record.id == self.of.record.id
            && record.revision == self.of.record.revision
            && is_same_plan
            && !record.is_expired(&self.of.scope.hash, now)
            && charge::today(&seen.meter.value, now) == self.of.day;
        is_as_it_was.then(|| seen.clone())
    }

    fn view<'a>(&self, seen: &'a CachedMeter, now: Timestamp) -> View<'a> {
        let retrying_for = self.started.map(|started| {
            let elapsed = now.duration_since(started);
            elapsed.max(SignedDuration::ZERO).as_nanos()
        });
        let circumstances = Circumstances {
            seen_ago: seen.seen_ago(now),
            retrying_for,
            draw: fastrand::f64(),
        };
        let tactic = |(id, bucket): (&str, _)| {
            let tactic = seen.sharing.tactic(id, &bucket, circumstances);
            (id.to_owned(), tactic)
        };
        let tolerance = self.of.decider.uncertainty();
        View {
            seen,
            now,
            ahead: seen.ahead(now, tolerance),
            tolerance: tolerance.as_nanos(),
            tactics: self.of.limits.buckets().map(tactic).collect(),
        }
    }

    fn ask<'a>(&'a self, view: &'a View<'_>, cost: NonZeroU32) -> ChargeRequest<'a> {
        let terms = self.of.record.terms(&self.of.plan);
        ChargeRequest {
            now: view.now,
            ahead: view.ahead,
            tolerance: view.tolerance,
            cost,
            key_revision: self.of.record.revision,
            plan_revision: self.of.plan.revision,
            limits: &self.of.limits,
            quota_before: terms.quota(view.seen.meter.value.day),
            flushed: view.seen.flushed,
            history: view.seen.history,
            tactics: &view.tactics,
        }
    }

    fn see(&self, meter: Meter, now: Timestamp) {
        let meter = Arc::new(meter);
        let tolerance = self.of.decider.uncertainty();
        self.change_seen(|seen| seen.see(meter, now, tolerance));
    }

    fn change_seen(&self, change: impl FnOnce(&mut CachedMeter)) {
        let plan = &self.of.plan.id;
        self.of.decider.change_seen(self.of.scope, plan, change);
    }
}
