//! Publishing a record: bringing every meter of the key in line with it.

use futures_util::future;

use super::Unpublished;
use crate::meters::PlansAndMeters;
use crate::{Admin, Error};
use tollgate_dynamo::item::ItemKey;
use tollgate_dynamo::item::key::KeyRecord;
use tollgate_dynamo::retry::{MAX_ATTEMPTS, back_off};

impl Admin {
    /// Brings every meter of a key in line with its record: those of its plans, and those that are to be retired. This also
    /// completes what an interrupted operation left undone, whichever operation it was.
    pub(crate) async fn sync_meters(&self, change: Unpublished) -> Result<KeyRecord, Error> {
        let all = self.plans_and_meters(&change.record).await?;
        self.sync_these_meters(change, &all).await
    }

    /// As [`sync_meters`](Self::sync_meters), if the key's plans and meters are known.
    pub(crate) async fn sync_these_meters(
        &self,
        change: Unpublished,
        all: &PlansAndMeters,
    ) -> Result<KeyRecord, Error> {
        // After a record was restored from a backup, a meter may know the new revision from another record.
        let is_known = change.is_new && {
            let mut meters = all.meters.values();
            meters.any(|meter| meter.revision == Some(change.record.revision))
        };
        let record = change.record;
        let same = is_known.then_some(record.revision);
        let Some(known) = self.update_meters(&record, all).await?.max(same) else {
            return Ok(record);
        };
        // Rare, and large.
        Box::pin(self.overtake_meter(record, known)).await
    }

    /// Handles a meter that knows `known`, a later revision than the one of the record that was to be published. Either another
    /// operation changed the record meanwhile, and syncs the meters with that; or the record was restored to an older state,
    /// which no meter would ever accept: then it is given a later revision.
    async fn overtake_meter(
        &self,
        published: KeyRecord,
        mut known: u64,
    ) -> Result<KeyRecord, Error> {
        for attempts in 0..MAX_ATTEMPTS {
            back_off(attempts).await;
            let Some(current) = self.any_key(&published.id).await? else {
                return Ok(published);
            };
            // The revision that was to be published may stand for two different records.
            let is_later = current.revision > known
                || (current.revision == known && known != published.revision);
            let (record, is_raised) = if is_later {
                // The operation that changed it may have been interrupted before it synced the meters.
                (current, false)
            } else if let Some(raised) = self.raise_revision(&current, known).await? {
                (raised, true)
            } else {
                continue;
            };
            let all = self.plans_and_meters(&record).await?;
            match self.update_meters(&record, &all).await? {
                None if is_raised => return Ok(record),
                None => return Ok(published),
                Some(later) => known = later,
            }
        }
        Err(Error::Contended)
    }

    /// Gives a record a revision later than `known`; `None` if another operation changed the record meanwhile.
    async fn raise_revision(
        &self,
        current: &KeyRecord,
        known: u64,
    ) -> Result<Option<KeyRecord>, Error> {
        tracing::error!(
            key_id = %current.id,
            known,
            revision = current.revision,
            "a meter was ahead of its key's record"
        );
        let change = Unpublished::overtaking(current, known)?;
        let key = ItemKey::key(&current.id);
        let replaced = self
            .items
            .replace::<KeyRecord>(&key, change.item(), current.revision)
            .await?;
        Ok(replaced.then_some(change.record))
    }

    async fn plans_and_meters(&self, record: &KeyRecord) -> Result<PlansAndMeters, Error> {
        let plans = record.plans.iter();
        let plans = future::join_all(plans.map(async |id| (id, self.any_plan(id).await)));
        let (plans, meters) = future::join(plans, self.meters_of(&record.id)).await;
        let mut all = PlansAndMeters {
            meters: meters?,
            ..PlansAndMeters::default()
        };
        for (id, plan) in plans {
            match plan {
                Ok(Some(plan)) if !plan.deleted => all.active.push(plan),
                Ok(Some(_)) => {
                    all.ending.insert(id.clone());
                }
                Ok(None) => {}
                // Its meter gets the revision and nothing else, because the rest depends on the plan.
                Err(error) if error.is_damage() => {
                    tracing::error!(%error, "a plan cannot be read");
                    all.ending.insert(id.clone());
                }
                // A plan that could not be read is not gone, so no meter may be changed.
                Err(error) => return Err(error),
            }
        }
        Ok(all)
    }
}
