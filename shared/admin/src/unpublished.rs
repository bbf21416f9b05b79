//! Changes of a key's record, and that every meter is told of them.
//!
//! Authorizers go by the record that they know for as long as the meters say nothing else. A change that is written and not
//! told is a revoked key that passes: so whoever changes a record holds an [`Unpublished`], and only publishing gives it out.

use futures_util::future;
use tollgate_core::id::KeyId;
use tollgate_core::key::KeyHash;

use super::keys::item_of;
use super::meters::Surroundings;
use super::{Admin, Error, MAX_TRIES, back_off};
use tollgate_dynamo::failure::Corrupt;
use tollgate_dynamo::item::key::KeyRecord;
use tollgate_dynamo::item::lookup::LookupRecord;
use tollgate_dynamo::item::{Item, ItemKey, to_item};

/// A key's record of which not every meter may have been told.
#[derive(Debug)]
#[must_use = "until it is published, instances that know the key go by its record from before"]
pub(super) struct Unpublished {
    record: KeyRecord,
    /// It was changed by this call: nobody can know its revision yet.
    is_new: bool,
}

impl Unpublished {
    /// A record after a change, to be written in place of the one before.
    pub(super) fn after<E: From<Error>>(
        before: &KeyRecord,
        change: impl FnOnce(&mut KeyRecord) -> Result<(), E>,
    ) -> Result<Self, E> {
        let mut record = before.clone();
        change(&mut record)?;
        record.revision = next(before, before.revision)?;
        Ok(Self {
            record,
            is_new: true,
        })
    }

    /// A record that was read: the call that wrote it may have got no further.
    pub(super) fn again(record: KeyRecord) -> Self {
        Self {
            record,
            is_new: false,
        }
    }

    /// A record that outruns a revision which a meter knows and it does not.
    fn outrunning(before: &KeyRecord, known: u64) -> Result<Self, Error> {
        let mut record = before.clone();
        record.revision = next(before, known.max(before.revision))?;
        Ok(Self {
            record,
            is_new: true,
        })
    }

    /// What is written of it.
    pub(super) fn item(&self) -> Item {
        item_of(&self.record)
    }

    /// The item of its value.
    pub(super) fn value_item(&self, hash: &KeyHash) -> Item {
        let owner = LookupRecord {
            key_id: self.record.id.clone(),
            plans: self.record.plans.clone(),
            ttl: None,
        };
        to_item(&ItemKey::hash(hash), &owner)
    }
}

fn next(record: &KeyRecord, revision: u64) -> Result<u64, Error> {
    let next = revision.checked_add(1);
    next.ok_or_else(|| Error::from(no_further(&record.id)))
}

fn no_further(id: &KeyId) -> Corrupt {
    Corrupt {
        item: ItemKey::key(id).to_string(),
        what: "attribute revision is at its end: expected fewer than 2^64 changes".to_owned(),
    }
}

impl Admin {
    /// Brings every meter of a key in line with its record: those of its plans, and those that are left behind. What an
    /// interrupted call has left undone is done by the next one, whichever it is.
    pub(super) async fn sync_meters(&self, change: Unpublished) -> Result<KeyRecord, Error> {
        let around = self.surroundings(&change.record).await?;
        self.sync_meters_among(change, &around).await
    }

    /// As [`sync_meters`](Self::sync_meters), where the key's plans and meters are known.
    pub(super) async fn sync_meters_among(
        &self,
        change: Unpublished,
        around: &Surroundings,
    ) -> Result<KeyRecord, Error> {
        // A record that was put back has a revision which a meter may know from another one.
        let told = around.meters.values().filter_map(|place| place.knows);
        let is_same = |known: &u64| change.is_new && *known == change.record.revision;
        let same = told.filter(is_same).max();
        let record = change.record;
        let Some(known) = self.update_meters(&record, around).await?.max(same) else {
            return Ok(record);
        };
        // Rare, and large.
        Box::pin(self.outrun(record, known)).await
    }

    /// A meter knows a later revision than the record that it was to be told of. Either somebody has changed the record
    /// meanwhile, and brings the meter in line with that; or the record was put back to an older state, and would never be
    /// heard: then it is given a later revision.
    async fn outrun(&self, told: KeyRecord, mut known: u64) -> Result<KeyRecord, Error> {
        for tries in 0..MAX_TRIES {
            back_off(tries).await;
            let Some(now) = self.any_key(&told.id).await? else {
                return Ok(told);
            };
            // Of what was told, one revision may mean two records.
            if now.revision > known || (now.revision == known && known != told.revision) {
                // Whoever has changed it may have got no further.
                let around = self.surroundings(&now).await?;
                match self.update_meters(&now, &around).await? {
                    None => return Ok(told),
                    Some(more) => known = more,
                }
                continue;
            }
            tracing::error!(
                key_id = %now.id,
                known,
                revision = now.revision,
                "a meter was ahead of its key's record"
            );
            let change = Unpublished::outrunning(&now, known)?;
            let key = ItemKey::key(&now.id);
            if !self
                .replace::<KeyRecord>(&key, change.item(), now.revision)
                .await?
            {
                continue;
            }
            let around = self.surroundings(&change.record).await?;
            match self.update_meters(&change.record, &around).await? {
                None => return Ok(change.record),
                Some(more) => known = more,
            }
        }
        Err(Error::Contended)
    }

    async fn surroundings(&self, record: &KeyRecord) -> Result<Surroundings, Error> {
        let plans = record
            .plans
            .iter()
            .map(async |id| (id, self.any_plan(id).await));
        let plans = future::join_all(plans);
        let (plans, meters) = future::join(plans, self.meters_of(&record.id)).await;
        let mut around = Surroundings {
            meters: meters?,
            ..Surroundings::default()
        };
        for (id, plan) in plans {
            match plan {
                Ok(Some(plan)) if !plan.deleted => around.kept.push(plan),
                Ok(Some(_)) => {
                    around.ending.insert(id.clone());
                }
                Ok(None) => {}
                // Its meter is told the revision and no more, as nobody knows the rest.
                Err(error) if error.is_damage() => {
                    tracing::error!(%error, "a plan cannot be read");
                    around.ending.insert(id.clone());
                }
                // A plan that was not read is not one that is gone: then nothing is told.
                Err(error) => return Err(error),
            }
        }
        Ok(around)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revision_never_wraps() {
        let record = KeyRecord {
            revision: u64::MAX,
            ..KeyRecord::default()
        };
        let change = |record: &mut KeyRecord| {
            record.enabled = false;
            Ok::<_, Error>(())
        };
        assert!(Unpublished::after(&record, change).is_err());
        assert!(Unpublished::outrunning(&record, 7).is_err());
        let before = KeyRecord {
            revision: 7,
            ..record
        };
        let after = Unpublished::after(&before, change).expect("a change");
        assert_eq!(after.record.revision, 8);
        let after = Unpublished::outrunning(&before, 99).expect("a change");
        assert_eq!(after.record.revision, 100);
    }
}
