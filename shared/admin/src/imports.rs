//! Many keys at once, whose values people bring along.
//!
//! New keys are written with their meters, many to a transaction: a key costs its share of one call. A value that belongs
//! to a key already stays with it; that key is changed where it is not as its row says.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::iter::from_fn;
use std::time::Instant;

use futures_util::{FutureExt, StreamExt, TryFutureExt, stream};
use jiff::Timestamp;
use tollgate_core::id::{KeyId, PlanId};
use tollgate_core::key::{KeyHash, KeyValue};
use tollgate_core::terms::{Override, Restriction};

use super::{Admin, Error, is_id, is_in_time};
use tollgate_dynamo::item::key::{KeyRecord, Sealed};
use tollgate_dynamo::item::plan::PlanRecord;
use tollgate_dynamo::item::{Item, ItemKey, from_item};
use tollgate_dynamo::schema::PK;

mod rows;
mod writes;

use rows::{Edit, Row, batches, distinct, openable, plans_of};

/// Plans by id.
type Plans = HashMap<PlanId, PlanRecord>;

/// Warnings at most; what is beyond is counted.
const MOST_WARNINGS: usize = 1_000;
/// Transactions, or changes of keys that are there already, under way at once.
const AT_ONCE: usize = 8;

/// A key to be imported.
#[derive(Debug, Clone)]
pub struct ImportKey {
    /// Its row, for warnings.
    pub row: usize,
    /// Its value.
    pub value: KeyValue,
    /// Its value, encrypted, where values are kept.
    pub sealed: Option<Sealed>,
    /// Its name.
    pub name: Option<String>,
    /// Its description.
    pub description: Option<String>,
    /// Whether requests with it may pass; a new key's may where this says nothing.
    pub enabled: Option<bool>,
    /// The plans it is put into.
    pub plans: Vec<PlanId>,
    /// The customer it belongs to.
    pub customer_id: Option<String>,
    /// From when on requests with it are refused.
    pub expires: Option<Timestamp>,
    /// The methods that it may call.
    pub restriction: Option<Restriction>,
    /// Limits in place of its plans', by plan id.
    pub overrides: BTreeMap<PlanId, Override>,
}

/// What became of an import.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Imported {
    /// The ids of the keys, in the order of their rows.
    pub ids: Vec<KeyId>,
    /// What was left out, and why.
    pub warnings: Vec<String>,
}

/// What became of a row: its number, the key's id, and what was left out.
type Outcome = (usize, Option<KeyId>, Vec<String>);

impl Admin {
    /// Imports keys. With `fail_on_warnings`, either everything can be done or nothing is begun. After `until` little more is
    /// begun.
    ///
    /// # Errors
    /// [`Error::Warnings`]; [`Error::Unfinished`], [`Error::Contended`] and [`Error::Store`], after which some rows may have been
    /// imported: doing it again changes nothing of those.
    pub async fn import_keys(
        &self,
        keys: Vec<ImportKey>,
        mut warnings: Vec<String>,
        fail_on_warnings: bool,
        until: Option<Instant>,
    ) -> Result<Imported, Error> {
        let keys = distinct(keys, &mut warnings);
        let (rows, plans) = self.rows(keys, &mut warnings).await?;
        if fail_on_warnings && !warnings.is_empty() {
            return Err(Error::Warnings(shortened(warnings)));
        }
        let of = rows.len();
        let named = plans_of(&rows);
        let (known, new): (Vec<Row>, Vec<Row>) =
            rows.into_iter().partition(|row| row.owner.is_some());
        let sorted = self.sorted(known, &plans).await?;
        let mut done = sorted.done;
        let of_new = batches(&new, Row::size)
            .into_iter()
            .map(|batch| self.make_imported(batch, &plans).boxed());
        let of_edits = batches(&sorted.edits, Edit::size)
            .into_iter()
            .map(|batch| self.edit_imported(batch, &plans).boxed());
        let others = sorted.others.iter();
        let of_others = others.map(|row| self.change_imported(row).map_ok(|one| vec![one]).boxed());
        let work: Vec<_> = of_new.chain(of_edits).chain(of_others).collect();
        let mut work = work.into_iter();
        // Something is always done, so that sending it again and again comes to an end.
        let mut is_first = true;
        let begun = from_fn(move || {
            let go = std::mem::take(&mut is_first) || is_in_time(until);
            go.then(|| work.next())?
        });
        let mut outcomes = stream::iter(begun).buffer_unordered(AT_ONCE);
        let mut finished = done.len();
        let mut failed = None;
        while let Some(outcome) = outcomes.next().await {
            match outcome {
                Ok(rows) => {
                    finished += rows.len();
                    for (row, id, more) in rows {
                        done.extend(id.map(|id| (row, id)));
                        warnings.extend(more);
                    }
                }
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
        }
        drop(outcomes);
        self.leave_deleted(&named, &done, &mut warnings).await?;
        match failed {
            Some(error) => Err(error),
            None if finished < of => Err(Error::Unfinished { finished, of }),
            None => Ok(Imported {
                ids: done.into_values().collect(),
                warnings: shortened(warnings),
            }),
        }
    }

    /// Takes keys out of plans that were deleted while they were put there: the deletion may not have seen them.
    async fn leave_deleted(
        &self,
        named: &[(usize, PlanId)],
        ids: &BTreeMap<usize, KeyId>,
        warnings: &mut Vec<String>,
    ) -> Result<(), Error> {
        let plans = self
            .plans_by_name(named.iter().map(|(_, plan)| plan))
            .await?;
        for (row, plan) in named.iter().filter(|(_, plan)| !plans.contains_key(plan)) {
            let Some(id) = ids.get(row) else { continue };
            self.sweep(plan, id).await?;
            let reason = format!("usage plan {plan} was deleted meanwhile; the key is not in it");
            warnings.push(warning(*row, reason));
        }
        Ok(())
    }

    /// What the rows are going to be, as far as they can be.
    async fn rows(
        &self,
        keys: Vec<ImportKey>,
        warnings: &mut Vec<String>,
    ) -> Result<(Vec<Row>, Plans), Error> {
        let owners = self.owners(&keys).await?;
        let named = keys.iter().flat_map(|key| &key.plans);
        let theirs = owners.values().flatten().flat_map(|key| &key.plans);
        let plans = self.plans_by_name(named.chain(theirs)).await?;
        let mut rows = Vec::with_capacity(keys.len());
        for key in keys {
            let known = owners.get(&key.value.hash()).cloned();
            if known == Some(None) {
                warnings.push(warning(key.row, being_deleted()));
                continue;
            }
            let owner = known.flatten();
            let hash = key.value.hash();
            if owner.as_ref().is_some_and(|owner| owner.hash != hash) {
                warnings.push(warning(key.row, rotated()));
                continue;
            }
            let plans = openable(&key, owner.as_ref(), &plans, warnings);
            rows.push(Row { key, plans, owner });
        }
        Ok((rows, plans))
    }

    async fn plans_by_name(&self, ids: impl Iterator<Item = &PlanId>) -> Result<Plans, Error> {
        let ids: HashSet<_> = ids.filter(|id| is_id(id.as_str())).collect();
        let items: Vec<_> = ids.into_iter().map(|id| ItemKey::plan(id)).collect();
        let mut plans = Plans::new();
        for item in self.read_items(&items).await? {
            // One that cannot be read is not one that is gone.
            let plan: PlanRecord = from_item(item)?;
            if !plan.deleted {
                plans.insert(plan.id.clone(), plan);
            }
        }
        Ok(plans)
    }

    /// The keys that have these values already, by hash; `None` for one that is being deleted.
    async fn owners(
        &self,
        keys: &[ImportKey],
    ) -> Result<HashMap<KeyHash, Option<KeyRecord>>, Error> {
        let items: Vec<_> = keys
            .iter()
            .map(|key| ItemKey::hash(&key.value.hash()))
            .collect();
        let hashes = self.read_items(&items).await?;
        let owners: Vec<(KeyHash, KeyId)> = hashes.iter().filter_map(owner_of).collect();
        let records: Vec<_> = owners.iter().map(|(_, id)| ItemKey::key(id)).collect();
        let records: Vec<KeyRecord> = self.read_many(&records).await?;
        let mut records: HashMap<_, _> = records
            .into_iter()
            .filter(|record| !record.deleted)
            .map(|record| (record.id.clone(), record))
            .collect();
        let owners = owners.into_iter();
        Ok(owners
            .map(|(hash, id)| (hash, records.remove(&id)))
            .collect())
    }
}

/// What a warning says; rows are counted from the first under the header.
pub fn warning(row: usize, reason: impl std::fmt::Display) -> String {
    format!("row {row}: {reason}")
}

fn rotated() -> &'static str {
    "its Key is a value that a rotation has replaced; left out"
}

fn being_deleted() -> &'static str {
    "its Key belongs to a key that is being deleted; left out: finish the deletion and import it again"
}

fn shortened(mut warnings: Vec<String>) -> Vec<String> {
    let more = warnings.len().saturating_sub(MOST_WARNINGS);
    warnings.truncate(MOST_WARNINGS);
    if more > 0 {
        warnings.push(format!("and {more} more"));
    }
    warnings
}

/// A hash's item: the hash, and the key that it belongs to.
fn owner_of(item: &Item) -> Option<(KeyHash, KeyId)> {
    let (_, hash) = item.get(PK)?.as_s().ok()?.split_once('#')?;
    let key = item.get("key_id")?.as_s().ok()?;
    Some((hash.parse().ok()?, key.as_str().into()))
}
