//! Revoking what cannot be read: a key whose record is damaged has to be stopped all the same, and so has a meter that nothing
//! can be told to.
//!
//! Nobody knows the revision under which a damaged record was last published, so the meters cannot be told a later one. They
//! are uprooted instead: what says under which revision they may be charged is taken away, and what they counted is written
//! out. Should the key turn out to be good, its next publication goes on with what they have spent.

use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};
use futures_util::future;

use super::listing::string;
use super::meters::retire;
use super::{Admin, Error, logged};
use tollgate_core::id::{KeyId, PlanId};
use tollgate_dynamo::expression::Update;
use tollgate_dynamo::failure::conditional;
use tollgate_dynamo::item::key::KeyRecord;
use tollgate_dynamo::item::meter::{self, KEY_REVISION};
use tollgate_dynamo::item::{Item, ItemKey};
use tollgate_dynamo::schema::PK;

/// The attributes of a key's item that are changed by their names here, as its record has them.
const ENABLED: &str = "enabled";
const DELETED: &str = "deleted";
const PLANS: &str = "plans";
const HASH: &str = "hash";

impl Admin {
    /// Switches off a key whose record cannot be read. When this returns, also with an error, it is refused everywhere; the
    /// record is given out where that was all that it lacked.
    ///
    /// # Errors
    /// [`Error::NoSuchKey`]; [`Error::Store`] with what is wrong with the record, once the key is stopped.
    pub async fn disable_damaged(&self, id: &KeyId) -> Result<KeyRecord, Error> {
        let item = self.raw_key(id).await?;
        let mut update = Update::default();
        let (enabled, off) = (
            update.name(ENABLED),
            update.value(AttributeValue::Bool(false)),
        );
        update.set(&enabled, off);
        self.change_raw(id, &item, update).await?;
        self.uproot_all(id).await?;
        let record = self.key(id).await?;
        self.sync_meters(super::unpublished::Unpublished::again(record))
            .await
    }

    /// Takes a key whose record cannot be read out of a plan.
    pub(super) async fn unlink_damaged(&self, plan_id: &PlanId, id: &KeyId) -> Result<(), Error> {
        let item = self.raw_key(id).await?;
        let plans = item.get(PLANS).and_then(|plans| plans.as_l().ok());
        if let Some(plans) = plans {
            let others = plans
                .iter()
                .filter(|plan| plan.as_s().ok().is_none_or(|plan| plan != plan_id.as_str()));
            let others = AttributeValue::L(others.cloned().collect());
            let mut update = Update::default();
            let (name, before) = (
                update.name(PLANS),
                update.value(AttributeValue::L(plans.clone())),
            );
            update.condition(format!("{name} = {before}"));
            let others = update.value(others);
            update.set(&name, others);
            self.change_raw(id, &item, update).await?;
        }
        self.uproot(id, plan_id).await
    }

    /// Deletes a key whose record cannot be read, as far as its item tells what belongs to it.
    pub(super) async fn delete_damaged(&self, id: &KeyId) -> Result<(), Error> {
        let item = self.raw_key(id).await?;
        let mut update = Update::default();
        let deleted = (
            update.name(DELETED),
            update.value(AttributeValue::Bool(true)),
        );
        update.set(&deleted.0, deleted.1);
        self.change_raw(id, &item, update).await?;
        self.uproot_all(id).await?;
        let retiring = item
            .get("retiring")
            .and_then(|retiring| retiring.as_m().ok());
        let retiring = retiring.and_then(|retiring| string(retiring, HASH));
        let hashes = [string(&item, HASH), retiring].into_iter().flatten();
        for hash in hashes.filter_map(|hash| hash.parse().ok()) {
            self.release_value(id, &hash).await?;
        }
        self.sweep_usage(id).await?;
        self.delete_item(&ItemKey::key(id)).await
    }

    async fn raw_key(&self, id: &KeyId) -> Result<Item, Error> {
        let item = self.read_item(&ItemKey::key(id)).await?;
        item.ok_or(Error::NoSuchKey)
    }

    /// Changes a key's item. Its revision goes on from what is known of it, so that no instance knows the one that it gets.
    async fn change_raw(&self, id: &KeyId, before: &Item, mut update: Update) -> Result<(), Error> {
        let there = update.name(PK);
        update.condition(format!("attribute_exists({there})"));
        let revision = update.name("revision");
        match before.get("revision") {
            Some(known) => {
                let known = update.value(known.clone());
                update.condition(format!("{revision} = {known}"));
            }
            None => update.condition(format!("attribute_not_exists({revision})")),
        }
        let known = before
            .get("revision")
            .and_then(|known| known.as_n().ok()?.parse::<u64>().ok());
        let meters = self.meters_of(id).await?;
        let told = meters.values().filter_map(|place| place.knows);
        // The largest that has one after it.
        let next = told
            .chain(known)
            .filter_map(|known| known.checked_add(1))
            .max();
        let next = next.unwrap_or(1);
        let next = update.number(next);
        update.set(&revision, next);
        let request = self.client().update_item().table_name(&self.table);
        let request = request.set_key(Some(ItemKey::key(id).attributes()));
        match conditional(update.apply(request).send().await)? {
            Some(_) => Ok(()),
            None => Err(Error::Contended),
        }
    }

    async fn uproot_all(&self, id: &KeyId) -> Result<(), Error> {
        let meters = self.meters_of(id).await?;
        let all = meters.keys().map(|plan| self.uproot(id, plan));
        future::try_join_all(all).await?;
        Ok(())
    }

    /// Makes a meter that nothing can be charged to, and writes out what it counted. It is left behind, for the key's next
    /// publication to go on with what was spent; one that cannot be read is deleted.
    pub(super) async fn uproot(&self, key_id: &KeyId, plan_id: &PlanId) -> Result<(), Error> {
        let key = ItemKey::meter(key_id, plan_id);
        let mut update = Update::default();
        let (there, revision) = (update.name(PK), update.name(KEY_REVISION));
        update.condition(format!("attribute_exists({there})"));
        update.remove(revision);
        let request = self.client().update_item().table_name(&self.table);
        let request = request
            .set_key(Some(key.attributes()))
            .return_values(ReturnValue::AllOld);
        let before = conditional(update.apply(request).send().await)?;
        let Some(mut before) = before.and_then(|answer| answer.attributes) else {
            return Ok(());
        };
        // Whatever it was, it says nothing of what was counted.
        before.insert(KEY_REVISION.to_owned(), AttributeValue::N("0".to_owned()));
        let meter = logged(meter::read(&before)).flatten();
        let mut update = Update::default();
        let revision = update.name(KEY_REVISION);
        // Unless somebody has brought it in line meanwhile.
        update.condition(format!("attribute_not_exists({revision})"));
        let Some(meter) = meter else {
            // One that cannot be read is stopped all the same.
            let request = self.client().delete_item().table_name(&self.table);
            let request = request
                .set_key(Some(key.attributes()))
                .condition_expression("attribute_not_exists(#kr)")
                .expression_attribute_names("#kr", KEY_REVISION);
            conditional(request.send().await)?;
            return Ok(());
        };
        self.write_days_out(key_id, plan_id, &meter, None).await?;
        retire(&mut update, Some(&meter), self.now());
        let request = self.client().update_item().table_name(&self.table);
        let request = request.set_key(Some(key.attributes()));
        conditional(update.apply(request).send().await)?;
        Ok(())
    }
}
