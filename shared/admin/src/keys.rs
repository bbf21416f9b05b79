//! API keys: creating, reading and changing them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use tollgate_core::id::{KeyId, PlanId};
use tollgate_core::key::KeyValue;
use tollgate_core::terms::{Override, Restriction};

use crate::ids::{is_id, new_id};
use crate::meters::new_meter;
use crate::unpublished::Unpublished;
use crate::{Admin, Error, until_settled};
use tollgate_dynamo::item::key::{KeyRecord, Sealed};
use tollgate_dynamo::item::lookup::LookupRecord;
use tollgate_dynamo::item::plan::PlanRecord;
use tollgate_dynamo::item::{Item, ItemKey};
use tollgate_dynamo::items::Write;

mod deletion;
pub(crate) mod list;

pub use crate::ids::generate_value;
pub use list::KeyFilter;
use list::item_of;

/// A key to create.
#[derive(Debug, Clone, Default)]
pub struct NewKey {
    /// Its value; `None` to generate one.
    pub value: Option<KeyValue>,
    /// Its encrypted value, if the stack keeps values.
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
    /// The time from which requests with it are refused.
    pub expires: Option<Timestamp>,
    /// The methods that it may call; `None` for all that its plans cover.
    pub restriction: Option<Restriction>,
    /// Limits that replace those of its plans, by plan id.
    pub overrides: BTreeMap<PlanId, Override>,
    /// API stages by which tools find it, `restApiId/stageName`.
    pub stage_keys: Vec<String>,
}

impl Admin {
    /// Creates a key. Its value is returned here and never again: the table stores only the hash, and the encrypted value in
    /// `new` if there is one.
    ///
    /// # Errors
    /// [`Error::ValueExists`].
    pub async fn create_key(&self, new: NewKey) -> Result<(KeyRecord, KeyValue), Error> {
        let value = new.value.clone().unwrap_or_else(generate_value);
        let (record, items) = self.new_key(new, &value, &[]);
        let writes = items.into_iter().map(Write::new_item);
        if self.transact(writes.collect()).await? {
            Ok((record, value))
        } else {
            Err(Error::ValueExists)
        }
    }

    /// A key that is not written yet: its record, and all its items.
    pub(crate) fn new_key(
        &self,
        new: NewKey,
        value: &KeyValue,
        plans: &[PlanRecord],
    ) -> (KeyRecord, Vec<Item>) {
        let now = self.now();
        let record = KeyRecord {
            id: new_id().into(),
            revision: 1,
            hash: value.hash(),
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
        let lookup = LookupRecord::item(&record, &record.hash);
        let mut items = vec![lookup, item_of(&record)];
        items.extend(plans.iter().map(|plan| new_meter(&record, plan, now)));
        (record, items)
    }

    /// Reads a key.
    ///
    /// # Errors
    /// [`Error::NoSuchKey`].
    pub async fn key(&self, id: &KeyId) -> Result<KeyRecord, Error> {
        self.any_key(id)
            .await?
            .filter(|record| !record.deleted)
            .ok_or(Error::NoSuchKey)
    }

    /// Reads a key, also one that is being deleted.
    pub(crate) async fn any_key(&self, id: &KeyId) -> Result<Option<KeyRecord>, Error> {
        if !is_id(id.as_str()) {
            return Ok(None);
        }
        Ok(self.items.record(&ItemKey::key(id)).await?)
    }

    /// Changes a key. When this returns, every meter knows the change: a revocation is final.
    ///
    /// # Errors
    /// [`Error::NoSuchKey`], [`Error::Contended`], or the error of `change`, in which case nothing is changed.
    pub async fn update_key<E: From<Error>>(
        &self,
        id: &KeyId,
        change: impl Fn(&mut KeyRecord) -> Result<(), E>,
    ) -> Result<KeyRecord, E> {
        let changed = self.change_key(id, |record| {
            change(record)?;
            record.updated = self.now();
            Ok::<_, E>(())
        });
        Ok(self.sync_meters(changed.await?).await?)
    }

    /// Changes a key's record, and no meter yet.
    pub(crate) async fn change_key<E: From<Error>>(
        &self,
        id: &KeyId,
        change: impl Fn(&mut KeyRecord) -> Result<(), E>,
    ) -> Result<Unpublished, E> {
        until_settled(|| async {
            let before = self.key(id).await?;
            self.replace_key(before, &change).await
        })
        .await
    }

    /// Changes a key's record if it still is as it was read; `None` if it is not.
    pub(crate) async fn replace_key<E: From<Error>>(
        &self,
        before: KeyRecord,
        change: impl Fn(&mut KeyRecord) -> Result<(), E>,
    ) -> Result<Option<Unpublished>, E> {
        let after = Unpublished::after(&before, change)?;
        let key = ItemKey::key(&before.id);
        let replaced = self
            .items
            .replace::<KeyRecord>(&key, after.item(), before.revision)
            .await
            .map_err(Error::from)?;
        Ok(replaced.then_some(after))
    }
}
