//! Revoking keys whose record cannot be read, and meters that cannot be updated.
//!
//! Nobody knows the revision under which a damaged record was last published, so the meters cannot be given a later one. They
//! are blocked instead: the revision under which they may be charged is removed, and what they counted is archived. If the key
//! turns out to be good, its next publication continues with what they have spent.

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future;
use tollgate_core::id::{KeyId, PlanId};

use crate::listing::string;
use crate::meters::retire;
use crate::unpublished::Unpublished;
use crate::{Admin, Error, logged};
use tollgate_dynamo::expression::Update;
use tollgate_dynamo::item::key::KeyRecord;
use tollgate_dynamo::item::meter::{self, KEY_REVISION};
use tollgate_dynamo::item::{Item, ItemKey};
use tollgate_dynamo::items::{Condition, Updated, Write};
use tollgate_dynamo::schema::PK;

/// The attributes of a key's item that are read or changed by name here.
const REVISION: &str = "revision";
const ENABLED: &str = "enabled";
const DELETED: &str = "deleted";
const PLANS: &str = "plans";
const HASH: &str = "hash";
const RETIRING: &str = "retiring";

impl Admin {
    /// Disables a key whose record cannot be read. When this returns, also with an error, the key is refused everywhere. The
    /// record is returned if it can be read once `enabled` is set.
    ///
    /// # Errors
    /// [`Error::NoSuchKey`]; [`Error::Store`] with the damage of the record, once the key is blocked.
    pub async fn disable_damaged(&self, id: &KeyId) -> Result<KeyRecord, Error> {
        let item = self.key_item(id).await?;
        let update = set_flag(ENABLED, false);
        self.change_key_item(id, &item, update).await?;
        self.block_all_meters(id).await?;
        let record = self.key(id).await?;
        self.sync_meters(Unpublished::again(record)).await
    }

    /// Takes a key whose record cannot be read out of a plan.
    pub(crate) async fn unlink_damaged(&self, plan_id: &PlanId, id: &KeyId) -> Result<(), Error> {
        let item = self.key_item(id).await?;
        let plans = item.get(PLANS).and_then(|plans| plans.as_l().ok());
        if let Some(plans) = plans {
            let is_other =
                |plan: &&AttributeValue| !plan.as_s().is_ok_and(|plan| plan == plan_id.as_str());
            let others = plans.iter().filter(is_other).cloned().collect();
            let before = AttributeValue::L(plans.clone());
            let mut update = Update::default();
            let (name, before) = (update.name(PLANS), update.value(before));
            update.condition(format!("{name} = {before}"));
            let others = update.value(AttributeValue::L(others));
            update.set(&name, others);
            self.change_key_item(id, &item, update).await?;
        }
        self.block_meter(id, plan_id).await
    }

    /// Deletes a key whose record cannot be read, with all that its item names.
    pub(crate) async fn delete_damaged(&self, id: &KeyId) -> Result<(), Error> {
        let item = self.key_item(id).await?;
        let update = set_flag(DELETED, true);
        self.change_key_item(id, &item, update).await?;
        self.block_all_meters(id).await?;
        let retiring = item.get(RETIRING).and_then(|retiring| retiring.as_m().ok());
        let retiring = retiring.and_then(|retiring| string(retiring, HASH));
        let hashes = [string(&item, HASH), retiring].into_iter().flatten();
        let hashes = hashes.filter_map(|hash| hash.parse().ok());
        self.delete_items(id, hashes.collect()).await
    }

    async fn key_item(&self, id: &KeyId) -> Result<Item, Error> {
        let item = self.items.get(&ItemKey::key(id)).await?;
        item.ok_or(Error::NoSuchKey)
    }

    /// Changes a key's item, and gives it a revision later than all that are known, which no authorizer has read.
    async fn change_key_item(
        &self,
        id: &KeyId,
        before: &Item,
        mut update: Update,
    ) -> Result<(), Error> {
        let pk = update.name(PK);
        update.condition(format!("attribute_exists({pk})"));
        let revision = update.name(REVISION);
        match before.get(REVISION) {
            Some(known) => {
                let known = update.value(known.clone());
                update.condition(format!("{revision} = {known}"));
            }
            None => update.condition(format!("attribute_not_exists({revision})")),
        }
        let known = before.get(REVISION);
        let known = known.and_then(|known| known.as_n().ok()?.parse().ok());
        let next = update.number(self.next_revision(id, known).await?);
        update.set(&revision, next);
        if self
            .items
            .write(Write::Update(ItemKey::key(id), update))
            .await?
        {
            Ok(())
        } else {
            Err(Error::Contended)
        }
    }

    /// The revision after the latest that the key or a meter knows, leaving out those that have none after them.
    async fn next_revision(&self, id: &KeyId, known: Option<u64>) -> Result<u64, Error> {
        let meters = self.meters_of(id).await?;
        let known = meters
            .values()
            .filter_map(|meter| meter.revision)
            .chain(known);
        let next = known.filter_map(|known| known.checked_add(1)).max();
        Ok(next.unwrap_or(1))
    }

    async fn block_all_meters(&self, id: &KeyId) -> Result<(), Error> {
        let meters = self.meters_of(id).await?;
        let all = meters.keys().map(|plan| self.block_meter(id, plan));
        future::try_join_all(all).await?;
        Ok(())
    }

    /// Removes the revision under which a meter may be charged, and archives what it counted. The meter stays, retired: the
    /// key's next publication continues with what was spent. A meter that cannot be read is deleted.
    pub(crate) async fn block_meter(&self, key_id: &KeyId, plan_id: &PlanId) -> Result<(), Error> {
        let key = ItemKey::meter(key_id, plan_id);
        let mut block = Update::default();
        let (pk, revision) = (block.name(PK), block.name(KEY_REVISION));
        block.condition(format!("attribute_exists({pk})"));
        block.remove(revision);
        let Updated::Applied(mut blocked) = self.items.update(&key, block).await? else {
            return Ok(());
        };
        // Without a revision it would not be read. The number does not matter: it says nothing about what was counted.
        blocked.insert(KEY_REVISION.to_owned(), AttributeValue::N("0".to_owned()));
        // Neither of these writes applies if a publication has brought the meter in line meanwhile.
        let write = match logged(meter::read(&blocked)).flatten() {
            None => Write::Delete(key, Condition::Unchargeable),
            Some(meter) => {
                self.archive_days(key_id, plan_id, &meter, None).await?;
                let mut update = Update::default();
                let revision = update.name(KEY_REVISION);
                update.condition(format!("attribute_not_exists({revision})"));
                retire(&mut update, Some(&meter), self.now());
                Write::Update(key, update)
            }
        };
        self.items.write(write).await?;
        Ok(())
    }
}

fn set_flag(name: &str, flag: bool) -> Update {
    let mut update = Update::default();
    let (name, flag) = (update.name(name), update.value(AttributeValue::Bool(flag)));
    update.set(&name, flag);
    update
}
