//! What is written of an import: new keys with their meters, many to a transaction; changes of keys that are there already,
//! whose meters are told one after the other, as a transaction would turn away the requests that come in meanwhile.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::TransactWriteItem;

use super::rows::{Edit, Row, Sorted, batches, is_published};
use super::{Outcome, Plans, being_deleted, rotated, warning};
use crate::keys::NewKey;
use crate::meters::{Place, Surroundings};
use crate::unpublished::Unpublished;
use crate::{Admin, Error};
use tollgate_dynamo::item::key::KeyRecord;
use tollgate_dynamo::item::{ItemKey, name_of};

impl Admin {
    /// Sorts the rows of keys that are there already by what is to be done. A key of which a change was interrupted is changed
    /// again, one by one with those that come into another plan.
    pub(super) async fn sorted(&self, rows: Vec<Row>, plans: &Plans) -> Result<Sorted, Error> {
        let owners = rows.iter().filter_map(|row| row.owner.as_ref());
        let meters: Vec<_> = owners
            .flat_map(|owner| {
                let plans = owner.plans.iter().chain(&owner.retired_plans);
                plans.map(|plan| ItemKey::meter(&owner.id, plan))
            })
            .collect();
        let meters = self.read_items(&meters).await?;
        let meters: HashMap<_, _> = meters.iter().map(|item| (name_of(item), item)).collect();
        let mut sorted = Sorted::default();
        for row in rows {
            let Some(owner) = row.owner.clone() else {
                continue;
            };
            let is_published = is_published(&owner, &meters, plans);
            if owner.hash != row.key.value.hash() {
                // It was rotated since it was found by this value.
                sorted.others.push(row);
            } else if is_published && row.is_recorded(&owner) {
                sorted.done.insert(row.key.row, owner.id);
            } else if is_published && row.is_edit(&owner) {
                let theirs = owner.plans.iter().chain(&owner.retired_plans);
                let places = theirs.filter_map(|plan| {
                    let item = meters.get(&ItemKey::meter(&owner.id, plan).to_string())?;
                    Some((plan.clone(), Place::of(item)))
                });
                let places = places.collect();
                sorted.edits.push(Edit { row, owner, places });
            } else {
                sorted.others.push(row);
            }
        }
        Ok(sorted)
    }

    /// Changes the records of many keys in one transaction, and then tells their meters; should one of them have been changed
    /// meanwhile, one by one.
    pub(super) async fn edit_imported(
        &self,
        edits: &[Edit],
        plans: &Plans,
    ) -> Result<Vec<Outcome>, Error> {
        let now = self.now();
        let changed = edits.iter().map(|edit| {
            Unpublished::after(&edit.owner, |record| {
                edit.row.apply(record);
                record.updated = now;
                Ok::<_, Error>(())
            })
        });
        let changed: Vec<Unpublished> = changed.collect::<Result<_, _>>()?;
        let puts = changed.iter().zip(edits).map(|(change, edit)| {
            let put = self.put_in_place(change.item(), edit.owner.revision);
            TransactWriteItem::builder().put(put).build()
        });
        let mut outcomes = Vec::with_capacity(edits.len());
        if !self.transact(puts.collect()).await? {
            for edit in edits {
                outcomes.push(self.change_imported(&edit.row).await?);
            }
            return Ok(outcomes);
        }
        for (edit, change) in edits.iter().zip(changed) {
            let theirs = edit.owner.plans.iter();
            let (kept, ending): (Vec<_>, Vec<_>) = theirs.partition(|id| plans.contains_key(*id));
            let around = Surroundings {
                kept: kept
                    .into_iter()
                    .filter_map(|id| plans.get(id).cloned())
                    .collect(),
                ending: ending.into_iter().cloned().collect(),
                meters: edit.places.clone(),
            };
            let record = self.sync_meters_among(change, &around).await?;
            outcomes.push((edit.row.key.row, Some(record.id), Vec::new()));
        }
        Ok(outcomes)
    }

    /// Writes new keys in one transaction. Should some of their values have been taken meanwhile, as by another import of the
    /// same file, those are looked at like others that were there before, and the rest is tried again.
    pub(super) async fn make_imported(
        &self,
        rows: &[Row],
        plans: &Plans,
    ) -> Result<Vec<Outcome>, Error> {
        let mut made = Vec::with_capacity(rows.len());
        let mut writes = Vec::new();
        for row in rows {
            let new = NewKey {
                name: row.key.name.clone(),
                description: row.key.description.clone(),
                enabled: row.key.enabled.unwrap_or(true),
                sealed: row.key.sealed.clone(),
                customer_id: row.key.customer_id.clone(),
                expires: row.key.expires,
                restriction: row.key.restriction.clone(),
                overrides: row.key.overrides.clone(),
                ..NewKey::default()
            };
            let (record, items) = self.new_key(new, &row.key.value, &row.plans);
            let puts = items.into_iter().map(|item| self.put_new(item));
            writes.extend(puts.map(|put| TransactWriteItem::builder().put(put).build()));
            made.push((row.key.row, Some(record.id), Vec::new()));
        }
        if self.transact(writes).await? {
            return Ok(made);
        }
        let keys: Vec<_> = rows.iter().map(|row| row.key.clone()).collect();
        let owners = self.owners(&keys).await?;
        let (mut known, mut new) = (Vec::new(), Vec::new());
        for row in rows {
            match owners.get(&row.key.value.hash()) {
                None => new.push(row.clone()),
                Some(owner) => known.push(Row {
                    owner: owner.clone(),
                    ..row.clone()
                }),
            }
        }
        if known.is_empty() {
            return Err(Error::Contended);
        }
        let mut outcomes = Vec::with_capacity(rows.len());
        let (known, ending): (Vec<_>, Vec<_>) =
            known.into_iter().partition(|row| row.owner.is_some());
        let sorted = self.sorted(known, plans).await?;
        let done = sorted.done.into_iter();
        outcomes.extend(done.map(|(row, id)| (row, Some(id), Vec::new())));
        for batch in batches(&sorted.edits, Edit::size) {
            outcomes.extend(self.edit_imported(batch, plans).await?);
        }
        for row in sorted.others.iter().chain(&ending) {
            outcomes.push(self.change_imported(row).await?);
        }
        if !new.is_empty() {
            outcomes.extend(Box::pin(self.make_imported(&new, plans)).await?);
        }
        Ok(outcomes)
    }

    /// Changes the key that has a row's value, and puts it into the row's plans.
    pub(super) async fn change_imported(&self, row: &Row) -> Result<Outcome, Error> {
        let key = &row.key;
        let gone = || Ok((key.row, None, vec![warning(key.row, being_deleted())]));
        let Some(owner) = &row.owner else {
            return gone();
        };
        let changed = self
            .update_key(&owner.id, |record: &mut KeyRecord| {
                if record.hash != key.value.hash() {
                    return Err(Error::ValueExists);
                }
                row.apply(record);
                Ok::<_, Error>(())
            })
            .await;
        match changed {
            Ok(_) => {}
            Err(Error::NoSuchKey) => return gone(),
            Err(Error::ValueExists) => {
                return Ok((key.row, None, vec![warning(key.row, rotated())]));
            }
            Err(error) => return Err(error),
        }
        let mut warnings = Vec::new();
        for plan in &row.plans {
            match self.link(&plan.id, &owner.id).await {
                Ok(_) | Err(Error::AlreadyLinked) => {}
                Err(error @ (Error::StageTaken { .. } | Error::NoSuchPlan | Error::NoSuchKey)) => {
                    warnings.push(warning(key.row, error));
                }
                Err(error) => return Err(error),
            }
        }
        Ok((key.row, Some(owner.id.clone()), warnings))
    }
}
