//! Deleting a plan: it is gone for everyone at once, then its keys are taken out of it.

use std::time::Instant;

use futures_util::future;
use tollgate_core::id::{KeyId, PlanId};

use crate::links::keys_of;
use crate::{Admin, Error, PageRequest, is_in_time};
use tollgate_dynamo::item::ItemKey;
use tollgate_dynamo::item::plan::PlanRecord;

/// Keys that a deletion reads at a time.
const KEYS_PER_PAGE: usize = 100;
/// Keys that are taken out of a plan at once.
const AT_ONCE: usize = 8;

impl Admin {
    /// Deletes a plan that covers no stage any more, and takes its keys out of it. The plan is gone for everyone at once. After
    /// `until` no more keys are taken out; the next call continues, as after an interruption.
    ///
    /// # Errors
    /// [`Error::NoSuchPlan`], [`Error::PlanHasStages`].
    pub async fn delete_plan(&self, id: &PlanId, until: Option<Instant>) -> Result<(), Error> {
        let found = self.any_plan(id).await?.ok_or(Error::NoSuchPlan)?;
        if !found.deleted {
            self.update_plan(id, mark_deleted).await?;
        }
        if self.unlink_all(id, until).await? {
            self.items.delete(&ItemKey::plan(id)).await?;
        }
        Ok(())
    }

    /// Takes all keys out of a plan. False if the time was over before.
    async fn unlink_all(&self, id: &PlanId, until: Option<Instant>) -> Result<bool, Error> {
        let mut page = PageRequest {
            limit: KEYS_PER_PAGE,
            ..PageRequest::default()
        };
        loop {
            // The index also has the keys whose unlinking was interrupted; their records do not name the plan any more.
            let keys = self.page::<KeyId>(&keys_of(id), &page).await?;
            for batch in keys.items.chunks(AT_ONCE) {
                if !is_in_time(until) {
                    return Ok(false);
                }
                let unlinked = batch.iter().map(|key| self.unlink_if_linked(id, key));
                future::try_join_all(unlinked).await?;
            }
            page.position = keys.position;
            if page.position.is_none() {
                return Ok(true);
            }
        }
    }
}

fn mark_deleted(record: &mut PlanRecord) -> Result<(), Error> {
    if let Some(stage) = record.limits.stages.first() {
        return Err(Error::PlanHasStages {
            plan: record.id.clone(),
            stage: stage.id(),
        });
    }
    record.deleted = true;
    Ok(())
}
