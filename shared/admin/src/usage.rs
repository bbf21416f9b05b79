//! Usage: what each key was admitted, day by day.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::try_join_all;
use jiff::Timestamp;
use jiff::ToSpan;
use jiff::civil::Date;
use tollgate_core::calendar::start_of;
use tollgate_core::charge::{self, History};
use tollgate_core::id::{KeyId, PlanId};
use tollgate_core::limit::Quota;
use tollgate_core::meter::{ClosedDay, Meter};

use super::{Admin, Error, logged};
use tollgate_dynamo::failure::Failure;
use tollgate_dynamo::item::key::KeyRecord;
use tollgate_dynamo::item::plan::PlanRecord;
use tollgate_dynamo::item::usage::UsageRecord;
use tollgate_dynamo::item::{ItemKey, from_item};

/// A day's usage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DayUsage {
    /// The day.
    pub day: Date,
    /// The cost admitted.
    pub used: u64,
    /// What the quota had left at the day's end; `None` without a quota.
    pub remaining: Option<u64>,
}

impl Admin {
    /// What a key was admitted under a plan on each day from `start` to `end`, both included.
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
        // What was left at the start shows from the days of its period before.
        let quota = terms.quota(start);
        let from = quota.map_or(start, |quota| quota.period_of(start).start);
        // The meter first: a day that leaves it in between is then found among the closed ones.
        let meter = self.readable_meter(key_id, plan_id).await?;
        let mut days = self.closed_days(key_id, plan_id, from, end).await?;
        if let Some(meter) = &meter {
            let quota = terms.quota(meter.day);
            let history = match quota {
                Some(quota) => self.history(key_id, plan_id, meter, &quota).await?,
                None => None,
            };
            live_days(&mut days, meter, quota, history);
        }
        Ok(filled(&days, |day| terms.quota(day), from, end)
            .into_iter()
            .filter(|usage| usage.day >= start)
            .collect())
    }

    /// A meter for lists, where one that is damaged must not hide the rest.
    async fn readable_meter(
        &self,
        key_id: &KeyId,
        plan_id: &PlanId,
    ) -> Result<Option<Meter>, Error> {
        match self.meter(key_id, plan_id).await {
            Err(Error::Store(Failure::Corrupt(damaged))) => {
                tracing::error!(%damaged, "left out of a list");
                Ok(None)
            }
            meter => meter,
        }
    }

    /// What was admitted before a meter's day in the period of its quota, where that was changed to one that had begun before.
    pub(super) async fn history(
        &self,
        key_id: &KeyId,
        plan_id: &PlanId,
        meter: &Meter,
        quota: &Quota,
    ) -> Result<Option<History>, Error> {
        self.history_at(key_id, plan_id, meter, quota, start_of(meter.day))
            .await
    }

    /// As [`history`](Self::history), of the period at `now`.
    pub(super) async fn history_at(
        &self,
        key_id: &KeyId,
        plan_id: &PlanId,
        meter: &Meter,
        quota: &Quota,
        now: Timestamp,
    ) -> Result<Option<History>, Error> {
        let Some((period, before)) = charge::missing_history(meter, quota, None, now) else {
            return Ok(None);
        };
        let last = before.saturating_sub(1.day());
        let range = (period.start, last);
        let mut days = self.closed_days(key_id, plan_id, range.0, range.1).await?;
        if let Some(waiting) = meter.closed.filter(|closed| closed.day >= period.start) {
            days.insert(waiting.day, waiting);
        }
        Ok(Some(History {
            period,
            before,
            admitted: days.values().map(|day| day.count).sum(),
        }))
    }

    /// The last day on which a key was charged, under any plan that it is in or was in lately; `None` where there is none. The
    /// meters tell it: no request has to write it down.
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
        if live.is_some() {
            return Ok(live);
        }
        // It has counted nothing since it was made; there may have been one before it.
        let days = ItemKey::usage(key_id, plan_id, "");
        let answer = self
            .client()
            .query()
            .table_name(&self.table)
            .consistent_read(true)
            .key_condition_expression("pk = :pk AND begins_with(sk, :days)")
            .expression_attribute_values(":pk", AttributeValue::S(days.pk))
            .expression_attribute_values(":days", AttributeValue::S(days.sk))
            .scan_index_forward(false)
            .limit(1)
            .send()
            .await
            .map_err(Failure::from)?;
        let last = answer.items.unwrap_or_default().pop();
        let last = last.and_then(|item| logged(from_item::<UsageRecord>(item)));
        Ok(last.map(|record| record.day))
    }

    /// What was admitted on the closed days of a range, both ends included.
    pub(super) async fn admitted(
        &self,
        key_id: &KeyId,
        plan_id: &PlanId,
        (from, to): (Date, Date),
    ) -> Result<u64, Error> {
        let days = self.closed_days(key_id, plan_id, from, to).await?;
        Ok(days.values().map(|day| day.count).sum())
    }

    pub(super) async fn closed_days(
        &self,
        key_id: &KeyId,
        plan_id: &PlanId,
        from: Date,
        to: Date,
    ) -> Result<BTreeMap<Date, ClosedDay>, Error> {
        let (low, high) = (
            ItemKey::usage(key_id, plan_id, from),
            ItemKey::usage(key_id, plan_id, to),
        );
        let mut pages = self
            .client()
            .query()
            .table_name(&self.table)
            .consistent_read(true)
            .key_condition_expression("pk = :pk AND sk BETWEEN :low AND :high")
            .expression_attribute_values(":pk", AttributeValue::S(low.pk))
            .expression_attribute_values(":low", AttributeValue::S(low.sk))
            .expression_attribute_values(":high", AttributeValue::S(high.sk))
            .into_paginator()
            .items()
            .send();
        let mut days = BTreeMap::new();
        while let Some(item) = pages.next().await {
            let item = item.map_err(Failure::from)?;
            let Some(record) = logged(from_item::<UsageRecord>(item)) else {
                continue;
            };
            days.insert(record.day, record.closed_day());
        }
        Ok(days)
    }
}

/// Adds the days that the meter still holds.
fn live_days(
    days: &mut BTreeMap<Date, ClosedDay>,
    meter: &Meter,
    quota: Option<Quota>,
    history: Option<History>,
) {
    let today = ClosedDay {
        day: meter.day,
        count: meter.count,
        remaining: quota.map(|quota| remaining(&quota, meter, history)),
    };
    for live in [Some(today), meter.closed].into_iter().flatten() {
        let there = days.entry(live.day).or_insert(live);
        // A day that was written out when the key was unlinked may have gone on since.
        if live.count >= there.count {
            *there = live;
        }
    }
}

/// What a quota has left on the meter's day.
pub(super) fn remaining(quota: &Quota, meter: &Meter, history: Option<History>) -> i64 {
    let (_, spent) = charge::spent(meter, quota, history, start_of(meter.day));
    i64::try_from(quota.limit())
        .unwrap_or(i64::MAX)
        .saturating_sub(spent)
}

/// Every day of the range: one without usage has what the day before it left, or a new period's whole quota.
fn filled(
    days: &BTreeMap<Date, ClosedDay>,
    quota_on: impl Fn(Date) -> Option<Quota>,
    from: Date,
    end: Date,
) -> Vec<DayUsage> {
    // Not what is left is carried from day to day: the limit may be another one on the next.
    let mut spent = 0;
    let mut usage = Vec::new();
    for day in from.series(1.day()).take_while(|day| *day <= end) {
        let known = days.get(&day);
        let remaining = quota_on(day).map(|quota| {
            let whole = i64::try_from(quota.limit()).unwrap_or(i64::MAX);
            if quota.period_of(day).start == day {
                spent = 0;
            }
            if let Some(remaining) = known.and_then(|known| known.remaining) {
                spent = whole.saturating_sub(remaining);
            }
            u64::try_from(whole.saturating_sub(spent)).unwrap_or(0)
        });
        usage.push(DayUsage {
            day,
            used: known.map_or(0, |known| known.count),
            remaining,
        });
    }
    usage
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;
    use tollgate_core::calendar::PeriodKind;

    #[test]
    fn a_day_without_usage_has_what_the_day_before_left_until_the_period_turns() {
        let quota = Quota::new(10, PeriodKind::Week, 0).expect("valid");
        let thursday = date(2026, 11, 19);
        let closed = ClosedDay {
            day: thursday,
            count: 4,
            remaining: Some(6),
        };
        let days = BTreeMap::from([(thursday, closed)]);
        let usage = filled(
            &days,
            |_| Some(quota),
            date(2026, 11, 18),
            date(2026, 11, 22),
        );
        let pairs: Vec<_> = usage.iter().map(|day| (day.used, day.remaining)).collect();
        assert_eq!(
            pairs,
            [
                (0, Some(10)),
                (4, Some(6)),
                (0, Some(6)),
                (0, Some(6)),
                (0, Some(10))
            ]
        );
    }

    #[test]
    fn a_limit_that_changes_takes_what_was_spent_along() {
        let quota = |limit| Quota::new(limit, PeriodKind::Month, 0).expect("valid");
        let last = date(2026, 11, 19);
        let closed = ClosedDay {
            day: last,
            count: 2,
            remaining: Some(98),
        };
        let on = |day: Date| Some(quota(if day <= last { 100 } else { 10 }));
        let usage = filled(
            &BTreeMap::from([(last, closed)]),
            on,
            last,
            date(2026, 11, 20),
        );
        let left: Vec<_> = usage.iter().map(|day| day.remaining).collect();
        assert_eq!(left, [Some(98), Some(8)]);
    }

    #[test]
    fn without_a_quota_nothing_is_said_to_be_left() {
        let usage = filled(
            &BTreeMap::new(),
            |_| None,
            date(2026, 1, 1),
            date(2026, 1, 2),
        );
        assert!(
            usage
                .iter()
                .all(|day| day.remaining.is_none() && day.used == 0)
        );
        assert_eq!(usage.len(), 2);
    }
}
