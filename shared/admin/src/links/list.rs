//! The keys of a plan.

use tollgate_core::id::{KeyId, PlanId};

use super::NAME_BYTES;
use crate::keys::list::has_name_prefix;
use crate::listing::{List, prefix_of};
use crate::{Admin, Error, Page, PageRequest};
use tollgate_dynamo::item::ItemKey;
use tollgate_dynamo::item::key::KeyRecord;
use tollgate_dynamo::item::plan::PlanRecord;
use tollgate_dynamo::schema::BY_CREATED;

impl Admin {
    /// Reads a key of a plan.
    ///
    /// # Errors
    /// [`Error::NoSuchPlan`], [`Error::NotLinked`].
    pub async fn linked_key(&self, plan_id: &PlanId, key_id: &KeyId) -> Result<KeyRecord, Error> {
        self.plan(plan_id).await?;
        match self.key(key_id).await {
            Ok(record) if record.plans.contains(plan_id) => Ok(record),
            Ok(_) | Err(Error::NoSuchKey) => Err(Error::NotLinked),
            Err(error) => Err(error),
        }
    }

    /// A page of a plan's keys, the last linked first; with a name prefix as in [`KeyFilter`](crate::keys::KeyFilter).
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
        let shows = |record: &KeyRecord| {
            !record.deleted
                && record.plans.contains(&plan.id)
                && has_name_prefix(record, name_prefix)
        };
        self.records(&list, page, ItemKey::key, shows).await
    }
}

/// The list of a plan's keys, the last linked first.
pub(crate) fn keys_of(plan_id: &PlanId) -> List {
    List::newest_first(BY_CREATED, plan_list(plan_id))
}

/// The partition of the list of a plan's keys.
pub(crate) fn plan_list(plan_id: &PlanId) -> String {
    format!("PLAN#{plan_id}")
}
