//! Rotation: a key gets a new value, and the previous one stays valid for a while. It stays the same key with the same meters:
//! both values are charged to one balance.
//!
//! The order is the one of every revocation. First the record says until when the previous value is valid, then every meter
//! learns it, and only then can another key have the value. After an interruption the record still says what is left to do, and
//! the next call does it.

use jiff::Timestamp;
use tollgate_core::id::KeyId;
use tollgate_core::key::{KeyHash, KeyValue};

use crate::unpublished::Unpublished;
use crate::{Admin, Error, until_settled};
use tollgate_dynamo::expression::Update;
use tollgate_dynamo::item::ItemKey;
use tollgate_dynamo::item::key::{KeyRecord, Retiring, Sealed};
use tollgate_dynamo::item::lookup::LookupRecord;
use tollgate_dynamo::items::{Condition, Write};
use tollgate_dynamo::schema::{ITEM_VERSION, TTL};

/// How long a value's look-up is kept after the value has expired, in seconds: clients that still send it learn why they are
/// refused.
const LOOKUP_KEPT_SECONDS: i64 = 24 * 60 * 60;

/// The value that a key is to have.
struct NewValue {
    hash: KeyHash,
    sealed: Option<Sealed>,
    /// Until when the previous value stays valid; `None` if it ends at once.
    overlap: Option<Timestamp>,
}

/// What has to be done for a rotation, given the key's record.
#[derive(Debug, PartialEq, Eq)]
enum RotationStep {
    /// The key has the value, perhaps because this very rotation was interrupted.
    Resume,
    /// The key is disabled or expired: refuse.
    RefuseInactive,
    /// The overlap of an earlier rotation has not ended: refuse.
    RefuseSecond,
    /// The previous value of an earlier rotation has expired: forget it first.
    ForgetPrevious,
    /// Replace the value.
    Replace,
}

impl RotationStep {
    fn of(record: &KeyRecord, hash: &KeyHash, now: Timestamp) -> Self {
        if record.has_value(hash) {
            return Self::Resume;
        }
        if record.check_usable(None, now).is_err() {
            return Self::RefuseInactive;
        }
        match &record.retiring {
            Some(retiring) if retiring.until > now => Self::RefuseSecond,
            Some(_) => Self::ForgetPrevious,
            None => Self::Replace,
        }
    }
}

/// How a rotation to a value that the key already has goes on.
#[derive(Debug, PartialEq, Eq)]
enum Resumed {
    /// It is complete.
    Complete,
    /// The previous value still has to end.
    EndPrevious,
    /// It is another rotation: the value was the key's before.
    ValueExists,
}

impl Resumed {
    fn of(record: &KeyRecord, hash: &KeyHash, overlap: Option<Timestamp>) -> Self {
        let is_current = record.hash == *hash;
        match (overlap, &record.retiring) {
            (Some(_), Some(_)) | (None, None) if is_current => Self::Complete,
            (None, Some(_)) if is_current => Self::EndPrevious,
            _ => Self::ValueExists,
        }
    }
}

impl Admin {
    /// Gives a key a new value. The previous one stays valid until `until`, or ends at once. When this returns, both hold
    /// everywhere. A second call with the same value completes an interrupted rotation.
    ///
    /// # Errors
    /// [`Error::NoSuchKey`], [`Error::ValueExists`], [`Error::KeyNotActive`], [`Error::RotationInProgress`].
    pub async fn rotate_key(
        &self,
        id: &KeyId,
        value: &KeyValue,
        sealed: Option<Sealed>,
        until: Option<Timestamp>,
    ) -> Result<KeyRecord, Error> {
        let new = NewValue {
            hash: value.hash(),
            sealed,
            overlap: until,
        };
        until_settled(|| self.try_rotate(id, &new)).await
    }

    async fn try_rotate(&self, id: &KeyId, new: &NewValue) -> Result<Option<KeyRecord>, Error> {
        let before = self.key(id).await?;
        let now = self.now();
        match RotationStep::of(&before, &new.hash, now) {
            RotationStep::Resume => self.resume_rotation(before, new).await.map(Some),
            RotationStep::RefuseInactive => Err(Error::KeyNotActive),
            RotationStep::RefuseSecond => {
                self.sync_meters(Unpublished::again(before)).await?;
                Err(Error::RotationInProgress(id.clone()))
            }
            RotationStep::ForgetPrevious => {
                self.forget_previous(before).await?;
                Ok(None)
            }
            RotationStep::Replace => self.replace_value(before, new, now).await,
        }
    }

    async fn resume_rotation(&self, record: KeyRecord, new: &NewValue) -> Result<KeyRecord, Error> {
        let record = self.sync_meters(Unpublished::again(record)).await?;
        match Resumed::of(&record, &new.hash, new.overlap) {
            Resumed::Complete => Ok(record),
            Resumed::EndPrevious => self.end_rotation(&record.id).await,
            Resumed::ValueExists => Err(Error::ValueExists),
        }
    }

    /// Writes the new value. `None` if the record changed meanwhile.
    async fn replace_value(
        &self,
        before: KeyRecord,
        new: &NewValue,
        now: Timestamp,
    ) -> Result<Option<KeyRecord>, Error> {
        let retiring = Retiring {
            hash: before.hash,
            until: new.overlap.unwrap_or(now),
        };
        let after = Unpublished::after(&before, |record| {
            record.hash = new.hash;
            record.sealed.clone_from(&new.sealed);
            record.updated = now;
            record.retiring = Some(retiring.clone());
            Ok::<_, Error>(())
        })?;
        let writes = vec![
            Write::new_item(after.lookup_item(&new.hash)),
            Write::Put(after.item(), Condition::AtRevision(before.revision)),
            expire_lookup(&before.id, &retiring),
        ];
        if self.transact(writes).await? {
            let after = self.sync_meters(after).await?;
            return match new.overlap {
                Some(_) => Ok(Some(after)),
                None => self.end_rotation(&before.id).await.map(Some),
            };
        }
        let lookup = ItemKey::hash(&new.hash);
        let owner: Option<LookupRecord> = self.items.record(&lookup).await?;
        match owner {
            Some(owner) if owner.key_id != before.id => Err(Error::ValueExists),
            _ => Ok(None),
        }
    }

    /// Ends the overlap of a rotation. When this returns, the previous value is refused everywhere, and can be another key's.
    ///
    /// # Errors
    /// [`Error::NoSuchKey`], [`Error::NoRotation`].
    pub async fn end_rotation(&self, id: &KeyId) -> Result<KeyRecord, Error> {
        let mut is_first = true;
        until_settled(|| self.try_end_rotation(id, std::mem::take(&mut is_first))).await
    }

    async fn try_end_rotation(
        &self,
        id: &KeyId,
        is_first: bool,
    ) -> Result<Option<KeyRecord>, Error> {
        let before = self.key(id).await?;
        let now = self.now();
        match &before.retiring {
            None => {
                let record = self.sync_meters(Unpublished::again(before)).await?;
                // On a later attempt, another call has ended it meanwhile.
                if is_first {
                    return Err(Error::NoRotation);
                }
                Ok(Some(record))
            }
            Some(retiring) if retiring.until > now => {
                let end = |record: &mut KeyRecord| {
                    if let Some(retiring) = &mut record.retiring {
                        retiring.until = now;
                    }
                    record.updated = now;
                    Ok::<_, Error>(())
                };
                if let Some(change) = self.replace_key(before, end).await? {
                    self.sync_meters(change).await?;
                }
                Ok(None)
            }
            Some(_) => self.forget_previous(before).await,
        }
    }

    /// Forgets a previous value that has expired, once every meter knows that it has. `None` if the record changed meanwhile.
    async fn forget_previous(&self, before: KeyRecord) -> Result<Option<KeyRecord>, Error> {
        let before = self.sync_meters(Unpublished::again(before)).await?;
        let Some(retiring) = before.retiring.clone() else {
            return Ok(Some(before));
        };
        let after = Unpublished::after(&before, |record| {
            record.retiring = None;
            Ok::<_, Error>(())
        })?;
        let at_revision = Condition::AtRevision(before.revision);
        let mut writes = vec![Write::Put(after.item(), at_revision)];
        let lookup = ItemKey::hash(&retiring.hash);
        let owner: Option<LookupRecord> = self.items.record(&lookup).await?;
        // DynamoDB may have deleted it at its time to live, and another key may have the value since.
        if owner.is_some_and(|owner| owner.key_id == before.id) {
            writes.push(Write::Delete(lookup, Condition::OwnedBy(before.id)));
        }
        if !self.transact(writes).await? {
            return Ok(None);
        }
        Ok(Some(self.sync_meters(after).await?))
    }
}

/// Gives the look-up of a key's previous value a time to live.
fn expire_lookup(id: &KeyId, retiring: &Retiring) -> Write {
    let mut update = Update::default();
    let (owner, owner_id) = (update.name("key_id"), update.text(id));
    let pk = update.name(tollgate_dynamo::schema::PK);
    update.condition(format!(
        "(attribute_not_exists({pk}) OR {owner} = {owner_id})"
    ));
    update.set(&owner, owner_id);
    let kept_until = retiring.until.as_second() + LOOKUP_KEPT_SECONDS;
    let (ttl, kept_until) = (update.name(TTL), update.number(kept_until));
    update.set(&ttl, kept_until);
    let (version, number) = (update.name("v"), update.number(ITEM_VERSION));
    update.set(&version, number);
    Write::Update(ItemKey::hash(&retiring.hash), update)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("in range")
    }

    fn hash(value: &str) -> KeyHash {
        KeyValue::parse(value).expect("a value").hash()
    }

    fn record(retiring_until: Option<i64>) -> KeyRecord {
        KeyRecord {
            hash: hash("the-current-value-of-the-key"),
            enabled: true,
            retiring: retiring_until.map(|until| Retiring {
                hash: hash("the-previous-value-of-the-key"),
                until: at(until),
            }),
            ..KeyRecord::default()
        }
    }

    #[test]
    fn a_rotation_waits_for_the_one_before_and_needs_an_active_key() {
        let new = hash("the-new-value-of-the-key");
        let step = |record: &KeyRecord| RotationStep::of(record, &new, at(10));
        assert_eq!(step(&record(None)), RotationStep::Replace);
        assert_eq!(step(&record(Some(11))), RotationStep::RefuseSecond);
        assert_eq!(step(&record(Some(10))), RotationStep::ForgetPrevious);
        let disabled = KeyRecord {
            enabled: false,
            ..record(None)
        };
        assert_eq!(step(&disabled), RotationStep::RefuseInactive);
        let expired = KeyRecord {
            expires: Some(at(10)),
            ..record(None)
        };
        assert_eq!(step(&expired), RotationStep::RefuseInactive);
        let current = record(None).hash;
        let again = RotationStep::of(&disabled, &current, at(10));
        assert_eq!(again, RotationStep::Resume);
    }

    #[test]
    fn a_rotation_to_the_current_value_is_completed_as_it_was_begun() {
        let current = record(None).hash;
        let resumed = |record: &KeyRecord, overlap| Resumed::of(record, &current, overlap);
        let overlap = Some(at(20));
        assert_eq!(resumed(&record(Some(20)), overlap), Resumed::Complete);
        assert_eq!(resumed(&record(None), None), Resumed::Complete);
        assert_eq!(resumed(&record(Some(20)), None), Resumed::EndPrevious);
        assert_eq!(resumed(&record(None), overlap), Resumed::ValueExists);
        let previous = hash("the-previous-value-of-the-key");
        let back = Resumed::of(&record(Some(20)), &previous, None);
        assert_eq!(back, Resumed::ValueExists);
    }
}
