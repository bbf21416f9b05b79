//! Keys, plans, links and usage, as the management API needs them.
//!
//! The order of writes is what makes a revocation final: first the key's record, under the condition that its revision
//! is the one that was read; then every meter is told the new revision; only then is the call answered. From then on
//! no charge that was prepared under an older revision can be made.

use std::time::Instant;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes, Put};
use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tollgate_dynamo::connection::Connection;
use tollgate_dynamo::failure::{Corrupt, Failure, conditional};
use tollgate_dynamo::item::{Item, ItemKey, from_item};

pub mod capacity;
mod damaged;
mod error;
pub mod grants;
pub mod imports;
pub mod input;
pub mod keys;
pub mod links;
mod listing;
mod meters;
pub mod moves;
pub mod plans;
pub mod rotations;
mod unpublished;
pub mod usage;

pub use error::Error;
pub use listing::{Page, PageRequest};

/// Tries of a change that others keep getting ahead of.
const MAX_TRIES: u32 = 12;
/// Characters of an id at most; ours have ten.
const MAX_ID: usize = 64;

/// Keys, plans, links and usage of one table.
#[derive(Debug)]
pub struct Admin {
    connection: Connection,
    table: String,
}

impl Admin {
    /// Of the table `table` through `connection`.
    pub fn new(connection: Connection, table: String) -> Self {
        Self { connection, table }
    }

    /// The time, by the store's clock where ours is off.
    pub fn now(&self) -> Timestamp {
        self.connection.clock().now()
    }

    fn client(&self) -> Client {
        self.connection.client()
    }

    async fn read<T: DeserializeOwned>(&self, key: &ItemKey) -> Result<Option<T>, Error> {
        let item = self.read_item(key).await?;
        Ok(item.map(from_item).transpose()?)
    }

    async fn read_item(&self, key: &ItemKey) -> Result<Option<Item>, Error> {
        let answer = self
            .client()
            .get_item()
            .table_name(&self.table)
            .set_key(Some(key.attributes()))
            .consistent_read(true)
            .send()
            .await
            .map_err(Failure::from)?;
        Ok(answer.item)
    }

    /// Reads many records at once, in the order asked for. Missing ones are left out, and so, with a line in the log,
    /// are damaged ones: one bad item must not hide a whole list.
    async fn read_many<T: DeserializeOwned>(&self, keys: &[ItemKey]) -> Result<Vec<T>, Error> {
        let items = self.read_items(keys).await?.into_iter();
        Ok(items.filter_map(|item| logged(from_item(item))).collect())
    }

    /// Reads many items at once, in the order asked for. Missing ones are left out.
    async fn read_items(&self, keys: &[ItemKey]) -> Result<Vec<Item>, Error> {
        let mut found = std::collections::HashMap::new();
        for chunk in keys.chunks(100) {
            let mut wanted: Vec<_> = chunk.iter().map(ItemKey::attributes).collect();
            for tries in 0.. {
                if wanted.is_empty() {
                    break;
                }
                back_off(tries).await;
                let request = KeysAndAttributes::builder()
                    .set_keys(Some(wanted))
                    .consistent_read(true)
                    .build()
                    .expect("keys are set");
                let answer = self
                    .client()
                    .batch_get_item()
                    .request_items(&self.table, request)
                    .send()
                    .await
                    .map_err(Failure::from)?;
                let items = answer.responses.unwrap_or_default().remove(&self.table);
                for item in items.unwrap_or_default() {
                    found.insert(tollgate_dynamo::item::name_of(&item), item);
                }
                let left = answer
                    .unprocessed_keys
                    .unwrap_or_default()
                    .remove(&self.table);
                wanted = left.map(|left| left.keys).unwrap_or_default();
            }
        }
        let items = keys.iter().filter_map(|key| found.remove(&key.to_string()));
        Ok(items.collect())
    }

    /// Puts an item in the place of the one at `revision`. False where that one is not there any more.
    async fn replace<T>(&self, key: &ItemKey, item: Item, revision: u64) -> Result<bool, Error>
    where
        T: DeserializeOwned + Serialize + PartialEq,
    {
        let put = self.put_in_place(item.clone(), revision);
        let put = self
            .client()
            .put_item()
            .table_name(put.table_name)
            .set_item(Some(put.item))
            .set_condition_expression(put.condition_expression)
            .set_expression_attribute_names(put.expression_attribute_names)
            .set_expression_attribute_values(put.expression_attribute_values)
            .send()
            .await;
        if conditional(put)?.is_some() {
            return Ok(true);
        }
        // The SDK may have tried twice and met its own first try.
        let there: Option<T> = self.read(key).await?;
        Ok(there == Some(from_item(item)?))
    }

    /// Puts a new item under a random id. That it is there already can only mean that the SDK tried twice.
    async fn put_once(&self, item: Item) -> Result<(), Error> {
        let put = self
            .client()
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(pk)")
            .send()
            .await;
        conditional(put)?;
        Ok(())
    }

    async fn delete_item(&self, key: &ItemKey) -> Result<(), Error> {
        self.client()
            .delete_item()
            .table_name(&self.table)
            .set_key(Some(key.attributes()))
            .send()
            .await
            .map_err(Failure::from)?;
        Ok(())
    }

    /// A put that passes only in the place of the item at `revision`.
    fn put_in_place(&self, item: Item, revision: u64) -> Put {
        Put::builder()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression("#revision = :known")
            .expression_attribute_names("#revision", "revision")
            .expression_attribute_values(":known", AttributeValue::N(revision.to_string()))
            .build()
            .expect("table and item are set")
    }

    /// A put that passes only where nothing is.
    fn put_new(&self, item: Item) -> Put {
        Put::builder()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(pk)")
            .build()
            .expect("table and item are set")
    }
}

fn logged<T>(outcome: Result<T, Corrupt>) -> Option<T> {
    outcome
        .inspect_err(|damaged| tracing::error!(%damaged, "left out of a list"))
        .ok()
}

/// Whether more may be begun.
fn is_in_time(until: Option<Instant>) -> bool {
    until.is_none_or(|until| Instant::now() < until)
}

/// Waits before a try that others got ahead of: longer each time, and not all alike.
async fn back_off(tries: u32) {
    if tries > 0 {
        let wait = u64::from(tries.min(100)) * fastrand::u64(5..15);
        tokio::time::sleep(std::time::Duration::from_millis(wait)).await;
    }
}

/// Whether a text can be an id at all. What cannot is unknown; DynamoDB would refuse to look for it.
fn is_id(text: &str) -> bool {
    (1..=MAX_ID).contains(&text.len())
}

/// A new id: ten characters of lower-case base 36, as API Gateway's are.
fn new_id() -> String {
    const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let mut random = getrandom::u64().expect("the operating system gives random bytes");
    let digits = (0..10).map(|_| {
        let digit = DIGITS[usize::try_from(random % 36).unwrap_or(0)];
        random /= 36;
        char::from(digit)
    });
    digits.collect()
}
