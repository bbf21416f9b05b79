//! The archived days of a key under a plan, and sums of them.

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};
use tollgate_core::calendar::start_of;
use tollgate_core::charge::{self, History};
use tollgate_core::id::{KeyId, PlanId};
use tollgate_core::limit::Quota;
use tollgate_core::meter::{ClosedDay, Meter};

use crate::{Admin, Error, logged};
use tollgate_dynamo::item::usage::UsageRecord;
use tollgate_dynamo::item::{ItemKey, from_item};
use tollgate_dynamo::items::{Query, Range};

impl Admin {
    /// What was used before a meter's day in the current period of its quota; `None` if the meter alone tells what is spent.
    /// It does not if the quota was changed to one whose period had begun before the meter's day.
    pub(crate) async fn history(
        &self,
        key_id: &KeyId,
        plan_id: &PlanId,
        meter: &Meter,
        quota: &Quota,
    ) -> Result<Option<History>, Error> {
        let day = start_of(meter.day);
        self.history_at(key_id, plan_id, meter, quota, day).await
    }

    /// As [`history`](Self::history), for the period at `now`.
    pub(crate) async fn history_at(
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
        let range = (period.start, before.saturating_sub(1.day()));
        let days = self.closed_days(key_id, plan_id, range).await?;
        let days = days.into_values();
        Ok(Some(History::sum(period, before, days, meter.closed)))
    }

    /// The archived days from `from` to `to`, both included.
    pub(crate) async fn closed_days(
        &self,
        key_id: &KeyId,
        plan_id: &PlanId,
        (from, to): (Date, Date),
    ) -> Result<BTreeMap<Date, ClosedDay>, Error> {
        let first = ItemKey::usage(key_id, plan_id, from);
        let last = ItemKey::usage(key_id, plan_id, to);
        let query = Query::table(first.pk, Range::Between(first.sk, last.sk));
        let items = self.items.query(&query).await?.into_iter();
        let records = items.filter_map(|item| logged(from_item::<UsageRecord>(item)));
        let days = records.map(|record| (record.day, record.closed_day()));
        Ok(days.collect())
    }

    /// The last archived day.
    pub(super) async fn last_closed_day(
        &self,
        key_id: &KeyId,
        plan_id: &PlanId,
    ) -> Result<Option<Date>, Error> {
        let days = ItemKey::usage(key_id, plan_id, "");
        let query = Query::table(days.pk, Range::Prefix(days.sk)).descending(true);
        let (mut last, _) = self.items.query_page(&query, None, Some(1)).await?;
        let last = last.pop();
        let last = last.and_then(|item| logged(from_item::<UsageRecord>(item)));
        Ok(last.map(|record| record.day))
    }
}
