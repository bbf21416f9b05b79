//! Which keys are in which plans. A key's record lists its plans; its meters are brought in line with it.

use std::collections::HashSet;

use aws_sdk_dynamodb::types::AttributeValue;
use tollgate_core::id::{KeyId, PlanId};
use tollgate_core::plan::ApiStage;

use super::keys::prefix_of;
use super::listing::List;
use super::unpublished::Unpublished;
use super::{Admin, Error, MAX_TRIES, Page, PageRequest, back_off, is_id};
use tollgate_dynamo::expression::Update;
use tollgate_dynamo::failure::conditional;
use tollgate_dynamo::item::ItemKey;
use tollgate_dynamo::item::key::KeyRecord;
use tollgate_dynamo::item::plan::PlanRecord;
use tollgate_dynamo::schema::BY_CREATED;

/// Bytes of a name that a meter holds for the index: every request writes the meter, and is billed by its size.
pub(super) const NAME_BYTES: usize = 40;

impl Admin {
    /// Puts a key into a plan.
    ///
    /// # Errors
    /// [`Error::NoSuchPlan`], [`Error::NoSuchKey`], [`Error::AlreadyLinked`], [`Error::StageTaken`].
    pub async fn link(&self, plan_id: &PlanId, key_id: &KeyId) -> Result<KeyRecord, Error> {
        let plan = self.plan(plan_id).await?;
        let change = match self.record_link(&plan, key_id).await {
            Err(Error::AlreadyLinked) if !self.is_listed(plan_id, key_id).await? => {
                // An earlier call got no further than the record: finish what it began.
                Unpublished::again(self.key(key_id).await?)
            }
            linked => linked?,
        };
        let record = self.sync_meters(change).await?;
        self.update_lookup(&record).await?;
        self.unless_gone(plan_id, record).await
    }

    /// The key that was put into a plan, unless that was deleted meanwhile: the deletion may not have seen this key.
    pub(super) async fn unless_gone(
        &self,
        plan_id: &PlanId,
        record: KeyRecord,
    ) -> Result<KeyRecord, Error> {
        match self.plan(plan_id).await {
            Err(Error::NoSuchPlan) => {
                let linked = record.plans.iter().any(|plan| *plan == *plan_id);
                if linked {
                    self.unlink(plan_id, &record.id).await?;
                }
                Err(Error::NoSuchPlan)
            }
            plan => plan.map(|_| record),
        }
    }

    /// Notes the link in the key's record, against which its other plans are checked in the same step.
    async fn record_link(&self, plan: &PlanRecord, key_id: &KeyId) -> Result<Unpublished, Error> {
        for tries in 0..MAX_TRIES {
            back_off(tries).await;
            let key = self.key(key_id).await?;
            if key.plans.contains(&plan.id) {
                return Err(Error::AlreadyLinked);
            }
            // To put it back into the plan that it is leaving is to call the move off.
            if key.moving.as_ref().is_some_and(|it| it.from != plan.id) {
                // Its meter is being brought up; nothing may be charged to it before.
                Box::pin(self.arrive_anywhere(key)).await?;
                continue;
            }
            self.check_stages(&key, plan, None).await?;
            let add = |record: &mut KeyRecord| {
                record.enter(&plan.id);
                Ok::<_, Error>(())
            };
            if let Some(change) = self.replace_key(key, add).await? {
                return Ok(change);
            }
        }
        Err(Error::Contended)
    }

    /// Whether the meter has been told that the key is in the plan.
    async fn is_listed(&self, plan_id: &PlanId, key_id: &KeyId) -> Result<bool, Error> {
        let meter = self.read_item(&ItemKey::meter(key_id, plan_id)).await?;
        Ok(meter.is_some_and(|meter| meter.contains_key(BY_CREATED.pk)))
    }

    /// No other plan of the key may open a stage that this one opens, but for the one that it leaves for it.
    pub(super) async fn check_stages(
        &self,
        key: &KeyRecord,
        plan: &PlanRecord,
        leaves: Option<&PlanId>,
    ) -> Result<(), Error> {
        let others = key.plans.iter().filter(|id| Some(*id) != leaves);
        let others: Vec<_> = others.map(ItemKey::plan).collect();
        let others: Vec<PlanRecord> = self.read_many(&others).await?;
        let wanted: HashSet<_> = plan.limits.stages.iter().map(ApiStage::id).collect();
        for other in others.iter().filter(|other| !other.deleted) {
            let mut stages = other.limits.stages.iter().map(ApiStage::id);
            let taken = stages.find(|name| wanted.contains(name));
            if let Some(stage) = taken {
                return Err(Error::StageTaken {
                    key: key.id.clone(),
                    plan: other.id.clone(),
                    stage,
                });
            }
        }
        Ok(())
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
        let linked = key.plans.iter().any(|plan| *plan == *plan_id);
        let moving = key.moving.as_ref();
        let is_on_its_way = moving.is_some_and(|it| it.to == *plan_id || it.from == *plan_id);
        if !linked && !is_on_its_way && !self.is_listed(plan_id, key_id).await? {
            // An earlier call may have got no further than the record.
            self.sync_meters(Unpublished::again(key)).await?;
            self.plan(plan_id).await?;
            return Err(Error::NotLinked);
        }
        let change = self
            .change_key(key_id, |record| {
                record.leave(plan_id);
                Ok::<_, Error>(())
            })
            .await?;
        let record = self.sync_meters(change).await?;
        self.update_lookup(&record).await
    }

    /// A key of a plan.
    ///
    /// # Errors
    /// [`Error::NoSuchPlan`], [`Error::NotLinked`].
    pub async fn linked_key(&self, plan_id: &PlanId, key_id: &KeyId) -> Result<KeyRecord, Error> {
        self.plan(plan_id).await?;
        match self.key(key_id).await {
            Ok(record) if record.plans.iter().any(|plan| *plan == *plan_id) => Ok(record),
            Ok(_) | Err(Error::NoSuchKey) => Err(Error::NotLinked),
            Err(error) => Err(error),
        }
    }

    /// A page of a plan's keys, those linked last first; with a name prefix as in [`KeyFilter`](super::keys::KeyFilter).
    ///
    /// # Errors
    /// [`Error::BadPosition`].
    pub async fn linked_keys(
        &self,
        plan: &PlanRecord,
        name_prefix: Option<&str>,
        page: &PageRequest,
    ) -> Result<Page<KeyRecord>, Error> {
        let list = match name_prefix {
            None => keys_of(&plan.id),
            Some(prefix) => List::named(plan_list(&plan.id), prefix_of(prefix, NAME_BYTES)),
        };
        let found = self.page(&list, page).await?;
        let keys: Vec<_> = found.items.iter().map(ItemKey::key).collect();
        let mut records: Vec<KeyRecord> = self.read_many(&keys).await?;
        records.retain(|record| {
            let name = record.name.as_deref().unwrap_or_default();
            !record.deleted
                && record.plans.contains(&plan.id)
                && name_prefix.is_none_or(|prefix| name.starts_with(prefix))
        });
        Ok(Page {
            items: records,
            position: found.position,
        })
    }

    /// Notes the plans beside the value, so that they are read together with the key. Only a hint: the record decides.
    pub(super) async fn update_lookup(&self, key: &KeyRecord) -> Result<(), Error> {
        let mut update = Update::default();
        let plans = key
            .plans
            .iter()
            .cloned()
            .map(|id| AttributeValue::S(id.into()))
            .collect();
        let (name, plans) = (update.name("plans"), update.value(AttributeValue::L(plans)));
        let (owner, id) = (update.name("key_id"), update.text(&key.id));
        update.condition(format!("{owner} = {id}"));
        update.set(&name, plans);
        let request = self
            .client()
            .update_item()
            .table_name(&self.table)
            .set_key(Some(ItemKey::hash(&key.hash).attributes()));
        conditional(update.apply(request).send().await)?;
        Ok(())
    }
}

/// The list of a plan's keys, those linked last first.
pub(super) fn keys_of(plan_id: &PlanId) -> List {
    List::newest_first(BY_CREATED, plan_list(plan_id))
}

/// The partition of the list of a plan's keys.
pub(super) fn plan_list(plan_id: &PlanId) -> String {
    format!("PLAN#{plan_id}")
}
