//! The write that charges a batch, and its further tries.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future;
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use tokio::time::sleep;
use tollgate_core::charge::{self, Ask, Charge, Refusal, Step};
use tollgate_core::lane::{Place, Stamp};
use tollgate_core::meter::Meter;
use tollgate_core::plan::{BucketId, Limits};
use tollgate_core::sharing::{Circumstances, Tactic};
use tollgate_core::standing::Standing;
use tollgate_core::verdict::{Reason, Verdict};

use super::combine::{Group, Member, Outcome, Outcomes};
use super::instance::{Instance, Slot};
use super::memory::Seen;
use super::{
    Attempt, Decider, MAX_TRIES, MAX_TURNS, NEGATIVE_AGE, PLAN_HARD_AGE, Scope, TimeSource,
};
use crate::failure::Failure;
use crate::record::{ItemKey, KeyRecord, PlanRecord};
use crate::table::Written;

/// From this try on no new lane is claimed: with the last free ones raced for, the race alone could cost all tries.
const TRIES_WITH_A_NEW_LANE: u32 = 2;

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
    slot: Slot,
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
    seen: &'a Seen,
    now: Timestamp,
    ahead: i128,
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
            Step::Flush(closed) => {
                let flush = || decider.table.flush(&key, &plan, &closed, &scope.budget);
                decider.read(flush).await?;
                self.change_seen(|seen| seen.flushed = Some(closed.day));
                Ok(Turn::Next)
            }
            Step::Recount(period, before) => {
                let waiting = view.seen.meter.value.closed;
                let history = decider.history(scope, (&key, &plan), waiting, period, before);
                let history = history.await?;
                self.change_seen(|seen| seen.history = Some(history));
                Ok(Turn::Next)
            }
            Step::Adopt(adopt) => {
                self.tries += 1;
                let written = decider.table.adopt(&item, adopt, &scope.budget).await;
                self.record_outcome(written).await
            }
            Step::Settle(settle) => {
                self.tries += 1;
                let written = decider.table.charge(&item, &settle, None, &scope.budget);
                self.record_outcome(written.await).await
            }
            Step::Charge(charge) => self.charge(view, &charge, chosen).await,
            Step::Refuse(_) => Ok(Turn::Next),
        }
    }

    /// The meter as it is known; `None` if the group has nothing in common any more.
    fn seen(&self, now: Timestamp) -> Option<Seen> {
        let known = self.of.decider.keys.get(&self.of.scope.hash)?;
        let record = &known.record.value;
        let seen = known.meters.get(&self.of.plan.id)?;
        // One that was put out of mind says nothing.
        let is_other = |plan: Option<Arc<PlanRecord>>| {
            plan.is_none_or(|plan| plan.revision != self.of.plan.revision)
        };
        let plan = self.of.decider.plans.get(&self.of.plan.id);
        let is_as_it_was = record.id == self.of.record.id
            && record.revision == self.of.record.revision
            && !plan.is_some_and(|plan| is_other(plan.value))
            && !record.is_expired(&self.of.scope.hash, now)
            && charge::today(&seen.meter.value, now) == self.of.day;
        is_as_it_was.then(|| seen.clone())
    }

    fn view<'a>(&self, seen: &'a Seen, now: Timestamp) -> View<'a> {
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
        View {
            seen,
            now,
            ahead: seen.ahead(now, self.of.decider.uncertainty()),
            tactics: self.of.limits.buckets().map(tactic).collect(),
        }
    }

    fn ask<'a>(&'a self, view: &'a View<'_>, cost: NonZeroU32) -> Ask<'a> {
        let terms = self.of.record.terms(&self.of.plan);
        Ask {
            now: view.now,
            ahead: view.ahead,
            tolerance: self.of.decider.uncertainty().as_nanos(),
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

    /// The members that still wait and are not decided.
    fn waiting(&self) -> impl Iterator<Item = (usize, NonZeroU32)> {
        let members = self.members.iter().enumerate();
        let undecided = members.filter(|(position, _)| self.outcomes[*position].is_none());
        let waiting = undecided.filter(|(_, member)| member.is_waiting());
        waiting.map(|(position, member)| (position, member.cost))
    }

    /// The members that a meter has room for, in order of arrival. After a lost answer they are those of the lost write: only
    /// one of two writes with the same number can be made, and which one it was must not matter.
    fn choose(&self, meter: &Meter, view: &View<'_>) -> Vec<usize> {
        if let Some(lost) = &self.lost {
            return lost.clone();
        }
        let mut chosen = Vec::new();
        let mut sum = 0u32;
        for (position, cost) in self.waiting() {
            let more = cost.saturating_add(sum);
            let is_exact = more.get() - sum == cost.get();
            if is_exact && charge::refusal(meter, &self.ask(view, more)).is_none() {
                sum = more.get();
                chosen.push(position);
            }
        }
        // Others that ask for all there is make each other fail: after each failure ask for half as much.
        let most = sum >> self.tries;
        let mut sum = 0;
        let mut is_within = |position: &usize| {
            sum += self.members[*position].cost.get();
            sum <= most
        };
        let within = chosen
            .iter()
            .skip(1)
            .take_while(|position| is_within(position))
            .count();
        chosen.truncate(1 + within);
        chosen
    }

    /// What members cost together; if there are none, what the first that waits would.
    fn cost(&self, members: &[usize]) -> NonZeroU32 {
        let costs = members.iter().map(|position| self.members[*position].cost);
        let sum = costs.map(NonZeroU32::get).sum();
        let first = || {
            self.waiting()
                .next()
                .map_or(NonZeroU32::MIN, |(_, cost)| cost)
        };
        NonZeroU32::new(sum).unwrap_or_else(first)
    }

    /// Refuses all, by the meter as it is known: if that is known well enough. Otherwise it asks.
    async fn refuse(&mut self, view: &View<'_>) -> Result<Turn, Failure> {
        let seen = view.seen;
        if let Some(lost) = self.lost.take() {
            self.refuse_lost(&lost, view);
            // The others start anew, under a number of their own.
            return Ok(self.again(false));
        }
        let refusals: Vec<_> = self
            .waiting()
            .filter_map(|(position, cost)| {
                let refusal = charge::refusal(&seen.meter.value, &self.ask(view, cost))?;
                Some((position, refusal))
            })
            .collect();
        let may_repeat = |refusal: &Refusal| seen.meter.is_within(age_of(refusal), view.now);
        if refusals.iter().all(|(_, refusal)| may_repeat(refusal)) {
            let (decider, scope) = (Arc::clone(&self.of.decider), self.of.scope);
            decider.refresh_plan(scope, &self.of.plan.id).await;
            for (position, refusal) in refusals {
                self.outcomes[position] = Some(self.refused(&seen.meter.value, view, &refusal));
            }
            return Ok(Turn::Done);
        }
        let doubted = doubted(&seen.meter.value);
        let chosen = self.choose(&doubted, view);
        match charge::charge(&doubted, &self.ask(view, self.cost(&chosen))) {
            // Whatever the meter says: the key or the plan would have to have changed.
            Step::Refuse(_) => {
                let (decider, scope) = (Arc::clone(&self.of.decider), self.of.scope);
                let (record, plan) = (&self.of.record, &self.of.plan.id);
                let read_plan = decider.read_plan(scope, plan);
                let (record, plan) = future::join(decider.reread(scope, record), read_plan).await;
                record.and(plan)?;
                Ok(Turn::Next)
            }
            step => self.take(step, view, &chosen).await,
        }
    }

    /// Members whose lost write has no room now. Each is refused by what refuses it alone, or else for not being told apart.
    fn refuse_lost(&mut self, lost: &[usize], view: &View<'_>) {
        let meter = &view.seen.meter.value;
        for &position in lost {
            let cost = self.members[position].cost;
            let refusal = charge::refusal(meter, &self.ask(view, cost));
            let uncertain = || decided(Verdict::because(Reason::Uncertain));
            let outcome =
                refusal.map_or_else(uncertain, |refusal| self.refused(meter, view, &refusal));
            self.outcomes[position] = Some(outcome);
        }
    }

    /// Tries the one write. Beside it, whatever else is due: an ageing plan is read, a closed day is written out.
    async fn charge(
        &mut self,
        view: &View<'_>,
        charge: &Charge,
        chosen: &[usize],
    ) -> Result<Turn, Failure> {
        let (decider, scope) = (Arc::clone(&self.of.decider), self.of.scope);
        let (key, plan) = (self.of.record.id.clone(), self.of.plan.id.clone());
        let stamp = self.stamp(&view.seen.meter.value);
        if self.lost.is_some() && stamp.is_none() {
            // The lost write may still be made, and nothing would keep this one from being made as well.
            return Ok(self.uncertain(chosen));
        }
        self.started.get_or_insert(view.now);
        self.tries += 1;
        let item = ItemKey::meter(&key, &plan);
        let (written, (), ()) = future::join3(
            decider
                .table
                .charge(&item, charge, stamp.as_ref(), &scope.budget),
            decider.refresh_plan(scope, &plan),
            self.flush_beside(view.seen),
        )
        .await;
        self.learn(view, charge, &written);
        match written {
            Ok(Written::Done(meter)) => {
                let turn = self.admit(chosen, &meter, view);
                self.see(meter, view.now);
                Ok(turn)
            }
            Err(Failure::Lost(what)) => {
                tracing::warn!(key_id = key, plan, what, "the answer to a charge was lost");
                if stamp.is_none() {
                    return Ok(self.uncertain(chosen));
                }
                self.lost = Some(chosen.to_vec());
                if self.tries < MAX_TRIES {
                    return Ok(Turn::Next);
                }
                for &position in chosen {
                    let failure = Failure::Lost(what.clone());
                    self.outcomes[position] = Some(Outcome::Failed(failure));
                }
                Ok(self.again(false))
            }
            Ok(Written::Refused(Some(meter))) if self.lost.is_some() && self.is_made(&meter) => {
                // An earlier try was made after all.
                let turn = self.admit(chosen, &meter, view);
                self.see(meter, view.now);
                Ok(turn)
            }
            written => {
                if let (Ok(Written::Refused(Some(meter))), true) =
                    (&written, self.tries >= MAX_TRIES)
                {
                    self.give_up(chosen, meter, view);
                }
                self.record_outcome(written).await
            }
        }
    }

    /// The mark of this batch on a meter, if there is a lane for it.
    fn stamp(&self, meter: &Meter) -> Option<Stamp> {
        let stamp = Stamp::claim(&meter.lanes, self.slot.lane(), self.sequence)?;
        let may_race = self.tries < TRIES_WITH_A_NEW_LANE || self.lost.is_some();
        (may_race || stamp.place == Place::Own).then_some(stamp)
    }

    fn learn(&self, view: &View<'_>, charge: &Charge, written: &Result<Written, Failure>) {
        let (after, applied) = match written {
            Ok(Written::Done(meter)) => (meter, true),
            Ok(Written::Refused(Some(meter))) => (meter, false),
            _ => return,
        };
        let (before, now) = (&view.seen.meter.value, (self.of.clock)().as_nanosecond());
        self.change_seen(|seen| seen.sharing.learn(before, charge, after, applied, now));
    }

    /// Takes note of what became of a write that has admitted nobody.
    async fn record_outcome(&mut self, written: Result<Written, Failure>) -> Result<Turn, Failure> {
        match written {
            Ok(Written::Done(meter) | Written::Refused(Some(meter))) => {
                self.see(meter, self.of.scope.now);
            }
            // The meter is gone, and so is the link.
            Ok(Written::Refused(None)) => {
                let decider = Arc::clone(&self.of.decider);
                decider.reread(self.of.scope, &self.of.record).await?;
                return Ok(self.again(true));
            }
            Err(failure @ (Failure::Busy(_) | Failure::Lost(_))) if self.tries < MAX_TRIES => {
                tracing::warn!(%failure, "trying again");
                sleep(Instance::back_off(self.tries)).await;
            }
            Err(failure) => return Err(failure),
        }
        Ok(Turn::Next)
    }

    /// Admits members that the meter has been charged for. The others are refused by it, or decided again.
    fn admit(&mut self, members: &[usize], meter: &Meter, view: &View<'_>) -> Turn {
        let standing = Standing::of(meter, &self.of.limits, None, view.now, view.ahead);
        for &position in members {
            self.outcomes[position] = Some(decided(Verdict {
                standing: standing.clone(),
                ..Verdict::because(Reason::Ok)
            }));
        }
        let scope = self.of.scope;
        self.of.decider.keys.update(&scope.hash, |known| {
            Arc::make_mut(known).good_at = Some(view.now);
        });
        let others: Vec<_> = self.waiting().map(|(position, _)| position).collect();
        self.refuse_full(&others, meter, view);
        self.again(false)
    }

    /// After the last try: refuses whoever has no room. Of the others, those that were tried have met other writes each time; those
    /// that were not are decided again.
    fn give_up(&mut self, chosen: &[usize], meter: &Meter, view: &View<'_>) {
        let waiting: Vec<_> = self.waiting().map(|(position, _)| position).collect();
        self.refuse_full(&waiting, meter, view);
        let untried = waiting
            .into_iter()
            .filter(|position| !chosen.contains(position));
        for position in untried {
            self.outcomes[position].get_or_insert(Outcome::Again { reread: false });
        }
    }

    /// Refuses those members that the store has just shown to have no room on a meter.
    fn refuse_full(&mut self, members: &[usize], meter: &Meter, view: &View<'_>) {
        for &position in members {
            let ask = self.ask(view, self.members[position].cost);
            if let Some(refusal) = charge::refusal(meter, &ask) {
                self.outcomes[position] = Some(self.refused(meter, view, &refusal));
            }
        }
    }

    fn refused(&self, meter: &Meter, view: &View<'_>, refusal: &Refusal) -> Outcome {
        let history = view.seen.history;
        let wait = refusal.until.map(|until| until.duration_since(view.now));
        decided(Verdict {
            standing: Standing::of(meter, &self.of.limits, history, view.now, view.ahead),
            retry_after: wait.and_then(|wait| Duration::try_from(wait).ok()),
            ..Verdict::because(refusal.reason)
        })
    }

    fn uncertain(&mut self, members: &[usize]) -> Turn {
        for &position in members {
            self.outcomes[position] = Some(decided(Verdict::because(Reason::Uncertain)));
        }
        self.again(false)
    }

    /// Whoever is not decided yet is decided again from the start.
    fn again(&mut self, reread: bool) -> Turn {
        self.rest(&Outcome::Again { reread });
        Turn::Done
    }

    /// The outcome of all who have none yet.
    fn rest(&mut self, outcome: &Outcome) {
        for missing in self.outcomes.iter_mut().filter(|outcome| outcome.is_none()) {
            *missing = Some(outcome.clone());
        }
    }

    /// Whether a meter has taken a write of this batch.
    fn is_made(&self, meter: &Meter) -> bool {
        meter.lanes.get(self.slot.lane()) == Some(&self.sequence)
    }

    fn see(&self, meter: Meter, now: Timestamp) {
        let meter = Arc::new(meter);
        let tolerance = self.of.decider.uncertainty();
        self.change_seen(|seen| seen.see(meter, now, tolerance));
    }

    fn change_seen(&self, change: impl FnOnce(&mut Seen)) {
        let plan = &self.of.plan.id;
        self.of.decider.change_seen(self.of.scope, plan, change);
    }

    /// Writes out a closed day that waits. That it failed costs nothing: it goes on waiting.
    async fn flush_beside(&self, seen: &Seen) {
        let Some(closed) = seen.meter.value.closed else {
            return;
        };
        if seen.flushed == Some(closed.day) {
            return;
        }
        let (key_id, plan) = (&self.of.record.id, &self.of.plan.id);
        let budget = &self.of.scope.budget;
        match self
            .of
            .decider
            .table
            .flush(key_id, plan, &closed, budget)
            .await
        {
            Ok(()) => self.change_seen(|seen| seen.flushed = Some(closed.day)),
            Err(failure) => {
                tracing::warn!(%failure, key_id, plan, "could not write out a closed day");
            }
        }
    }
}

fn decided(verdict: Verdict) -> Outcome {
    Outcome::Decided(Box::new(verdict))
}

/// How old a meter may be for a refusal by it to be repeated without asking. A bucket stays full until its time; a quota can
/// be raised at any moment, and a limit that admits nothing never ends by itself.
fn age_of(refusal: &Refusal) -> SignedDuration {
    if refusal.reason == Reason::Quota || refusal.until.is_none() {
        NEGATIVE_AGE
    } else {
        PLAN_HARD_AGE
    }
}

/// The meter without what would refuse: the write that follows from it asks the store.
fn doubted(meter: &Meter) -> Meter {
    Meter {
        buckets: BTreeMap::new(),
        count: 0,
        spent: 0,
        ..meter.clone()
    }
}
