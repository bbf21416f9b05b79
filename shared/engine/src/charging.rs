//! The driver of a batch: makes the calls that its [`Flow`] names, and caches what the replies say.

use std::sync::Arc;

use futures_util::future;
use jiff::Timestamp;
use jiff::civil::Date;
use tollgate_core::charge::{self, Charge};
use tollgate_core::flow::{Flow, Load, Next, Outcome, Reply, View, Write};
use tollgate_core::lane::Stamp;
use tollgate_core::limits::Limits;
use tollgate_core::meter::{ClosedDay, Revisions};
use tollgate_dynamo::failure::Failure;
use tollgate_dynamo::item::ItemKey;
use tollgate_dynamo::item::key::KeyRecord;
use tollgate_dynamo::item::plan::PlanRecord;
use tollgate_dynamo::retry::back_off;
use tollgate_dynamo::table::Written;

use crate::account::Account;
use crate::attempt::{Attempt, Scope};
use crate::cached_meter::CachedMeter;
use crate::combine::{Group, Member, Outcomes};
use crate::lanes::Lanes;
use crate::memory::Memory;
use crate::request::TimeSource;

/// What a batch charges: a key under one of its plans, with limits that are the same for all members of the batch.
pub(crate) struct Charging {
    memory: Arc<Memory>,
    lanes: Arc<Lanes>,
    scope: Scope,
    clock: TimeSource,
    record: Arc<KeyRecord>,
    plan: Arc<PlanRecord>,
    limits: Limits,
    day: Date,
    good_until: Option<Timestamp>,
}

impl Charging {
    pub(crate) fn new(
        (memory, lanes): (&Arc<Memory>, &Arc<Lanes>),
        attempt: &Attempt<'_>,
        record: &Arc<KeyRecord>,
        plan: Arc<PlanRecord>,
        day: Date,
    ) -> Self {
        let target = attempt.request.target;
        let terms = record.terms(&plan);
        let stage = plan.limits.stage(target);
        let limits = stage.map(|stage| terms.limits(stage, target, day));
        Self {
            memory: Arc::clone(memory),
            lanes: Arc::clone(lanes),
            scope: attempt.scope,
            clock: Arc::clone(&attempt.request.clock),
            record: Arc::clone(record),
            limits: limits.unwrap_or_default(),
            plan,
            day,
            good_until: record.good_until(&attempt.hash),
        }
    }

    pub(crate) fn group(&self) -> Group {
        Group {
            key: self.record.id.clone(),
            plan: self.plan.id.clone(),
            revisions: self.revisions(),
            limits: self.limits.clone(),
            day: self.day,
            good_until: self.good_until,
        }
    }

    fn revisions(&self) -> Revisions {
        Revisions {
            key: self.record.revision,
            plan: self.plan.revision,
        }
    }

    /// Charges as many members as there is room for, in order of arrival.
    pub(crate) async fn run(mut self, members: Vec<Member>) -> Outcomes {
        self.wait_for_the_most_patient(&members);
        let (lane, sequence) = self.lanes.claim((self.clock)());
        let costs = members.iter().map(|member| member.cost);
        let mut flow = Flow::new(costs, lane.name(), sequence);
        while self.step(&mut flow, &members).await {}
        if flow.admits() {
            let confirmed = |account: &mut Account| account.confirmed_at = Some(self.scope.now);
            self.memory.change_account(&self.record.id, confirmed);
        }
        let outcomes: Vec<Outcome<Failure>> = flow.into_outcomes();
        outcomes.into()
    }

    fn wait_for_the_most_patient(&mut self, members: &[Member]) {
        let waiting = members.iter().filter(|member| member.is_waiting());
        let end = &mut self.scope.budget.end;
        *end = waiting.map(|member| member.end).max().unwrap_or(*end);
    }

    /// Makes the next call. Returns false if there is none.
    async fn step(&mut self, flow: &mut Flow<Failure>, members: &[Member]) -> bool {
        let now = (self.clock)();
        self.scope.now = now;
        let Some(cached) = self.cached(now) else {
            flow.restart();
            return false;
        };
        let view = self.view(&cached, now);
        flow.keep_waiting(|position| members[position].is_waiting());
        match flow.next(&view) {
            Next::Done => return false,
            Next::Wait { attempts } => back_off(attempts).await,
            Next::Load(load) => match self.load(&cached, load).await {
                Ok(()) => flow.observe(&view, Reply::Done),
                Err(failure) => flow.observe(&view, Reply::Failed(failure)),
            },
            Next::Archive(closed) => match self.archive(&closed).await {
                Ok(()) => flow.observe(&view, Reply::Done),
                Err(failure) => flow.observe(&view, Reply::Failed(failure)),
            },
            Next::Write(write) => {
                let written = self.write(&cached, &write).await;
                flow.keep_waiting(|position| members[position].is_waiting());
                flow.observe(&view, reply(&written));
                self.note(written);
            }
        }
        true
    }

    /// The cached meter; `None` if the members of the batch no longer share one key, plan and set of limits.
    fn cached(&self, now: Timestamp) -> Option<CachedMeter> {
        let account = self.memory.accounts.get(&self.record.id)?;
        let cached = account.meters.get(&self.plan.id)?;
        let plan = self.memory.plans.get(&self.plan.id);
        // A plan that is not cached says nothing.
        let is_same_plan = plan.is_none_or(|plan| {
            let plan = plan.value;
            plan.is_some_and(|plan| plan.revision == self.plan.revision)
        });
        let is_as_it_was = account.record.value.revision == self.record.revision
            && is_same_plan
            && self.good_until.is_none_or(|end| now < end)
            && charge::today(&cached.meter.value, now) == self.day;
        is_as_it_was.then(|| cached.clone())
    }

    fn view<'a>(&'a self, cached: &'a CachedMeter, now: Timestamp) -> View<'a> {
        View {
            moment: cached.moment(now, self.memory.tolerance()),
            meter: &cached.meter.value,
            age: cached.meter.age(now),
            revisions: self.revisions(),
            terms: self.record.terms(&self.plan),
            limits: &self.limits,
            archived: cached.archived,
            history: cached.history,
            sharing: &cached.sharing,
            draw: fastrand::f64(),
        }
    }

    async fn load(&self, cached: &CachedMeter, load: Load) -> Result<(), Failure> {
        let (memory, scope) = (&self.memory, self.scope);
        let (record, plan) = (&self.record, &self.plan.id);
        match load {
            Load::Key => memory.reload(scope, record).await,
            Load::Plan => memory.reload_plan(scope, plan).await.map(drop),
            Load::KeyAndPlan => {
                let reload_plan = memory.reload_plan(scope, plan);
                let (key, plan) = future::join(memory.reload(scope, record), reload_plan).await;
                key.and(plan.map(drop))
            }
            Load::AgeingPlan => {
                memory.refresh_plan(scope, plan).await;
                Ok(())
            }
            Load::History(period, before) => {
                let (names, waiting) = ((&record.id, plan), cached.meter.value.closed);
                let history = memory
                    .history(scope, names, waiting, period, before)
                    .await?;
                self.change(|meter| meter.history = Some(history));
                Ok(())
            }
        }
    }

    async fn archive(&self, closed: &ClosedDay) -> Result<(), Failure> {
        let (key, plan) = (&self.record.id, &self.plan.id);
        let budget = &self.scope.budget;
        let archive = || self.memory.table.archive(key, plan, closed, budget);
        self.memory.retrying(archive).await?;
        self.change(|meter| meter.archived = Some(closed.day));
        Ok(())
    }

    async fn write(&self, cached: &CachedMeter, write: &Write) -> Result<Written, Failure> {
        let table = &self.memory.table;
        let meter = ItemKey::meter(&self.record.id, &self.plan.id);
        let budget = &self.scope.budget;
        match write {
            Write::Sync(revisions) => table.sync(&meter, *revisions, budget).await,
            Write::Rebase(charge) => table.charge(&meter, charge, None, budget).await,
            Write::Charge(charge, stamp) => {
                let stamp = stamp.as_ref();
                let written = self
                    .charge_beside_refreshing(&meter, cached, charge, stamp)
                    .await;
                self.learn(cached, charge, &written);
                written
            }
        }
    }

    /// Makes the write that charges the batch. At the same time it does the work that is due but that no request waits for:
    /// rereads an ageing plan or key, and archives a closed day.
    async fn charge_beside_refreshing(
        &self,
        meter: &ItemKey,
        cached: &CachedMeter,
        charge: &Charge,
        stamp: Option<&Stamp>,
    ) -> Result<Written, Failure> {
        let (memory, scope, plan) = (&self.memory, self.scope, &self.plan.id);
        let (written, (), (), ()) = future::join4(
            memory.table.charge(meter, charge, stamp, &scope.budget),
            memory.refresh_plan(scope, plan),
            memory.refresh_account(scope, &self.record.id),
            self.archive_waiting(cached),
        )
        .await;
        written
    }

    /// Archives the meter's closed day, if one waits. A failure is ignored, because the day stays in the meter until it is
    /// archived.
    async fn archive_waiting(&self, cached: &CachedMeter) {
        let Some(closed) = cached.meter.value.closed else {
            return;
        };
        if cached.archived == Some(closed.day) {
            return;
        }
        let (key_id, plan) = (&self.record.id, &self.plan.id);
        let budget = &self.scope.budget;
        let archived = self.memory.table.archive(key_id, plan, &closed, budget);
        match archived.await {
            Ok(()) => self.change(|meter| meter.archived = Some(closed.day)),
            Err(failure) => {
                tracing::warn!(%failure, %key_id, %plan, "could not archive a closed day");
            }
        }
    }

    /// Learns from the reply to a charge how other instances use the meter.
    fn learn(&self, cached: &CachedMeter, charge: &Charge, written: &Result<Written, Failure>) {
        let (after, applied) = match written {
            Ok(Written::Applied(meter)) => (meter, true),
            Ok(Written::ConditionFailed(Some(meter))) => (meter, false),
            _ => return,
        };
        let (before, now) = (&cached.meter.value, (self.clock)().as_nanosecond());
        self.change(|meter| meter.sharing.learn(before, charge, after, applied, now));
    }

    /// Caches what a reply says about the meter and the key.
    fn note(&self, written: Result<Written, Failure>) {
        let (now, key_id, plan) = (self.scope.now, &self.record.id, &self.plan.id);
        match written {
            Ok(Written::Applied(meter) | Written::ConditionFailed(Some(meter))) => {
                let (meter, tolerance) = (Arc::new(meter), self.memory.tolerance());
                self.change(|cached| cached.see(meter, now, tolerance));
            }
            Ok(Written::ConditionFailed(None)) => {}
            Err(failure) => {
                tracing::warn!(%failure, %key_id, %plan, "a charge was not confirmed");
                if matches!(failure, Failure::Throttled(_)) {
                    let throttled = |account: &mut Account| account.throttled_at = Some(now);
                    self.memory.change_account(key_id, throttled);
                }
            }
        }
    }

    fn change(&self, change: impl FnOnce(&mut CachedMeter)) {
        self.memory
            .change_meter(&self.record.id, &self.plan.id, change);
    }
}

fn reply(written: &Result<Written, Failure>) -> Reply<'_, Failure> {
    match written {
        Ok(Written::Applied(meter)) => Reply::Applied(meter),
        Ok(Written::ConditionFailed(meter)) => Reply::ConditionFailed(meter.as_ref()),
        Err(failure) => match failure {
            Failure::Throttled(_) => Reply::Throttled(failure.clone()),
            Failure::Indeterminate(_) => Reply::Indeterminate(failure.clone()),
            _ => Reply::Failed(failure.clone()),
        },
    }
}
