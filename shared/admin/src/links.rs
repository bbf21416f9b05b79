//! Putting keys into plans and taking them out. A key's record lists its plans, and its meters are brought in line with it.

use tollgate_core::id::{KeyId, PlanId};

use crate::ids::is_id;
use crate::meters::MeterPlacement;
use crate::unpublished::Unpublished;
use crate::{Admin, Error, until_settled};
use aws_sdk_dynamodb::types::AttributeValue;
use tollgate_dynamo::expression::Update;
use tollgate_dynamo::item::ItemKey;
use tollgate_dynamo::item::key::KeyRecord;
use tollgate_dynamo::item::plan::PlanRecord;
use tollgate_dynamo::items::Write;

mod list;
mod stages;

pub(crate) use list::{keys_of, plan_list};
pub(crate) use stages::shared_stage;

/// Bytes of a name that a meter holds for the index: each request writes the meter, and is billed by its size.
pub(crate) const NAME_BYTES: usize = 40;

impl Admin {
    /// Puts a key into a plan.
    ///
    /// # Errors
    /// [`Error::NoSuchPlan`], [`Error::NoSuchKey`], [`Error::AlreadyLinked`], [`Error::StageTaken`].
    pub async fn link(&self, plan_id: &PlanId, key_id: &KeyId) -> Result<KeyRecord, Error> {
        let plan = self.plan(plan_id).await?;
        let recorded = until_settled(|| self.record_link(&plan, key_id)).await;
        let change = match recorded {
            Err(Error::AlreadyLinked) if !self.is_listed(plan_id, key_id).await? => {
                // An earlier call was interrupted after it wrote the record: complete it.
                Unpublished::again(self.key(key_id).await?)
            }
            linked => linked?,
        };
        let record = self.sync_meters(change).await?;
        self.update_lookup(&record).await?;
        self.unlink_if_plan_gone(plan_id, record).await
    }

    /// The key that was put into a plan, unless the plan was deleted meanwhile: the deletion may not have seen this key.
    pub(crate) async fn unlink_if_plan_gone(
        &self,
        plan_id: &PlanId,
        record: KeyRecord,
    ) -> Result<KeyRecord, Error> {
        match self.plan(plan_id).await {
            Err(Error::NoSuchPlan) => {
                if record.plans.contains(plan_id) {
                    self.unlink(plan_id, &record.id).await?;
                }
                Err(Error::NoSuchPlan)
            }
            plan => plan.map(|_| record),
        }
    }

    /// Adds a plan to the key's record, after a check against the key's other plans. `None` if the record changed meanwhile.
    async fn record_link(
        &self,
        plan: &PlanRecord,
        key_id: &KeyId,
    ) -> Result<Option<Unpublished>, Error> {
        let key = self.key(key_id).await?;
        if key.plans.contains(&plan.id) {
            return Err(Error::AlreadyLinked);
        }
        // Putting the key back into the plan that it is leaving cancels the move. Any other plan waits for the move: the new
        // meter is not complete, and must not be charged before it is.
        let moving = key.moving.as_ref();
        if moving.is_some_and(|moving| moving.from != plan.id) {
            Box::pin(self.finish_pending_move(key)).await?;
            return Ok(None);
        }
        self.check_stages(&key, plan, None).await?;
        let add = |record: &mut KeyRecord| {
            record.enter(&plan.id);
            Ok::<_, Error>(())
        };
        self.replace_key(key, add).await
    }

    /// Whether the meter is in the list of the plan's keys.
    async fn is_listed(&self, plan_id: &PlanId, key_id: &KeyId) -> Result<bool, Error> {
        let meter = self.items.get(&ItemKey::meter(key_id, plan_id)).await?;
        Ok(meter.is_some_and(|meter| MeterPlacement::of(&meter).is_listed()))
    }

    /// Takes a key out of a plan. Its usage stays.
    ///
    /// # Errors
    /// [`Error::NotLinked`], [`Error::NoSuchKey`], [`Error::NoSuchPlan`].
    pub async fn unlink(&self, plan_id: &PlanId, key_id: &KeyId) -> Result<(), Error> {
        if !is_id(plan_id.as_str()) {
            return Err(Error::NoSuchPlan);
        }
        let key = match self.key(key_id).await {
            Err(error) if error.is_damage() => return self.unlink_damaged(plan_id, key_id).await,
            Ok(key) if key.revision == u64::MAX => {
                return self.unlink_damaged(plan_id, key_id).await;
            }
            key => key?,
        };
        if !is_in_or_between(&key, plan_id) && !self.is_listed(plan_id, key_id).await? {
            // An earlier call may have been interrupted after it wrote the record.
            self.sync_meters(Unpublished::again(key)).await?;
            self.plan(plan_id).await?;
            return Err(Error::NotLinked);
        }
        let remove = |record: &mut KeyRecord| {
            record.leave(plan_id);
            Ok::<_, Error>(())
        };
        let change = self.change_key(key_id, remove).await?;
        let record = self.sync_meters(change).await?;
        self.update_lookup(&record).await
    }

    /// Takes a key out of a plan, if the key exists and is in the plan.
    pub(crate) async fn unlink_if_linked(
        &self,
        plan_id: &PlanId,
        key_id: &KeyId,
    ) -> Result<(), Error> {
        match self.unlink(plan_id, key_id).await {
            Err(Error::NoSuchKey | Error::NoSuchPlan | Error::NotLinked) => Ok(()),
            unlinked => unlinked,
        }
    }

    /// Writes the key's plans into the look-up of its value, which lets the authorizer read them together with the key. The
    /// look-up is only a hint: the record decides.
    pub(crate) async fn update_lookup(&self, key: &KeyRecord) -> Result<(), Error> {
        let mut update = Update::default();
        let plans = key.plans.iter().map(|id| AttributeValue::S(id.to_string()));
        let plans = AttributeValue::L(plans.collect());
        let (name, plans) = (update.name("plans"), update.value(plans));
        let (owner, id) = (update.name("key_id"), update.text(&key.id));
        update.condition(format!("{owner} = {id}"));
        update.set(&name, plans);
        let lookup = ItemKey::hash(&key.hash);
        self.items.write(Write::Update(lookup, update)).await?;
        Ok(())
    }
}

/// Whether a key is in the plan, or on a move from or to it.
fn is_in_or_between(key: &KeyRecord, plan: &PlanId) -> bool {
    let moving = key.moving.as_ref();
    key.plans.contains(plan)
        || moving.is_some_and(|moving| moving.to == *plan || moving.from == *plan)
}
