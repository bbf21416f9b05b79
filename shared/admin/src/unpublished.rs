//! Changed records of keys that not every meter knows yet.
//!
//! Authorizers trust the record that they have read until a meter contradicts it. A record that is written while its meters are
//! not updated is a revoked key that passes. Therefore every change of a record yields an [`Unpublished`], and only
//! `sync_meters` turns it into a record that operations can return.

use tollgate_core::id::KeyId;
use tollgate_core::key::KeyHash;

use crate::Error;
use crate::keys::list::item_of;
use tollgate_dynamo::failure::Corrupt;
use tollgate_dynamo::item::key::KeyRecord;
use tollgate_dynamo::item::lookup::LookupRecord;
use tollgate_dynamo::item::{Item, ItemKey};

mod sync;

/// A key's record that some of its meters may not know.
#[derive(Debug)]
#[must_use = "until its meters are synced, authorizers that know the key use its record from before"]
pub(crate) struct Unpublished {
    record: KeyRecord,
    /// This operation made the change, so nothing else can know its revision yet.
    is_new: bool,
}

impl Unpublished {
    /// A record after a change, to be written in place of `before`.
    pub(crate) fn after<E: From<Error>>(
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

    /// A record that was read. The operation that wrote it may have been interrupted before its meters knew it.
    pub(crate) fn again(record: KeyRecord) -> Self {
        Self {
            record,
            is_new: false,
        }
    }

    /// The record with a revision later than `known`, which a meter knows and the record has not reached.
    fn overtaking(before: &KeyRecord, known: u64) -> Result<Self, Error> {
        let mut record = before.clone();
        record.revision = next(before, known.max(before.revision))?;
        Ok(Self {
            record,
            is_new: true,
        })
    }

    /// The item to write.
    pub(crate) fn item(&self) -> Item {
        item_of(&self.record)
    }

    /// The look-up item of its value with this hash.
    pub(crate) fn lookup_item(&self, hash: &KeyHash) -> Item {
        LookupRecord::item(&self.record, hash)
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
        assert!(Unpublished::overtaking(&record, 7).is_err());
        let before = KeyRecord {
            revision: 7,
            ..record
        };
        let after = Unpublished::after(&before, change).expect("a change");
        assert_eq!(after.record.revision, 8);
        let after = Unpublished::overtaking(&before, 99).expect("a change");
        assert_eq!(after.record.revision, 100);
    }
}
