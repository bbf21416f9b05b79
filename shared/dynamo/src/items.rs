//! Management's verbs on the table: reads, conditional writes, queries and transactions.
//!
//! Unlike the engine's [`Table`](crate::table::Table), whose attempts have a time limit and are retried with care, these calls
//! may be repeated: they run on a [`managing`](Connection::managing) connection with the SDK's own retries, and here they also
//! finish what DynamoDB leaves unprocessed.

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{
    DeleteRequest, KeysAndAttributes, ReturnValue, ReturnValuesOnConditionCheckFailure,
    WriteRequest,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tollgate_core::id::{KeyId, PlanId};
use tollgate_core::meter::ClosedDay;

use crate::connection::Connection;
use crate::expression::Update;
use crate::failure::{Failure, conditional, refusal};
use crate::item::usage::put_usage;
use crate::item::{Item, ItemKey, from_item, name_of};
use crate::retry::back_off;
use crate::schema::{PK, SK};

mod query;
mod write;

pub use query::{Query, Range};
pub use write::{Condition, Transacted, Write};

/// Items that one `BatchGetItem` reads.
const READS_PER_BATCH: usize = 100;
/// Items that one `BatchWriteItem` deletes.
const DELETES_PER_BATCH: usize = 25;

/// The items of a table, for callers that can wait.
#[derive(Debug)]
pub struct Items {
    connection: Connection,
    table: String,
}

/// The outcome of a conditional update.
#[derive(Debug, Clone, PartialEq)]
pub enum Updated {
    /// It was applied; the item after it.
    Applied(Item),
    /// A condition did not hold and nothing was changed; the item as it is, if there is one.
    ConditionFailed(Option<Item>),
}

impl Items {
    /// The items of `table`, reached through `connection`.
    pub fn new(connection: Connection, table: String) -> Self {
        Self { connection, table }
    }

    /// The connection they are reached through.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    fn client(&self) -> Client {
        self.connection.client()
    }

    /// Reads an item with a consistent read.
    ///
    /// # Errors
    /// [`Failure`] if DynamoDB gave no usable answer; this holds for all verbs here.
    pub async fn get(&self, key: &ItemKey) -> Result<Option<Item>, Failure> {
        let get = self.client().get_item().table_name(&self.table);
        let get = get
            .set_key(Some(key.attributes()))
            .consistent_read(true)
            .send();
        Ok(get.await?.item)
    }

    /// Reads a record with a consistent read.
    ///
    /// # Errors
    /// Also [`Failure::Corrupt`] if the item does not hold a `T`.
    pub async fn record<T: DeserializeOwned>(&self, key: &ItemKey) -> Result<Option<T>, Failure> {
        let item = self.get(key).await?;
        Ok(item.map(from_item).transpose()?)
    }

    /// Reads many items with consistent reads, in the order of `keys`. Missing items are left out.
    ///
    /// # Errors
    /// As for [`get`](Self::get).
    pub async fn get_many(&self, keys: &[ItemKey]) -> Result<Vec<Item>, Failure> {
        let mut found = HashMap::new();
        for batch in keys.chunks(READS_PER_BATCH) {
            let mut wanted: Vec<_> = batch.iter().map(ItemKey::attributes).collect();
            for attempts in 0.. {
                if wanted.is_empty() {
                    break;
                }
                back_off(attempts).await;
                let (items, unprocessed) = self.get_batch(wanted).await?;
                found.extend(items.into_iter().map(|item| (name_of(&item), item)));
                wanted = unprocessed;
            }
        }
        let items = keys.iter().filter_map(|key| found.remove(&key.to_string()));
        Ok(items.collect())
    }

    /// One `BatchGetItem`: the items found, and the keys that DynamoDB left unprocessed.
    async fn get_batch(&self, keys: Vec<Item>) -> Result<(Vec<Item>, Vec<Item>), Failure> {
        let request = KeysAndAttributes::builder()
            .set_keys(Some(keys))
            .consistent_read(true)
            .build()
            .expect("keys are set");
        let get = self
            .client()
            .batch_get_item()
            .request_items(&self.table, request)
            .send();
        let response = get.await?;
        let mut items = response.responses.unwrap_or_default();
        let mut unprocessed = response.unprocessed_keys.unwrap_or_default();
        let unprocessed = unprocessed.remove(&self.table);
        Ok((
            items.remove(&self.table).unwrap_or_default(),
            unprocessed.map(|request| request.keys).unwrap_or_default(),
        ))
    }

    /// Replaces the record at `revision`. False if the item has another revision by now.
    ///
    /// # Errors
    /// Also [`Failure::Corrupt`] if the item that is there cannot be read.
    pub async fn replace<T>(
        &self,
        key: &ItemKey,
        item: Item,
        revision: u64,
    ) -> Result<bool, Failure>
    where
        T: DeserializeOwned + Serialize + PartialEq,
    {
        let put = Write::Put(item.clone(), Condition::AtRevision(revision));
        if self.write(put).await? {
            return Ok(true);
        }
        // The SDK may have sent the write twice, and the second one met the first.
        let current: Option<T> = self.record(key).await?;
        Ok(current == Some(from_item(item)?))
    }

    /// Updates an item and returns it as it is afterwards, or as it is if a condition of `update` does not hold.
    ///
    /// # Errors
    /// As for [`get`](Self::get).
    pub async fn update(&self, key: &ItemKey, update: Update) -> Result<Updated, Failure> {
        let request = self
            .client()
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key.attributes()))
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        match update.apply(request).send().await {
            Ok(response) => Ok(Updated::Applied(response.attributes.unwrap_or_default())),
            Err(error) => match refusal(&error) {
                Some(refusal) => Ok(Updated::ConditionFailed(refusal.item().cloned())),
                None => Err(error.into()),
            },
        }
    }

    /// Deletes an item, whether or not it is there.
    ///
    /// # Errors
    /// As for [`get`](Self::get).
    pub async fn delete(&self, key: &ItemKey) -> Result<(), Failure> {
        let delete = self.client().delete_item().table_name(&self.table);
        delete.set_key(Some(key.attributes())).send().await?;
        Ok(())
    }

    /// Deletes many items; of each, only the key attributes are needed.
    ///
    /// # Errors
    /// As for [`get`](Self::get); some items may have been deleted then.
    pub async fn delete_many(&self, items: &[Item]) -> Result<(), Failure> {
        for batch in items.chunks(DELETES_PER_BATCH) {
            let mut requests: Vec<_> = batch.iter().map(delete_request).collect();
            for attempts in 0.. {
                if requests.is_empty() {
                    break;
                }
                back_off(attempts).await;
                let write = self.client().batch_write_item();
                let write = write.request_items(&self.table, requests).send();
                let mut unprocessed = write.await?.unprocessed_items.unwrap_or_default();
                requests = unprocessed.remove(&self.table).unwrap_or_default();
            }
        }
        Ok(())
    }

    /// Archives a closed day of a meter, unless as much of that day is archived already.
    ///
    /// # Errors
    /// As for [`get`](Self::get).
    pub async fn archive_day(
        &self,
        key: &KeyId,
        plan: &PlanId,
        day: &ClosedDay,
    ) -> Result<(), Failure> {
        let put = put_usage(&self.client(), &self.table, key, plan, day);
        conditional(put.send().await)?;
        Ok(())
    }
}

fn delete_request(item: &Item) -> WriteRequest {
    let key = [PK, SK].map(|name| Some((name.to_owned(), item.get(name)?.clone())));
    let request = DeleteRequest::builder().set_key(Some(key.into_iter().flatten().collect()));
    let request = request.build().expect("the key is set");
    WriteRequest::builder().delete_request(request).build()
}
