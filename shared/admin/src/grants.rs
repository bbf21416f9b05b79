//! Setting what is left of a key's quota in the current period.
//!
//! Each call has a revision of the key of its own and leaves it in the meter: so the write is made once, however often it
//! is tried and however late a try arrives.

use aws_sdk_dynamodb::types::ReturnValuesOnConditionCheckFailure;
use jiff::Timestamp;
use tollgate_core::charge::{self, SetRemaining};
use tollgate_core::id::{KeyId, PlanId};
use tollgate_core::meter::{Meter, Revisions};

use super::{Admin, Error, MAX_TRIES, back_off};
use tollgate_dynamo::expression;
use tollgate_dynamo::failure::{Failure, conditional, refusal};
use tollgate_dynamo::item::key::KeyRecord;
use tollgate_dynamo::item::meter::GRANTED;
use tollgate_dynamo::item::plan::PlanRecord;
use tollgate_dynamo::item::usage::put_usage;
use tollgate_dynamo::item::{Item, ItemKey};

/// What can be left at most. Whole numbers are exact up to here wherever they are read.
pub const MOST_REMAINING: u64 = 1 << 53;

impl Admin {
    /// Sets what a key has left of its quota in the current period, more than the quota's limit if so wanted, and at most
    /// [`MOST_REMAINING`]. What was admitted stays counted as it is.
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
        let change = self
            .change_key(key_id, |record: &mut KeyRecord| {
                if !record.plans.contains(&plan.id) {
                    return Err(Error::NotLinked);
                }
                let quota = plan.limits.quota.as_ref();
                quota.map(|_| ()).ok_or(Error::NoQuota)
            })
            .await?;
        // The meter is there from here on, however far the call got that has made the link.
        let key = self.sync_meters(change).await?;
        let mark = key.revision;
        for tries in 0..MAX_TRIES {
            back_off(tries).await;
            let plan = self.plan(plan_id).await?;
            let remaining = remaining.min(MOST_REMAINING);
            // As it is now: a key that was taken out of the plan meanwhile is given nothing that would not go along.
            let key = self.key(key_id).await?;
            if !key.plans.contains(&plan.id) {
                return Err(Error::NotLinked);
            }
            if self.grant(&plan, &key, remaining, mark).await? {
                return Ok(());
            }
        }
        Err(Error::Contended)
    }

    /// False where the meter has gone on in the meantime.
    async fn grant(
        &self,
        plan: &PlanRecord,
        key: &KeyRecord,
        remaining: u64,
        mark: u64,
    ) -> Result<bool, Error> {
        let Some(meter) = self.meter(&key.id, &plan.id).await? else {
            return Ok(false);
        };
        let now = self.now();
        let quota = key.terms(plan).quota(charge::today(&meter, now));
        let whole = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let limit = whole(quota.ok_or(Error::NoQuota)?.limit());
        let spent = limit.saturating_sub(whole(remaining));
        self.set_spent(plan, key, &meter, spent, now, mark).await
    }

    /// Makes the meter say that so much is spent in the current period, once: `mark`, a revision of the key, tells this call
    /// from earlier ones. False where the meter has gone on in the meantime, or was told a later revision of the key.
    pub(super) async fn set_spent(
        &self,
        plan: &PlanRecord,
        key: &KeyRecord,
        meter: &Meter,
        spent: i64,
        now: Timestamp,
        mark: u64,
    ) -> Result<bool, Error> {
        let terms = key.terms(plan);
        let quota = terms.quota(charge::today(meter, now));
        let quota = quota.ok_or(Error::NoQuota)?;
        if let Some(closed) = &meter.closed {
            let put = put_usage(&self.client(), &self.table, &key.id, &plan.id, closed);
            conditional(put.send().await)?;
        }
        let grant = SetRemaining {
            now,
            spent,
            quota: &quota,
            quota_before: terms.quota(meter.day),
            revisions: Revisions {
                key: key.revision,
                plan: plan.revision,
            },
        };
        let mut update = expression::charge::charge(&charge::set_remaining(meter, &grant), None);
        let (granted_at, mark_value) = (update.name(GRANTED), update.number(mark));
        update.condition(format!(
            "(attribute_not_exists({granted_at}) OR {granted_at} < {mark_value})"
        ));
        update.set(&granted_at, mark_value);
        let request = self
            .client()
            .update_item()
            .table_name(&self.table)
            .set_key(Some(ItemKey::meter(&key.id, &plan.id).attributes()))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        match update.apply(request).send().await {
            Ok(_) => Ok(true),
            // An earlier try was made after all, or somebody has set it anew since.
            Err(error) => match refusal(&error) {
                Some(refusal) => Ok(refusal.item().and_then(granted) >= Some(mark)),
                None => Err(Failure::from(error).into()),
            },
        }
    }
}

fn granted(item: &Item) -> Option<u64> {
    item.get(GRANTED)?.as_n().ok()?.parse().ok()
}
