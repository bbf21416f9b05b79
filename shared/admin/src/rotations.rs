//! Rotation: a key gets a new value, and the one before stays good for a while. It stays the same key, with the same meters:
//! both values are charged to one balance.
//!
//! The order is the one of every revocation: first the record says until when the value before is good, then every meter is
//! told, and only then is the value free to be another key's. Whatever is interrupted, the record still says what is left to
//! do, and the next call does it.

use aws_sdk_dynamodb::types::{AttributeValue, Delete, TransactWriteItem, Update};
use jiff::Timestamp;
use tollgate_core::id::KeyId;
use tollgate_core::key::{KeyHash, KeyValue};

use super::unpublished::Unpublished;
use super::{Admin, Error, MAX_TRIES, back_off};
use tollgate_dynamo::failure::conditional;
use tollgate_dynamo::item::ItemKey;
use tollgate_dynamo::item::key::{KeyRecord, Retiring, Sealed};
use tollgate_dynamo::item::lookup::LookupRecord;
use tollgate_dynamo::schema::{ITEM_VERSION, TTL};

/// How long the item of a value is kept beyond its time, so that who still sends it is told why it is refused.
const KEPT_SECONDS: i64 = 24 * 60 * 60;

impl Admin {
    /// Gives a key a new value. The one before is good until `until`, or not any more. When this returns, both hold
    /// everywhere. Asking again for the value that a rotation has given finishes that rotation.
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
        let hash = value.hash();
        for tries in 0..MAX_TRIES {
            back_off(tries).await;
            let before = self.key(id).await?;
            let now = self.now();
            if before.has_value(&hash) {
                // Perhaps this very rotation, asked for again because it was interrupted.
                let before = self.sync_meters(Unpublished::again(before)).await?;
                let is_current = before.hash == hash;
                return match (until, &before.retiring) {
                    (Some(_), Some(_)) | (None, None) if is_current => Ok(before),
                    (None, Some(_)) if is_current => self.end_rotation(id).await,
                    _ => Err(Error::ValueExists),
                };
            }
            if !before.enabled || before.is_expired(&hash, now) {
                return Err(Error::KeyNotActive);
            }
            match &before.retiring {
                Some(retiring) if retiring.until > now => {
                    self.sync_meters(Unpublished::again(before)).await?;
                    return Err(Error::RotationInProgress(id.clone()));
                }
                Some(_) => {
                    self.drop_retired(before).await?;
                    continue;
                }
                None => {}
            }
            let retiring = Retiring {
                hash: before.hash,
                until: until.unwrap_or(now),
            };
            let after = Unpublished::after(&before, |record| {
                record.hash = hash;
                record.sealed.clone_from(&sealed);
                record.updated = now;
                record.retiring = Some(retiring.clone());
                Ok::<_, Error>(())
            })?;
            let writes = self.rotation(&before, &after, &hash, &retiring);
            if self.transact(writes).await? {
                let after = self.sync_meters(after).await?;
                return match until {
                    Some(_) => Ok(after),
                    None => self.end_rotation(id).await,
                };
            }
            let owner: Option<LookupRecord> = self.read(&ItemKey::hash(&hash)).await?;
            if owner.is_some_and(|owner| owner.key_id != *id) {
                return Err(Error::ValueExists);
            }
        }
        Err(Error::Contended)
    }

    /// The writes of a rotation: the new value, the record, and for how long the item of the value before is kept.
    fn rotation(
        &self,
        before: &KeyRecord,
        after: &Unpublished,
        hash: &KeyHash,
        retiring: &Retiring,
    ) -> Vec<TransactWriteItem> {
        let new = self.put_new(after.value_item(hash));
        let record = self.put_in_place(after.item(), before.revision);
        let number = |number: i64| AttributeValue::N(number.to_string());
        let earlier = Update::builder()
            .table_name(&self.table)
            .set_key(Some(ItemKey::hash(&retiring.hash).attributes()))
            .update_expression("SET #ttl = :ttl, key_id = :id, v = :v")
            .condition_expression("attribute_not_exists(pk) OR key_id = :id")
            .expression_attribute_names("#ttl", TTL)
            .expression_attribute_values(":ttl", number(retiring.until.as_second() + KEPT_SECONDS))
            .expression_attribute_values(":id", AttributeValue::S(before.id.to_string()))
            .expression_attribute_values(":v", number(ITEM_VERSION.into()))
            .build()
            .expect("table, key and expression are set");
        vec![
            TransactWriteItem::builder().put(new).build(),
            TransactWriteItem::builder().put(record).build(),
            TransactWriteItem::builder().update(earlier).build(),
        ]
    }

    /// Ends the time of the value that a rotation has replaced. When this returns, it is refused everywhere, and can be
    /// another key's.
    ///
    /// # Errors
    /// [`Error::NoSuchKey`], [`Error::NoRotation`].
    pub async fn end_rotation(&self, id: &KeyId) -> Result<KeyRecord, Error> {
        for tries in 0..MAX_TRIES {
            back_off(tries).await;
            let before = self.key(id).await?;
            let Some(retiring) = &before.retiring else {
                let before = self.sync_meters(Unpublished::again(before)).await?;
                return if tries == 0 {
                    Err(Error::NoRotation)
                } else {
                    // Another call has ended it.
                    Ok(before)
                };
            };
            let now = self.now();
            if retiring.until > now {
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
            } else if let Some(record) = self.drop_retired(before).await? {
                return Ok(record);
            }
        }
        Err(Error::Contended)
    }

    /// Forgets a value whose time is over, once every meter has been told so. `None` where the record was changed meanwhile.
    async fn drop_retired(&self, before: KeyRecord) -> Result<Option<KeyRecord>, Error> {
        let before = self.sync_meters(Unpublished::again(before)).await?;
        let Some(retiring) = before.retiring.clone() else {
            return Ok(Some(before));
        };
        let after = Unpublished::after(&before, |record| {
            record.retiring = None;
            Ok::<_, Error>(())
        })?;
        let record = self.put_in_place(after.item(), before.revision);
        let mut writes = vec![TransactWriteItem::builder().put(record).build()];
        let item = ItemKey::hash(&retiring.hash);
        let owner: Option<LookupRecord> = self.read(&item).await?;
        // It may be gone by its time to live, and be another key's since.
        if owner.is_some_and(|owner| owner.key_id == before.id) {
            let delete = Delete::builder()
                .table_name(&self.table)
                .set_key(Some(item.attributes()))
                .condition_expression("key_id = :id")
                .expression_attribute_values(":id", AttributeValue::S(before.id.to_string()))
                .build()
                .expect("table and key are set");
            writes.push(TransactWriteItem::builder().delete(delete).build());
        }
        if !self.transact(writes).await? {
            return Ok(None);
        }
        Ok(Some(self.sync_meters(after).await?))
    }

    /// Deletes the item of a deleted key's value, unless the value belongs to another key by now.
    pub(super) async fn release_value(&self, id: &KeyId, hash: &KeyHash) -> Result<(), Error> {
        let deleted = self
            .client()
            .delete_item()
            .table_name(&self.table)
            .set_key(Some(ItemKey::hash(hash).attributes()))
            .condition_expression("key_id = :id")
            .expression_attribute_values(":id", AttributeValue::S(id.to_string()))
            .send()
            .await;
        conditional(deleted)?;
        Ok(())
    }
}
