//! Usage plans.

use std::collections::BTreeMap;
use std::time::Instant;

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future;
use tollgate_core::id::{KeyId, PlanId};
use tollgate_core::plan::Plan;

use super::links::keys_of;
use super::listing::{List, by_time, shard_of};
use super::{Admin, Error, MAX_TRIES, Page, PageRequest, back_off, is_id, is_in_time, new_id};
use tollgate_dynamo::item::plan::PlanRecord;
use tollgate_dynamo::item::{Item, ItemKey, to_item};
use tollgate_dynamo::schema::BY_CREATED;

/// Keys that a deletion reads at a time.
const SWEEP: usize = 100;
/// Keys that are taken out of a plan at once.
const AT_ONCE: usize = 8;

/// A plan to be made.
#[derive(Debug, Clone, Default)]
pub struct NewPlan {
    /// Its name.
    pub name: String,
    /// Its description.
    pub description: Option<String>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// Its limits.
    pub limits: Plan,
}

impl Admin {
    /// Makes a plan.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn create_plan(&self, new: NewPlan) -> Result<PlanRecord, Error> {
        let record = PlanRecord {
            id: new_id().into(),
            revision: 1,
            deleted: false,
            name: new.name,
            description: new.description,
            product_code: None,
            tags: new.tags,
            created: self.now(),
            limits: new.limits,
        };
        self.put_once(item_of(&record)).await?;
        Ok(record)
    }

    /// A plan.
    ///
    /// # Errors
    /// [`Error::NoSuchPlan`].
    pub async fn plan(&self, id: &PlanId) -> Result<PlanRecord, Error> {
        self.any_plan(id)
            .await?
            .filter(|record| !record.deleted)
            .ok_or(Error::NoSuchPlan)
    }

    pub(super) async fn any_plan(&self, id: &PlanId) -> Result<Option<PlanRecord>, Error> {
        if !is_id(id.as_str()) {
            return Ok(None);
        }
        self.read(&ItemKey::plan(id)).await
    }

    /// A page of plans, newest first.
    ///
    /// # Errors
    /// [`Error::BadPosition`].
    pub async fn plans(&self, page: &PageRequest) -> Result<Page<PlanRecord>, Error> {
        let list = List::newest_first(BY_CREATED, "PLANS".to_owned());
        let found = self.page(&list, page).await?;
        Ok(Page {
            items: self.plans_by_id(&found.items).await?,
            position: found.position,
        })
    }

    /// The plans with these ids, in this order, as far as they exist.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn plans_by_id(&self, ids: &[PlanId]) -> Result<Vec<PlanRecord>, Error> {
        let keys: Vec<_> = ids.iter().map(ItemKey::plan).collect();
        let mut plans: Vec<PlanRecord> = self.read_many(&keys).await?;
        plans.retain(|plan| !plan.deleted);
        Ok(plans)
    }

    /// Changes a plan. Authorizers take notice within ten seconds, and together as soon as one has.
    ///
    /// # Errors
    /// [`Error::NoSuchPlan`], [`Error::Contended`], or what `change` says; then nothing is changed.
    pub async fn update_plan<E: From<Error>>(
        &self,
        id: &PlanId,
        change: impl Fn(&mut PlanRecord) -> Result<(), E>,
    ) -> Result<PlanRecord, E> {
        for tries in 0..MAX_TRIES {
            back_off(tries).await;
            let before = self.plan(id).await?;
            let mut after = before.clone();
            change(&mut after)?;
            after.revision = before.revision + 1;
            let (key, item) = (ItemKey::plan(id), item_of(&after));
            if self
                .replace::<PlanRecord>(&key, item, before.revision)
                .await?
            {
                return Ok(after);
            }
        }
        Err(Error::Contended.into())
    }

    /// Deletes a plan that opens no stage any more, and takes its keys out of it. The plan is gone for everyone at once; of
    /// what it leaves behind nothing more is swept after `until`. The next call goes on, as after an interruption.
    ///
    /// # Errors
    /// [`Error::NoSuchPlan`], [`Error::PlanHasStages`].
    pub async fn delete_plan(&self, id: &PlanId, until: Option<Instant>) -> Result<(), Error> {
        let found = self.any_plan(id).await?.ok_or(Error::NoSuchPlan)?;
        if !found.deleted {
            self.update_plan(id, |record| {
                if let Some(stage) = record.limits.stages.first() {
                    return Err(Error::PlanHasStages {
                        plan: record.id.clone(),
                        stage: stage.id(),
                    });
                }
                record.deleted = true;
                Ok(())
            })
            .await?;
        }
        let mut page = PageRequest {
            limit: SWEEP,
            ..PageRequest::default()
        };
        loop {
            // By the index itself, which shows also keys whose unlinking was interrupted.
            let keys = self.page::<KeyId>(&keys_of(id), &page).await?;
            for some in keys.items.chunks(AT_ONCE) {
                if !is_in_time(until) {
                    return Ok(());
                }
                future::try_join_all(some.iter().map(|key| self.sweep(id, key))).await?;
            }
            page.position = keys.position;
            if page.position.is_none() {
                break;
            }
        }
        self.delete_item(&ItemKey::plan(id)).await
    }

    /// Takes a key out of a plan, if it is still there and in it.
    pub(super) async fn sweep(&self, plan_id: &PlanId, key_id: &KeyId) -> Result<(), Error> {
        match self.unlink(plan_id, key_id).await {
            Err(Error::NoSuchKey | Error::NoSuchPlan | Error::NotLinked) => Ok(()),
            unlinked => unlinked,
        }
    }
}

/// A plan's item with what the list goes by. A deleted plan is in no list.
fn item_of(record: &PlanRecord) -> Item {
    let mut item = to_item(&ItemKey::plan(&record.id), record);
    if !record.deleted {
        let (shard, time) = (
            shard_of("PLANS", record.id.as_str()),
            by_time(record.created, record.id.as_str()),
        );
        item.insert(BY_CREATED.pk.to_owned(), AttributeValue::S(shard));
        item.insert(BY_CREATED.sk.to_owned(), AttributeValue::S(time));
    }
    item
}
