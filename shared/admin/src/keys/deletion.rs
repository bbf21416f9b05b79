//! Deleting a key: it is revoked everywhere first, then its items are deleted.

use tollgate_core::id::KeyId;
use tollgate_core::key::KeyHash;
use tollgate_dynamo::item::key::KeyRecord;

use crate::unpublished::Unpublished;
use crate::{Admin, Error};
use tollgate_dynamo::item::ItemKey;
use tollgate_dynamo::items::{Condition, Query, Range, Write};
use tollgate_dynamo::schema::{PK, SK};

impl Admin {
    /// Deletes a key. If a deletion was interrupted, the next call continues it.
    ///
    /// # Errors
    /// [`Error::NoSuchKey`].
    pub async fn delete_key(&self, id: &KeyId) -> Result<(), Error> {
        let found = match self.any_key(id).await {
            Err(error) if error.is_damage() => return self.delete_damaged(id).await,
            found => found?.ok_or(Error::NoSuchKey)?,
        };
        if found.revision == u64::MAX {
            // Its record has no next revision that could revoke it.
            return self.delete_damaged(id).await;
        }
        let change = if found.deleted {
            Unpublished::again(found)
        } else {
            let delete = |record: &mut KeyRecord| {
                record.deleted = true;
                record.enabled = false;
                Ok::<_, Error>(())
            };
            self.change_key(id, delete).await?
        };
        let record = self.sync_meters(change).await?;
        // From here on another key can have the value.
        let retiring = record.retiring.map(|retiring| retiring.hash);
        let hashes = retiring.into_iter().chain([record.hash]);
        self.delete_items(id, hashes.collect()).await
    }

    /// Deletes the items of a revoked key: its look-ups, its archived days, and its record last.
    pub(crate) async fn delete_items(&self, id: &KeyId, hashes: Vec<KeyHash>) -> Result<(), Error> {
        for hash in hashes {
            // Unless the value belongs to another key by now.
            let key = ItemKey::hash(&hash);
            let delete = Write::Delete(key, Condition::OwnedBy(id.clone()));
            self.items.write(delete).await?;
        }
        self.delete_usage(id).await?;
        Ok(self.items.delete(&ItemKey::key(id)).await?)
    }

    async fn delete_usage(&self, id: &KeyId) -> Result<(), Error> {
        let days = Range::Prefix("USAGE#".to_owned());
        let query = Query::table(ItemKey::key(id).pk, days).only(&[PK, SK]);
        let mut start = None;
        loop {
            let (days, next) = self.items.query_page(&query, start, None).await?;
            self.items.delete_many(&days).await?;
            start = next;
            if start.is_none() {
                return Ok(());
            }
        }
    }
}
