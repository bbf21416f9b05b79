//! The cache of plans, and the history of a quota that was changed to a longer period.

use std::sync::Arc;

use futures_util::future;
use jiff::ToSpan;
use jiff::civil::Date;
use tollgate_core::age;
use tollgate_core::calendar::Period;
use tollgate_core::charge::History;
use tollgate_core::id::{KeyId, PlanId};
use tollgate_core::meter::ClosedDay;
use tollgate_dynamo::failure::Failure;
use tollgate_dynamo::item::ItemKey;
use tollgate_dynamo::item::key::KeyRecord;
use tollgate_dynamo::item::plan::PlanRecord;
use tollgate_dynamo::item::usage::UsageRecord;

use crate::attempt::Scope;
use crate::cache::Cached;
use crate::memory::{Memory, ReadPlan};

impl Memory {
    /// A key's plans, in the order in which it was linked to them.
    pub(crate) async fn plans_of(&self, scope: Scope, record: &KeyRecord) -> Vec<ReadPlan> {
        let plans = record.plans.iter().map(|id| self.plan(scope, id));
        future::join_all(plans).await
    }

    /// Returns a plan from the cache, or reads it if the cached record is too old.
    pub(crate) async fn plan(&self, scope: Scope, id: &PlanId) -> ReadPlan {
        match self.plans.get(id) {
            Some(plan) if plan.is_within(age::PLAN_HARD, scope.now) => Ok(plan.value),
            _ => self.reload_plan(scope, id).await,
        }
    }

    /// Reads a plan again.
    pub(crate) async fn reload_plan(&self, scope: Scope, id: &PlanId) -> ReadPlan {
        self.retrying(|| self.load_plan(scope, id)).await
    }

    async fn load_plan(&self, scope: Scope, id: &PlanId) -> ReadPlan {
        let item = ItemKey::plan(id);
        let record: Option<PlanRecord> = self.table.get(&item, &scope.budget).await?;
        let plan = record.filter(|record| !record.deleted).map(Arc::new);
        let cached = Cached::new(plan.clone(), scope.now);
        self.plans.put(id.clone(), cached);
        Ok(plan)
    }

    /// Rereads an ageing plan, for the next request. A failure is ignored: if the store still fails when the record reaches its
    /// hard age, the request that needs it reports that.
    pub(crate) async fn refresh_plan(&self, scope: Scope, plan: &PlanId) {
        let known = self.plans.get(plan);
        if known.is_some_and(|known| known.is_within(age::PLAN_SOFT, scope.now)) {
            return;
        }
        // No request waits for this read, so a second attempt is not worth making.
        if let Err(failure) = self.load_plan(scope, plan).await {
            tracing::warn!(%failure, %plan, "could not refresh a plan");
        }
    }

    /// Sums up the cost admitted in `period` before the meter's day. This is needed only once, after an edit changed the quota
    /// to a period that had already begun. It reads at most a month of days, all at once. `waiting` is a closed day that is
    /// still in the meter.
    pub(crate) async fn history(
        &self,
        scope: Scope,
        (key, plan): (&KeyId, &PlanId),
        waiting: Option<ClosedDay>,
        period: Period,
        before: Date,
    ) -> Result<History, Failure> {
        let days = period.start.series(1.day());
        // A day beyond the period's end is damage: nothing was admitted on the days before it.
        let days = days.take_while(|day| *day < before && *day < period.end());
        let is_archived = |day: &Date| waiting.is_none_or(|waiting| waiting.day != *day);
        let days = days.filter(is_archived);
        let days = days.map(|day| self.archived_day(scope, (key, plan), day));
        let days = future::try_join_all(days).await?.into_iter().flatten();
        Ok(History::sum(period, before, days, waiting))
    }

    async fn archived_day(
        &self,
        scope: Scope,
        (key, plan): (&KeyId, &PlanId),
        day: Date,
    ) -> Result<Option<ClosedDay>, Failure> {
        let item = ItemKey::usage(key, plan, day);
        let usage = || self.table.get(&item, &scope.budget);
        let usage: Option<UsageRecord> = self.retrying(usage).await?;
        Ok(usage.map(|usage| usage.closed_day()))
    }
}
