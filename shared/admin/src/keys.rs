//! API keys.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::{AttributeValue, DeleteRequest, TransactWriteItem, WriteRequest};
use jiff::Timestamp;
use tollgate_core::id::{KeyId, PlanId};
use tollgate_core::key::{ENTROPY_BYTES, KeyValue};
use tollgate_core::terms::{Override, Restriction};

use super::listing::{List, by_name, by_time, shard_of};
use super::meters::new_meter;
use super::unpublished::Unpublished;
use super::{Admin, Error, MAX_TRIES, Page, PageRequest, back_off, is_id, new_id};
use tollgate_dynamo::failure::Failure;
use tollgate_dynamo::item::key::{KeyRecord, Sealed};
use tollgate_dynamo::item::lookup::LookupRecord;
use tollgate_dynamo::item::plan::PlanRecord;
use tollgate_dynamo::item::{Item, ItemKey, to_item};
use tollgate_dynamo::schema::{BY_CREATED, BY_CUSTOMER, BY_NAME, PK, SK};

/// Bytes of a name that the index holds; a DynamoDB sort key has 1024 at most.
const NAME_BYTES: usize = 900;

/// A key to be made.
#[derive(Debug, Clone, Default)]
pub struct NewKey {
    /// Its value; one is generated where there is none.
    pub value: Option<KeyValue>,
    /// Its value, encrypted, where values are kept.
    pub sealed: Option<Sealed>,
    /// Its name.
    pub name: Option<String>,
    /// Its description.
    pub description: Option<String>,
    /// The customer it belongs to.
    pub customer_id: Option<String>,
    /// Whether requests with it may pass.
    pub enabled: bool,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// From when on requests with it are refused.
    pub expires: Option<Timestamp>,
    /// The methods that it may call; `None` for all that its plans open.
    pub restriction: Option<Restriction>,
    /// Limits in place of its plans', by plan id.
    pub overrides: BTreeMap<PlanId, Override>,
    /// API stages that it is to be found by, `restApiId/stageName`.
    pub stage_keys: Vec<String>,
}

/// Which keys a list shows, the newest first; where more than a thousand names start as asked for, in the order of names.
#[derive(Debug, Clone, Default)]
pub struct KeyFilter {
    /// Only names that start with this, case-sensitive.
    pub name_prefix: Option<String>,
    /// Only keys of this customer.
    pub customer_id: Option<String>,
}

impl KeyFilter {
    fn list(&self) -> List {
        match (&self.customer_id, &self.name_prefix) {
            (Some(customer), _) => List::newest_first(BY_CUSTOMER, customer_list(customer)),
            (None, Some(prefix)) => List::named("NAMES".to_owned(), prefix_of(prefix, NAME_BYTES)),
            (None, None) => List::newest_first(BY_CREATED, "KEYS".to_owned()),
        }
    }

    fn shows(&self, record: &KeyRecord) -> bool {
        let starts = |prefix: &String| {
            record
                .name
                .as_ref()
                .is_some_and(|name| name.starts_with(prefix))
        };
        !record.deleted
            && self.name_prefix.as_ref().is_none_or(starts)
            && (self.customer_id.is_none() || self.customer_id == record.customer_id)
    }
}

impl Admin {
    /// Makes a key. The value is handed out here and never again: only its hash is kept, and what `new` has sealed.
    ///
    /// # Errors
    /// [`Error::ValueExists`].
    pub async fn create_key(&self, new: NewKey) -> Result<(KeyRecord, KeyValue), Error> {
        let value = new.value.clone().unwrap_or_else(generate_value);
        let (record, items) = self.new_key(new, &value, &[]);
        let puts = items.into_iter().map(|item| self.put_new(item));
        let puts = puts.map(|put| TransactWriteItem::builder().put(put).build());
        if self.transact(puts.collect()).await? {
            Ok((record, value))
        } else {
            Err(Error::ValueExists)
        }
    }

    /// A key that is not written yet: its record, and all its items.
    pub(super) fn new_key(
        &self,
        new: NewKey,
        value: &KeyValue,
        plans: &[PlanRecord],
    ) -> (KeyRecord, Vec<Item>) {
        let hash = value.hash();
        let now = self.now();
        let record = KeyRecord {
            id: new_id().into(),
            revision: 1,
            hash,
            enabled: new.enabled,
            deleted: false,
            name: new.name,
            description: new.description,
            customer_id: new.customer_id,
            plans: plans.iter().map(|plan| plan.id.clone()).collect(),
            retired_plans: Vec::new(),
            tags: new.tags,
            sealed: new.sealed,
            expires: new.expires,
            restriction: new.restriction,
            overrides: new.overrides,
            moving: None,
            moved: None,
            retiring: None,
            stage_keys: new.stage_keys,
            created: now,
            updated: now,
        };
        let owner = LookupRecord {
            key_id: record.id.clone(),
            plans: record.plans.clone(),
            ttl: None,
        };
        let mut items = vec![to_item(&ItemKey::hash(&hash), &owner), item_of(&record)];
        items.extend(plans.iter().map(|plan| new_meter(&record, plan, now)));
        (record, items)
    }

    /// Makes all of these writes or none, trying again where others are at work on the same items. False where a condition
    /// does not hold.
    pub(super) async fn transact(&self, writes: Vec<TransactWriteItem>) -> Result<bool, Error> {
        for tries in 0..MAX_TRIES {
            back_off(tries).await;
            let written = self
                .client()
                .transact_write_items()
                .set_transact_items(Some(writes.clone()))
                .send()
                .await;
            match written {
                Ok(_) => return Ok(true),
                Err(error) if is_cancelled_by(&error, "ConditionalCheckFailed") => {
                    return Ok(false);
                }
                Err(error) if is_cancelled_by(&error, "ValidationError") => {
                    return Err(Error::TooLarge);
                }
                Err(error)
                    if is_cancelled_by(&error, "TransactionConflict")
                        || is_cancelled_by(&error, "ThrottlingError") => {}
                Err(error) => return Err(Failure::from(error).into()),
            }
        }
        Err(Error::Contended)
    }

    /// A key.
    ///
    /// # Errors
    /// [`Error::NoSuchKey`].
    pub async fn key(&self, id: &KeyId) -> Result<KeyRecord, Error> {
        self.any_key(id)
            .await?
            .filter(|record| !record.deleted)
            .ok_or(Error::NoSuchKey)
    }

    pub(super) async fn any_key(&self, id: &KeyId) -> Result<Option<KeyRecord>, Error> {
        if !is_id(id.as_str()) {
            return Ok(None);
        }
        self.read(&ItemKey::key(id)).await
    }

    /// A page of keys.
    ///
    /// # Errors
    /// [`Error::BadPosition`].
    pub async fn keys(
        &self,
        filter: &KeyFilter,
        page: &PageRequest,
    ) -> Result<Page<KeyRecord>, Error> {
        let found = self.page(&filter.list(), page).await?;
        let keys: Vec<_> = found.items.iter().map(ItemKey::key).collect();
        let mut records: Vec<KeyRecord> = self.read_many(&keys).await?;
        records.retain(|record| filter.shows(record));
        Ok(Page {
            items: records,
            position: found.position,
        })
    }

    /// Changes a key. When this returns, every meter knows: whatever was revoked stays revoked.
    ///
    /// # Errors
    /// [`Error::NoSuchKey`], [`Error::Contended`], or what `change` says; then nothing is changed.
    pub async fn update_key<E: From<Error>>(
        &self,
        id: &KeyId,
        change: impl Fn(&mut KeyRecord) -> Result<(), E>,
    ) -> Result<KeyRecord, E> {
        let record = self
            .change_key(id, |record| {
                change(record)?;
                record.updated = self.now();
                Ok::<_, E>(())
            })
            .await?;
        Ok(self.sync_meters(record).await?)
    }

    /// Changes a key's record, and no meter yet.
    pub(super) async fn change_key<E: From<Error>>(
        &self,
        id: &KeyId,
        change: impl Fn(&mut KeyRecord) -> Result<(), E>,
    ) -> Result<Unpublished, E> {
        for tries in 0..MAX_TRIES {
            back_off(tries).await;
            let before = self.key(id).await?;
            if let Some(after) = self.replace_key(before, &change).await? {
                return Ok(after);
            }
        }
        Err(Error::Contended.into())
    }

    /// Changes a key's record that is still as it was read; `None` where it is not.
    pub(super) async fn replace_key<E: From<Error>>(
        &self,
        before: KeyRecord,
        change: impl Fn(&mut KeyRecord) -> Result<(), E>,
    ) -> Result<Option<Unpublished>, E> {
        let after = Unpublished::after(&before, change)?;
        let key = ItemKey::key(&before.id);
        let replaced = self
            .replace::<KeyRecord>(&key, after.item(), before.revision)
            .await?;
        Ok(replaced.then_some(after))
    }

    /// Deletes a key: first it is revoked everywhere, then what it leaves is swept. A deletion that was interrupted is
    /// taken up by the next call.
    ///
    /// # Errors
    /// [`Error::NoSuchKey`].
    pub async fn delete_key(&self, id: &KeyId) -> Result<(), Error> {
        let found = match self.any_key(id).await {
            Err(error) if error.is_damage() => return self.delete_damaged(id).await,
            found => found?.ok_or(Error::NoSuchKey)?,
        };
        if found.revision == u64::MAX {
            return self.delete_damaged(id).await;
        }
        let change = if found.deleted {
            Unpublished::again(found)
        } else {
            self.change_key(id, |record| {
                record.deleted = true;
                record.enabled = false;
                Ok::<_, Error>(())
            })
            .await?
        };
        let record = self.sync_meters(change).await?;
        // The value can be used for another key from here on.
        let retiring = record.retiring.iter().map(|retiring| &retiring.hash);
        for hash in retiring.chain([&record.hash]) {
            self.release_value(id, hash).await?;
        }
        self.sweep_usage(id).await?;
        self.delete_item(&ItemKey::key(id)).await
    }

    pub(super) async fn sweep_usage(&self, id: &KeyId) -> Result<(), Error> {
        let mut pages = self
            .client()
            .query()
            .table_name(&self.table)
            .key_condition_expression("pk = :pk AND begins_with(sk, :usage)")
            .expression_attribute_values(":pk", AttributeValue::S(ItemKey::key(id).pk))
            .expression_attribute_values(":usage", AttributeValue::S("USAGE#".to_owned()))
            .projection_expression("pk, sk")
            .into_paginator()
            .send();
        while let Some(page) = pages.next().await {
            let items = page.map_err(Failure::from)?.items.unwrap_or_default();
            for chunk in items.chunks(25) {
                self.delete_many(chunk).await?;
            }
        }
        Ok(())
    }

    async fn delete_many(&self, items: &[Item]) -> Result<(), Error> {
        let delete = |item: &Item| {
            let keys = [PK, SK].map(|name| Some((name.to_owned(), item.get(name)?.clone())));
            let request =
                DeleteRequest::builder().set_key(Some(keys.into_iter().flatten().collect()));
            let request = request.build().expect("the key is set");
            WriteRequest::builder().delete_request(request).build()
        };
        let mut requests: Vec<_> = items.iter().map(delete).collect();
        for tries in 0.. {
            if requests.is_empty() {
                break;
            }
            back_off(tries).await;
            let answer = self
                .client()
                .batch_write_item()
                .request_items(&self.table, requests)
                .send()
                .await
                .map_err(Failure::from)?;
            let left = answer
                .unprocessed_items
                .unwrap_or_default()
                .remove(&self.table);
            requests = left.unwrap_or_default();
        }
        Ok(())
    }
}

/// Whether a transaction was cancelled for this reason.
fn is_cancelled_by<R>(
    error: &aws_sdk_dynamodb::error::SdkError<
        aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError,
        R,
    >,
    code: &str,
) -> bool {
    use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError::TransactionCanceledException;
    matches!(
        error.as_service_error(),
        Some(TransactionCanceledException(cancelled)) if cancelled
            .cancellation_reasons()
            .iter()
            .any(|reason| reason.code() == Some(code))
    )
}

/// A key's item with what the lists go by. A deleted key is in no list.
pub(super) fn item_of(record: &KeyRecord) -> Item {
    let mut item = to_item(&ItemKey::key(&record.id), record);
    if record.deleted {
        return item;
    }
    let id = record.id.as_str();
    let time = by_time(record.created, id);
    let mut list = |index: tollgate_dynamo::schema::Index, partition: &str, sort: String| {
        item.insert(
            index.pk.to_owned(),
            AttributeValue::S(shard_of(partition, id)),
        );
        item.insert(index.sk.to_owned(), AttributeValue::S(sort));
    };
    list(BY_CREATED, "KEYS", time.clone());
    if let Some(name) = &record.name {
        list(
            BY_NAME,
            "NAMES",
            by_name(prefix_of(name, NAME_BYTES), &time),
        );
    }
    if let Some(customer) = &record.customer_id {
        list(BY_CUSTOMER, &customer_list(customer), time);
    }
    item
}

fn customer_list(customer: &str) -> String {
    format!("CUSTOMER#{customer}")
}

/// As much of a name as an index holds.
pub(super) fn prefix_of(name: &str, bytes: usize) -> &str {
    &name[..name.floor_char_boundary(bytes)]
}

/// A new value, of the operating system's random bytes.
pub fn generate_value() -> KeyValue {
    let mut entropy = [0; ENTROPY_BYTES];
    getrandom::fill(&mut entropy).expect("the operating system gives random bytes");
    KeyValue::generate(entropy)
}
