//! The driver of a batch: makes the calls that its [`Flow`] names, and caches what the replies say.
//!
//! - `writing`: the writes, everything that is read beside them, and what their answers say.

use std::sync::Arc;

use futures_util::future;
use jiff::Timestamp;
use jiff::civil::Date;
use tollgate_core::charge;
use tollgate_core::flow::{Flow, Load, Next, Outcome, Reply, View};
use tollgate_core::limits::Limits;
use tollgate_core::meter::{ClosedDay, Revisions};
use tollgate_dynamo::failure::Failure;
use tollgate_dynamo::item::key::KeyRecord;
use tollgate_dynamo::item::plan::PlanRecord;
use tollgate_dynamo::retry::back_off;

use crate::account::Account;
use crate::attempt::{Attempt, Scope};
use crate::cached_meter::CachedMeter;
use crate::combine::{Group, Member, Outcomes};
use crate::lanes::Lanes;
use crate::memory::Memory;
use crate::request::TimeSource;

mod writing;

use writing::reply;

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
    /// The charge of a request that has to meet these limits on this day.
    pub(crate) fn new(
        (memory, lanes): (&Arc<Memory>, &Arc<Lanes>),
        attempt: &Attempt<'_>,
        record: &Arc<KeyRecord>,
        plan: Arc<PlanRecord>,
        (limits, day): (Limits, Date),
    ) -> Self {
        Self {
            memory: Arc::clone(memory),
            lanes: Arc::clone(lanes),
            scope: attempt.scope,
            clock: Arc::clone(&attempt.request.clock),
            record: Arc::clone(record),
            limits,
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

    /// Changes the cached meter, if it is still cached.
    fn change(&self, change: impl FnOnce(&mut CachedMeter)) {
        self.memory
            .change_meter(&self.record.id, &self.plan.id, change);
    }
}
