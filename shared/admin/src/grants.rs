//! Setting what a key has left of its quota in the current period.
//!
//! Each call takes a revision of the key for itself and leaves it in the meter as its mark. Therefore the write is applied once,
//! however often it is sent and however late an attempt arrives.

use jiff::Timestamp;
use tollgate_core::charge::{self, SetRemaining};
use tollgate_core::id::{KeyId, PlanId};
use tollgate_core::meter::{Meter, Revisions};

use crate::{Admin, Error, until_settled};
use tollgate_dynamo::expression::{self, Update};
use tollgate_dynamo::item::key::KeyRecord;
use tollgate_dynamo::item::meter::GRANTED;
use tollgate_dynamo::item::plan::PlanRecord;
use tollgate_dynamo::item::{Item, ItemKey};
use tollgate_dynamo::items::Updated;

/// The most that can be left. JSON numbers are exact up to here wherever they are read.
pub const MOST_REMAINING: u64 = 1 << 53;

/// A write that sets what is spent in the current period of a meter's quota.
pub(crate) struct SpentUpdate<'a> {
    pub(crate) plan: &'a PlanRecord,
    pub(crate) key: &'a KeyRecord,
    /// The meter as it was read.
    pub(crate) meter: &'a Meter,
    /// What is to count as spent; negative if more is left than the quota's limit.
    pub(crate) spent: i64,
    pub(crate) now: Timestamp,
    /// The revision of the key that tells this call from earlier ones.
    pub(crate) mark: u64,
}

impl SpentUpdate<'_> {
    fn update(&self) -> Result<Update, Error> {
        let terms = self.key.terms(self.plan);
        let quota = terms.quota(charge::today(self.meter, self.now));
        let set = SetRemaining {
            now: self.now,
            spent: self.spent,
            quota: &quota.ok_or(Error::NoQuota)?,
            quota_before: terms.quota(self.meter.day),
            revisions: Revisions {
                key: self.key.revision,
                plan: self.plan.revision,
            },
        };
        let mut update = expression::charge::charge(&charge::set_remaining(self.meter, &set), None);
        let (granted, mark) = (update.name(GRANTED), update.number(self.mark));
        update.condition(format!(
            "(attribute_not_exists({granted}) OR {granted} < {mark})"
        ));
        update.set(&granted, mark);
        Ok(update)
    }
}

impl Admin {
    /// Sets what a key has left of its quota in the current period. It may be more than the quota's limit, and is at most
    /// [`MOST_REMAINING`]. The usage that was counted stays as it is.
    ///
    /// # Errors
    /// [`Error::NoSuchPlan`], [`Error::NoSuchKey`], [`Error::NotLinked`], [`Error::NoQuota`].
    pub async fn set_remaining(
        &self,
        plan_id: &PlanId,
        key_id: &KeyId,
        remaining: u64,
    ) -> Result<(), Error> {
        let plan = self.plan(plan_id).await?;
        let check = |record: &mut KeyRecord| {
            if !record.plans.contains(&plan.id) {
                return Err(Error::NotLinked);
            }
            let quota = plan.limits.quota.as_ref();
            quota.map(|_| ()).ok_or(Error::NoQuota)
        };
        let change = self.change_key(key_id, check).await?;
        // From here on the meter exists, even if the call that linked the key was interrupted.
        let mark = self.sync_meters(change).await?.revision;
        until_settled(|| self.try_set_remaining(plan_id, key_id, remaining, mark)).await
    }

    /// Sets what is left, from the records as they are now: a key that left the plan meanwhile must get nothing, because a
    /// later link or move would not take it along. `None` if the meter changed meanwhile.
    async fn try_set_remaining(
        &self,
        plan_id: &PlanId,
        key_id: &KeyId,
        remaining: u64,
        mark: u64,
    ) -> Result<Option<()>, Error> {
        let plan = self.plan(plan_id).await?;
        let key = self.key(key_id).await?;
        if !key.plans.contains(&plan.id) {
            return Err(Error::NotLinked);
        }
        let Some(meter) = self.meter(&key.id, &plan.id).await? else {
            return Ok(None);
        };
        let now = self.now();
        let quota = key.terms(&plan).quota(charge::today(&meter, now));
        let limit = signed(quota.ok_or(Error::NoQuota)?.limit());
        let update = SpentUpdate {
            plan: &plan,
            key: &key,
            meter: &meter,
            spent: limit.saturating_sub(signed(remaining.min(MOST_REMAINING))),
            now,
            mark,
        };
        let is_set = self.set_spent(&update).await?;
        Ok(is_set.then_some(()))
    }

    /// Sets what is spent in the current period, once for each mark. False if the meter was charged meanwhile, or knows a later
    /// revision of the key.
    pub(crate) async fn set_spent(&self, change: &SpentUpdate<'_>) -> Result<bool, Error> {
        let update = change.update()?;
        let (key, plan) = (&change.key.id, &change.plan.id);
        if let Some(closed) = &change.meter.closed {
            self.items.archive_day(key, plan, closed).await?;
        }
        let updated = self
            .items
            .update(&ItemKey::meter(key, plan), update)
            .await?;
        Ok(match updated {
            Updated::Applied(_) => true,
            // An earlier attempt was applied after all, or a later call has set it since.
            Updated::ConditionFailed(item) => item.as_ref().and_then(granted) >= Some(change.mark),
        })
    }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn granted(item: &Item) -> Option<u64> {
    item.get(GRANTED)?.as_n().ok()?.parse().ok()
}
