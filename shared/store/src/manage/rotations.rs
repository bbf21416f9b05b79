//! Rotation: a key gets a new value, and the one before stays good for a while. It stays the same key, with the same meters:
//! both values are charged to one balance.

use aws_sdk_dynamodb::types::{AttributeValue, Delete, TransactWriteItem, Update};
use jiff::Timestamp;
use tollgate_core::key::KeyValue;

use super::keys::item_of;
use super::{Error, MAX_TRIES, Manager, back_off};
use crate::failure::conditional;
use crate::record::{HashRecord, ItemKey, KeyRecord, Retiring, Sealed, to_item};
use crate::schema::TTL;

/// How long the item of a value is kept beyond its time, so that who still sends it is told why it is refused.
const KEPT_SECONDS: i64 = 24 * 60 * 60;

impl Manager {
    /// Gives a key a new value. The one before is good until `until`, or not any more. When this returns, both hold
    /// everywhere.
    ///
    /// # Errors
    /// [`Error::NoSuchKey`], [`Error::ValueExists`], [`Error::RotatesDisabled`], [`Error::RotatesAlready`].
    pub async fn rotate_key(
        &self,
        id: &str,
        value: &KeyValue,
        sealed: Option<Sealed>,
        until: Option<Timestamp>,
    ) -> Result<KeyRecord, Error> {
        let hash = value.hash().to_string();
        for tries in 0..MAX_TRIES {
            back_off(tries).await;
            let before = self.key(id).await?;
            let now = self.now();
            if before.hash == hash && tries > 0 {
                // An earlier try was made after all.
                self.publish(&before).await?;
                return Ok(before);
            }
            if before.has_value(&hash) {
                return Err(Error::ValueExists);
            }
            if !before.enabled {
                return Err(Error::RotatesDisabled);
            }
            let good = |retiring: &&Retiring| retiring.until > now.as_millisecond();
            if before.retiring.as_ref().is_some_and(|it| good(&it)) {
                return Err(Error::RotatesAlready(id.to_owned()));
            }
            let after = KeyRecord {
                revision: before.revision + 1,
                hash: hash.clone(),
                sealed: sealed.clone(),
                updated: now.as_millisecond(),
                retiring: until.map(|until| Retiring {
                    hash: before.hash.clone(),
                    until: until.as_millisecond(),
                }),
                ..before.clone()
            };
            if self.transact(self.rotation(&before, &after)).await? {
                self.publish(&after).await?;
                if let Some(over) = &before.retiring {
                    self.release_value(id, &over.hash).await?;
                }
                return Ok(after);
            }
            let owner: Option<HashRecord> = self.read(&ItemKey::hash(&hash)).await?;
            if owner.is_some_and(|owner| owner.key_id != id) {
                return Err(Error::ValueExists);
            }
        }
        Err(Error::Contended)
    }

    /// The writes of a rotation: the new value, the record, and what becomes of the value before.
    fn rotation(&self, before: &KeyRecord, after: &KeyRecord) -> Vec<TransactWriteItem> {
        let owner = HashRecord {
            key_id: after.id.clone(),
            plans: after.plans.clone(),
        };
        let new = self.put_new(to_item(&ItemKey::hash(&after.hash), &owner));
        let record = self.put_in_place(item_of(after), before.revision);
        let earlier = ItemKey::hash(&before.hash).attributes();
        let earlier = if let Some(retiring) = &after.retiring {
            let ttl = retiring.until / 1000 + KEPT_SECONDS;
            let keep = Update::builder()
                .table_name(&self.table)
                .set_key(Some(earlier))
                .update_expression("SET #ttl = :ttl")
                .condition_expression("key_id = :id")
                .expression_attribute_names("#ttl", TTL)
                .expression_attribute_values(":ttl", AttributeValue::N(ttl.to_string()))
                .expression_attribute_values(":id", AttributeValue::S(after.id.clone()))
                .build()
                .expect("table, key and expression are set");
            TransactWriteItem::builder().update(keep)
        } else {
            let delete = Delete::builder()
                .table_name(&self.table)
                .set_key(Some(earlier))
                .build()
                .expect("table and key are set");
            TransactWriteItem::builder().delete(delete)
        };
        vec![
            TransactWriteItem::builder().put(new).build(),
            TransactWriteItem::builder().put(record).build(),
            earlier.build(),
        ]
    }

    /// Ends the time of the value that a rotation has replaced. When this returns, it is refused everywhere.
    ///
    /// # Errors
    /// [`Error::NoSuchKey`], [`Error::NoRotation`].
    pub async fn end_rotation(&self, id: &str) -> Result<KeyRecord, Error> {
        let before = self.key(id).await?;
        let Some(retiring) = before.retiring else {
            return Err(Error::NoRotation);
        };
        let record = self
            .update_key(id, |record| {
                // Another rotation may have begun since; it is not the one to end.
                if record.retiring.as_ref() == Some(&retiring) {
                    record.retiring = None;
                }
                Ok::<_, Error>(())
            })
            .await?;
        self.release_value(id, &retiring.hash).await?;
        Ok(record)
    }

    /// Deletes the item of a value, unless the value belongs to another key by now.
    pub(super) async fn release_value(&self, id: &str, hash: &str) -> Result<(), Error> {
        let deleted = self
            .client()
            .delete_item()
            .table_name(&self.table)
            .set_key(Some(ItemKey::hash(hash).attributes()))
            .condition_expression("key_id = :id")
            .expression_attribute_values(":id", AttributeValue::S(id.to_owned()))
            .send()
            .await;
        conditional(deleted)?;
        Ok(())
    }
}
