//! The decision of one request: which records come from the cache, which have to be read, and when a refusal is final.

use std::sync::Arc;

use tokio::time::Instant;
use tollgate_core::charge;
use tollgate_core::key::KeyHash;
use tollgate_core::reason::Reason;
use tollgate_core::status::LimitStatus;
use tollgate_core::verdict::Verdict;
use tollgate_dynamo::failure::Failure;
use tollgate_dynamo::item::plan::PlanRecord;
use tollgate_dynamo::table::{Budget, Table};

use crate::account::Account;
use crate::attempt::{About, Attempt, Scope};
use crate::charging::Charging;
use crate::combine::Combiner;
use crate::lanes::Lanes;
use crate::memory::Memory;
use crate::plan_match::plan_match;
use crate::request::Request;
use crate::settings::Settings;

/// Steps of a decision: reading a key or a plan again takes one, and so does each batch that a request joins.
const MAX_STEPS: u32 = 10;
/// Decides requests by what is remembered, and by what the store confirms.
pub(crate) struct Decider {
    pub(crate) memory: Arc<Memory>,
    pub(crate) settings: Settings,
    lanes: Arc<Lanes>,
    combiner: Combiner,
}

impl Decider {
    pub(crate) fn new(table: Table, settings: Settings) -> Self {
        Self {
            memory: Arc::new(Memory::of(table)),
            settings,
            lanes: Arc::new(Lanes::new()),
            combiner: Combiner::default(),
        }
    }

    pub(crate) fn attempt<'a>(&self, request: &'a Request<'a>, hash: KeyHash) -> Attempt<'a> {
        let end = Instant::now() + self.settings.total_timeout;
        let budget = Budget {
            attempt: self.settings.attempt_timeout,
            end: request.deadline.map_or(end, |deadline| deadline.min(end)),
        };
        let now = (request.clock)();
        Attempt {
            request,
            hash,
            scope: Scope { now, budget },
            began: now,
            fresh: None,
            about: About::default(),
        }
    }

    pub(crate) async fn decide(&self, attempt: &mut Attempt<'_>) -> Result<Verdict, Failure> {
        for _ in 0..MAX_STEPS {
            attempt.about = About::default();
            let Some(account) = self.memory.account(attempt).await? else {
                return Ok(Verdict::because(Reason::UnknownKey));
            };
            attempt.about.key = Some(Arc::clone(&account.record.value));
            let verdict = match self.charging(attempt, &account).await? {
                Ok(charging) => {
                    drop(account);
                    self.charge(attempt, charging).await?
                }
                Err(reason) => Box::pin(self.refuse(attempt, &account, reason)).await?,
            };
            if let Some(verdict) = verdict {
                return Ok(verdict);
            }
        }
        Ok(Verdict::because(Reason::Contended))
    }

    /// Charges the request as part of a batch. `None` if the request has to be decided again from the start.
    async fn charge(
        &self,
        attempt: &mut Attempt<'_>,
        charging: Charging,
    ) -> Result<Option<Verdict>, Failure> {
        use tollgate_core::flow::Outcome;
        let (cost, end) = (attempt.request.cost, attempt.scope.budget.end);
        let group = charging.group();
        let key_id = group.key.clone();
        let charge = |members| charging.run(members);
        match self.combiner.join(group, cost, end, charge).outcome().await {
            Outcome::Decided(verdict) => Ok(Some(*verdict)),
            Outcome::Again { reread } => {
                if reread {
                    attempt.fresh = Some(key_id);
                }
                Ok(None)
            }
            Outcome::Failed(failure) => Err(failure),
            Outcome::TooLate => Err(Failure::OutOfTime),
        }
    }

    /// Returns the refusal if it is final; `None` if this read something again that may lift the refusal.
    async fn refuse(
        &self,
        attempt: &mut Attempt<'_>,
        account: &Account,
        reason: Reason,
    ) -> Result<Option<Verdict>, Failure> {
        let record = &account.record.value;
        if attempt.fresh.as_ref() == Some(&record.id) {
            // While a key moves from one plan to another, it is linked to neither.
            let may_arrive = reason == Reason::NotInPlan && record.moving.is_some();
            if may_arrive && self.memory.await_move(attempt.scope, record).await? {
                return Ok(None);
            }
            let reason = if may_arrive {
                Reason::Contended
            } else {
                reason
            };
            return Ok(Some(Verdict::because(reason)));
        }
        // Management can lift a refusal at any moment, so the engine does not repeat one from memory.
        if reason == Reason::Expired {
            // The value may be another key's by now, so the next step starts from the value.
            self.memory.principals.remove(&attempt.hash);
        }
        if reason.is_by_plan() {
            // An edit may have added this stage or method to a plan.
            for plan in &record.plans {
                self.memory.plans.remove(plan);
            }
        }
        self.memory.reload(attempt.scope, record).await?;
        attempt.fresh = Some(record.id.clone());
        Ok(None)
    }

    /// Prepares the charge of a request, or returns the reason that there is none. The decision's time is read anew here, after
    /// any reads.
    async fn charging(
        &self,
        attempt: &mut Attempt<'_>,
        account: &Account,
    ) -> Result<Result<Charging, Reason>, Failure> {
        let (record, target) = (&account.record.value, attempt.request.target);
        attempt.scope.now = (attempt.request.clock)();
        if let Err(reason) = record.check_usable(Some(&attempt.hash), attempt.scope.now) {
            return Ok(Err(reason));
        }
        let plans = self.memory.plans_of(attempt.scope, record).await;
        attempt.scope.now = (attempt.request.clock)();
        let Some(plan) = plan_match(account, plans, target)? else {
            return Ok(Err(Reason::NotInPlan));
        };
        self.look_around(attempt, account, &plan);
        attempt.about.plan = Some(Arc::clone(&plan));
        let terms = record.terms(&plan);
        let stage = match terms.opens(target) {
            Ok(stage) => stage,
            Err(reason) => return Ok(Err(reason)),
        };
        let Some(meter) = account.meter(&plan.id) else {
            // It is looked at again by the next request.
            self.memory.accounts.remove(&record.id);
            let corrupt = account.corrupt.get(&plan.id).cloned();
            return corrupt.map_or(Ok(Err(Reason::NotInPlan)), |corrupt| Err(corrupt.into()));
        };
        let day = charge::today(&meter.meter.value, attempt.scope.now);
        let limits = terms.limits(stage, target, day);
        let instance = (&self.memory, &self.lanes);
        let charging = Charging::new(instance, attempt, record, plan, (limits, day));
        Ok(Ok(charging))
    }

    /// Records what else the key may call and what remains of its limits, if verdicts should include that.
    fn look_around(&self, attempt: &mut Attempt<'_>, account: &Account, plan: &PlanRecord) {
        let (record, target) = (&account.record.value, attempt.request.target);
        let Some(meter) = account
            .meter(&plan.id)
            .filter(|_| self.settings.tells_reach)
        else {
            return;
        };
        let (terms, now) = (record.terms(plan), attempt.scope.now);
        let stage = plan.limits.stage(target);
        attempt.about.reach = stage.map(|stage| terms.reach(stage));
        let limits = terms.whole(charge::today(&meter.meter.value, now));
        let moment = meter.moment(now, self.memory.tolerance());
        attempt.about.limit_status =
            LimitStatus::of(&meter.meter.value, &limits, meter.history, moment);
    }
}
