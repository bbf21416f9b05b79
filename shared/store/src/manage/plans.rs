//! Usage plans.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;
use tollgate_core::plan::Plan;

use super::links::keys_of;
use super::listing::{List, by_time, shard_of};
use super::{Error, MAX_TRIES, Manager, Page, PageRequest, back_off, is_id, new_id};
use crate::record::{Item, ItemKey, PlanRecord, to_item};
use crate::schema::BY_CREATED;

/// Keys that a deletion takes out of the plan at a time.
const SWEEP: usize = 100;

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

impl Manager {
    /// Makes a plan.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn create_plan(&self, new: NewPlan) -> Result<PlanRecord, Error> {
        let record = PlanRecord {
            id: new_id(),
            revision: 1,
            deleted: false,
            name: new.name,
            description: new.description,
            product_code: None,
            tags: new.tags,
            created: self.now().as_millisecond(),
            limits: new.limits,
        };
        self.put_once(item_of(&record)).await?;
        Ok(record)
    }

    /// A plan.
    ///
    /// # Errors
    /// [`Error::NoSuchPlan`].
    pub async fn plan(&self, id: &str) -> Result<PlanRecord, Error> {
        self.any_plan(id)
            .await?
            .filter(|record| !record.deleted)
            .ok_or(Error::NoSuchPlan)
    }

    pub(super) async fn any_plan(&self, id: &str) -> Result<Option<PlanRecord>, Error> {
        if !is_id(id) {
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
    pub async fn plans_by_id(&self, ids: &[String]) -> Result<Vec<PlanRecord>, Error> {
        let keys: Vec<_> = ids.iter().map(|id| ItemKey::plan(id)).collect();
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
        id: &str,
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

    /// Deletes a plan that opens no stage any more, and takes its keys out of it. A deletion that was interrupted is
    /// taken up by the next call.
    ///
    /// # Errors
    /// [`Error::NoSuchPlan`], [`Error::StagesLeft`].
    pub async fn delete_plan(&self, id: &str) -> Result<(), Error> {
        let found = self.any_plan(id).await?.ok_or(Error::NoSuchPlan)?;
        if !found.deleted {
            self.update_plan(id, |record| {
                if let Some(stage) = record.limits.stages.first() {
                    return Err(Error::StagesLeft {
                        plan: record.id.clone(),
                        stage: stage.name(),
                    });
                }
                record.deleted = true;
                Ok(())
            })
            .await?;
        }
        let mut page = PageRequest {
            position: None,
            limit: SWEEP,
        };
        loop {
            // By the index itself, which shows also keys whose unlinking was interrupted.
            let keys = self.page(&keys_of(id), &page).await?;
            for key in keys.items {
                match self.unlink(id, &key).await {
                    Ok(()) | Err(Error::NoSuchKey | Error::NotLinked) => {}
                    Err(error) => return Err(error),
                }
            }
            page.position = keys.position;
            if page.position.is_none() {
                break;
            }
        }
        self.delete_item(&ItemKey::plan(id)).await
    }
}

/// A plan's item with what the list goes by. A deleted plan is in no list.
fn item_of(record: &PlanRecord) -> Item {
    let mut item = to_item(&ItemKey::plan(&record.id), record);
    if !record.deleted {
        let (shard, time) = (
            shard_of("PLANS", &record.id),
            by_time(record.created, &record.id),
        );
        item.insert(BY_CREATED.pk.to_owned(), AttributeValue::S(shard));
        item.insert(BY_CREATED.sk.to_owned(), AttributeValue::S(time));
    }
    item
}
