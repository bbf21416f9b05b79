//! Usage: what a key used under a plan, day by day.

use futures_util::future::try_join_all;
use jiff::civil::Date;
use tollgate_core::id::{KeyId, PlanId};
use tollgate_core::meter::Meter;

use crate::{Admin, Error};
use tollgate_dynamo::failure::Failure;
use tollgate_dynamo::item::key::KeyRecord;
use tollgate_dynamo::item::plan::PlanRecord;

mod archive;
mod days;

pub(crate) use days::{remaining, total};

/// A day's usage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DayUsage {
    /// The day.
    pub day: Date,
    /// The cost admitted.
    pub used: u64,
    /// What the quota had left at the end of the day; `None` without a quota.
    pub remaining: Option<u64>,
}

impl Admin {
    /// What a key used under a plan on each day from `start` to `end`, both included.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn usage(
        &self,
        plan: &PlanRecord,
        key: &KeyRecord,
        (start, end): (Date, Date),
    ) -> Result<Vec<DayUsage>, Error> {
        let (plan_id, key_id, terms) = (&plan.id, &key.id, key.terms(plan));
        // What was left at the start depends on the earlier days of its period.
        let quota = terms.quota(start);
        let from = quota.map_or(start, |quota| quota.period_of(start).start);
        // The meter is read first: a day that is archived between the two reads is then found in the archive.
        let meter = self.readable_meter(key_id, plan_id).await?;
        let mut days = self.closed_days(key_id, plan_id, (from, end)).await?;
        if let Some(meter) = &meter {
            let quota = terms.quota(meter.day);
            let history = match quota {
                Some(quota) => self.history(key_id, plan_id, meter, &quota).await?,
                None => None,
            };
            days::add_live_days(&mut days, meter, quota, history);
        }
        let mut usage = days::every_day(&days, |day| terms.quota(day), (from, end));
        usage.retain(|usage| usage.day >= start);
        Ok(usage)
    }

    /// The last day on which a key was charged, under any plan that it is in or was in lately; `None` if there is none. The
    /// meters tell it, so no request has to record it.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn last_used(&self, key_id: &KeyId) -> Result<Option<Date>, Error> {
        let plans = self.meters_of(key_id).await?.into_keys();
        let days = plans.map(async |plan| self.last_used_under(key_id, &plan).await);
        let days = try_join_all(days).await?;
        Ok(days.into_iter().flatten().max())
    }

    async fn last_used_under(
        &self,
        key_id: &KeyId,
        plan_id: &PlanId,
    ) -> Result<Option<Date>, Error> {
        let meter = self.readable_meter(key_id, plan_id).await?;
        let live = meter.and_then(|meter| match meter.count {
            0 => meter.closed.map(|closed| closed.day),
            _ => Some(meter.day),
        });
        match live {
            Some(day) => Ok(Some(day)),
            // It has counted nothing since it was made, but an earlier meter may have.
            None => self.last_closed_day(key_id, plan_id).await,
        }
    }

    /// A meter for lists, in which a damaged one must not hide the rest.
    async fn readable_meter(
        &self,
        key_id: &KeyId,
        plan_id: &PlanId,
    ) -> Result<Option<Meter>, Error> {
        match self.meter(key_id, plan_id).await {
            Err(Error::Store(Failure::Corrupt(damaged))) => Ok(crate::logged(Err(damaged))),
            meter => meter,
        }
    }
}
