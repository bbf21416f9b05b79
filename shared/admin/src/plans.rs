//! Usage plans: creating, reading, listing and changing them.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;
use tollgate_core::id::PlanId;
use tollgate_core::plan::Plan;

use crate::ids::{is_id, new_id};
use crate::listing::{List, by_time, shard_of};
use crate::{Admin, Error, Page, PageRequest, until_settled};
use tollgate_dynamo::item::plan::PlanRecord;
use tollgate_dynamo::item::{Item, ItemKey, to_item};
use tollgate_dynamo::items::Write;
use tollgate_dynamo::schema::BY_CREATED;

mod deletion;

/// The list of all plans.
const ALL_PLANS: &str = "PLANS";

/// A plan to create.
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
    /// Creates a plan.
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
        // The id is random: if it is there, the SDK has sent the write twice.
        self.items.write(Write::new_item(item_of(&record))).await?;
        Ok(record)
    }

    /// Reads a plan.
    ///
    /// # Errors
    /// [`Error::NoSuchPlan`].
    pub async fn plan(&self, id: &PlanId) -> Result<PlanRecord, Error> {
        self.any_plan(id)
            .await?
            .filter(|record| !record.deleted)
            .ok_or(Error::NoSuchPlan)
    }

    /// Reads a plan, also one that is being deleted.
    pub(crate) async fn any_plan(&self, id: &PlanId) -> Result<Option<PlanRecord>, Error> {
        if !is_id(id.as_str()) {
            return Ok(None);
        }
        Ok(self.items.record(&ItemKey::plan(id)).await?)
    }

    /// A page of plans, newest first.
    ///
    /// # Errors
    /// [`Error::BadPosition`].
    pub async fn plans(&self, page: &PageRequest) -> Result<Page<PlanRecord>, Error> {
        let list = List::newest_first(BY_CREATED, ALL_PLANS.to_owned());
        let shows = |plan: &PlanRecord| !plan.deleted;
        self.records(&list, page, ItemKey::plan, shows).await
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

    /// Changes a plan. Every authorizer follows within ten seconds, and all of them as soon as one has charged under the change.
    ///
    /// # Errors
    /// [`Error::NoSuchPlan`], [`Error::Contended`], or the error of `change`, in which case nothing is changed.
    pub async fn update_plan<E: From<Error>>(
        &self,
        id: &PlanId,
        change: impl Fn(&mut PlanRecord) -> Result<(), E>,
    ) -> Result<PlanRecord, E> {
        until_settled(|| self.try_update_plan(id, &change)).await
    }

    async fn try_update_plan<E: From<Error>>(
        &self,
        id: &PlanId,
        change: impl Fn(&mut PlanRecord) -> Result<(), E>,
    ) -> Result<Option<PlanRecord>, E> {
        let before = self.plan(id).await?;
        let mut after = before.clone();
        change(&mut after)?;
        after.revision = before.revision + 1;
        let replaced = self
            .items
            .replace::<PlanRecord>(&ItemKey::plan(id), item_of(&after), before.revision)
            .await
            .map_err(Error::from)?;
        Ok(replaced.then_some(after))
    }
}

/// A plan's item with its index entry. A deleted plan is in no list.
fn item_of(record: &PlanRecord) -> Item {
    let mut item = to_item(&ItemKey::plan(&record.id), record);
    if !record.deleted {
        let id = record.id.as_str();
        let (shard, sort) = (shard_of(ALL_PLANS, id), by_time(record.created, id));
        item.insert(BY_CREATED.pk.to_owned(), AttributeValue::S(shard));
        item.insert(BY_CREATED.sk.to_owned(), AttributeValue::S(sort));
    }
    item
}
