//! Setting what is left of a key's quota in the current period.

use tollgate_core::charge::{self, Grant};
use tollgate_core::meter::Meter;

use super::usage::put_usage;
use super::{Error, MAX_TRIES, Manager, back_off};
use crate::expression;
use crate::failure::conditional;
use crate::meter_item::{self, KEY_REVISION};
use crate::record::{ItemKey, KeyRecord, PlanRecord};

impl Manager {
    /// Sets what a key has left of its quota in the current period, more than the quota's limit if so wanted. What was
    /// admitted stays counted as it is.
    ///
    /// # Errors
    /// [`Error::NoSuchPlan`], [`Error::NoSuchKey`], [`Error::NotLinked`], [`Error::NoQuota`].
    pub async fn set_remaining(
        &self,
        plan_id: &str,
        key_id: &str,
        remaining: u64,
    ) -> Result<(), Error> {
        for tries in 0..MAX_TRIES {
            back_off(tries).await;
            let plan = self.plan(plan_id).await?;
            if !self.key(key_id).await?.plans.contains(&plan.id) {
                return Err(Error::NotLinked);
            }
            // A revision of its own: a late original of the write below then finds the meter beyond it.
            let unchanged = |_: &mut KeyRecord| Ok::<_, Error>(());
            let key = self.change_key(key_id, unchanged).await?;
            if self.grant(&plan, &key, remaining).await? {
                return self.publish(&key).await;
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
    ) -> Result<bool, Error> {
        let quota = plan.limits.quota.as_ref().ok_or(Error::NoQuota)?;
        let Some(meter) = self.meter_of(plan, key).await? else {
            return Ok(false);
        };
        if let Some(closed) = &meter.closed {
            let put = put_usage(&self.client(), &self.table, &key.id, &plan.id, closed);
            conditional(put.send().await)?;
        }
        let grant = Grant {
            now: self.now(),
            remaining,
            quota,
            key_revision: key.revision,
            plan_revision: plan.revision,
        };
        let mut update = expression::charge(&charge::grant(&meter, &grant), None);
        let (known, revision) = (update.name(KEY_REVISION), update.number(key.revision));
        update.condition(format!("{known} < {revision}"));
        let request = self
            .client()
            .update_item()
            .table_name(&self.table)
            .set_key(Some(ItemKey::meter(&key.id, &plan.id).attributes()));
        Ok(conditional(update.apply(request).send().await)?.is_some())
    }

    /// The meter, which a link that was interrupted may have left to be made.
    async fn meter_of(&self, plan: &PlanRecord, key: &KeyRecord) -> Result<Option<Meter>, Error> {
        let item = self.read_item(&ItemKey::meter(&key.id, &plan.id)).await?;
        let meter = item.as_ref().map(meter_item::read).transpose()?.flatten();
        if meter.is_none() {
            self.publish(key).await?;
        }
        Ok(meter)
    }
}
