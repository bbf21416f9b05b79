//! Many keys at once, whose values people bring along.
//!
//! New keys are written with their meters, many to a transaction: a key costs its share of one call. A value that belongs
//! to a key already stays with it; that key is changed.

use std::collections::{BTreeMap, HashMap, HashSet};

use aws_sdk_dynamodb::types::{Put, TransactWriteItem};
use futures_util::{FutureExt, StreamExt, TryFutureExt, stream};
use tollgate_core::key::KeyValue;
use tollgate_core::plan::ApiStage;

use super::keys::NewKey;
use super::{Error, Manager, is_id};
use crate::record::{HashRecord, ItemKey, KeyRecord, PlanRecord};

/// Writes that a transaction takes.
const MOST_WRITES: usize = 100;
/// Transactions, or changes of keys that are there already, under way at once.
const AT_ONCE: usize = 8;

/// A key to be imported.
#[derive(Debug, Clone)]
pub struct ImportKey {
    /// Its row, for warnings.
    pub row: usize,
    /// Its value.
    pub value: KeyValue,
    /// Its name.
    pub name: Option<String>,
    /// Its description; one that is there already keeps its own where this says nothing.
    pub description: Option<String>,
    /// Whether requests with it may pass.
    pub enabled: bool,
    /// The plans it is put into. One that is in others stays in them.
    pub plans: Vec<String>,
}

/// What became of an import.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Imported {
    /// The ids of the keys, in the order of their rows.
    pub ids: Vec<String>,
    /// What was left out, and why.
    pub warnings: Vec<String>,
}

/// A row, looked at: what it is going to be.
struct Row {
    key: ImportKey,
    plans: Vec<PlanRecord>,
    /// The key that has its value.
    owner: Option<String>,
}

impl Row {
    /// The meters that its key has where it is in the row's plans.
    fn meters(&self) -> impl Iterator<Item = ItemKey> {
        let owner = self.owner.as_deref().unwrap_or_default();
        self.plans
            .iter()
            .map(move |plan| ItemKey::meter(owner, &plan.id))
    }

    /// Whether a key is as the row says.
    fn is_done(&self, record: &KeyRecord) -> bool {
        let key = &self.key;
        let same =
            |wanted: &Option<String>, there: &Option<String>| wanted.is_none() || wanted == there;
        !record.deleted
            && record.enabled == key.enabled
            && same(&key.name, &record.name)
            && same(&key.description, &record.description)
            && self
                .plans
                .iter()
                .all(|plan| record.plans.contains(&plan.id))
    }
}

impl Manager {
    /// Imports keys. With `fail_on_warnings`, either everything can be done or nothing is begun.
    ///
    /// # Errors
    /// [`Error::Warnings`]; [`Error::Contended`] and [`Error::Store`], after which some rows may have been imported: doing it
    /// again changes those keys to the same.
    pub async fn import_keys(
        &self,
        keys: Vec<ImportKey>,
        mut warnings: Vec<String>,
        fail_on_warnings: bool,
    ) -> Result<Imported, Error> {
        let keys = distinct(keys, &mut warnings);
        let plans = self.plans_of_rows(&keys).await?;
        let owners = self.owners(&keys).await?;
        let mut rows = Vec::with_capacity(keys.len());
        for key in keys {
            let plans = openable(&key, &plans, &mut warnings);
            let owner = owners.get(&key.value.hash().to_string()).cloned();
            rows.push(Row { key, plans, owner });
        }
        if fail_on_warnings && !warnings.is_empty() {
            return Err(Error::Warnings(warnings));
        }
        let mut ids = BTreeMap::new();
        let (new, known): (Vec<Row>, Vec<Row>) =
            rows.into_iter().partition(|row| row.owner.is_none());
        let (done, known) = self.without_done(known).await?;
        ids.extend(done);
        let of_known = known
            .iter()
            .map(|row| self.change_imported(row).map_ok(|one| vec![one]).boxed());
        let of_new = batches(&new)
            .into_iter()
            .map(|batch| self.make_imported(batch).boxed());
        let work: Vec<_> = of_known.chain(of_new).collect();
        let mut outcomes = stream::iter(work).buffer_unordered(AT_ONCE);
        while let Some(outcome) = outcomes.next().await {
            for (row, id, more) in outcome? {
                ids.insert(row, id);
                warnings.extend(more);
            }
        }
        Ok(Imported {
            ids: ids.into_values().collect(),
            warnings,
        })
    }

    async fn plans_of_rows(
        &self,
        keys: &[ImportKey],
    ) -> Result<HashMap<String, PlanRecord>, Error> {
        let named: HashSet<_> = keys.iter().flat_map(|key| &key.plans).collect();
        let named = named.into_iter().filter(|id| is_id(id));
        let items: Vec<_> = named.map(|id| ItemKey::plan(id)).collect();
        let plans: Vec<PlanRecord> = self.read_many(&items).await?;
        let plans = plans.into_iter().filter(|plan| !plan.deleted);
        Ok(plans.map(|plan| (plan.id.clone(), plan)).collect())
    }

    /// The keys that have these values already, by hash.
    async fn owners(&self, keys: &[ImportKey]) -> Result<HashMap<String, String>, Error> {
        let items: Vec<_> = keys
            .iter()
            .map(|key| HashRecord::item_key(&key.value.hash()))
            .collect();
        let found = self.read_items(&items).await?;
        let owners = found.into_iter().filter_map(|item| {
            let (_, hash) = item.get(crate::schema::PK)?.as_s().ok()?.split_once('#')?;
            let key = item.get("key_id")?.as_s().ok()?;
            Some((hash.to_owned(), key.clone()))
        });
        Ok(owners.collect())
    }

    /// Sorts out the rows whose keys are as they say already: importing a file again costs little more than reading.
    async fn without_done(
        &self,
        rows: Vec<Row>,
    ) -> Result<(Vec<(usize, String)>, Vec<Row>), Error> {
        let owners: Vec<_> = rows.iter().filter_map(|row| row.owner.as_deref()).collect();
        let records: Vec<_> = owners.iter().map(|id| ItemKey::key(id)).collect();
        let records: Vec<KeyRecord> = self.read_many(&records).await?;
        let records: HashMap<_, _> = records
            .iter()
            .map(|record| (record.id.as_str(), record))
            .collect();
        // A link that was interrupted is in the record and has no meter; then it is made again.
        let meters: Vec<_> = rows.iter().flat_map(Row::meters).collect();
        let there = self.read_items(&meters).await?;
        let there: HashSet<_> = there.iter().map(crate::record::name_of).collect();
        let (mut done, mut left) = (Vec::new(), Vec::new());
        for row in rows {
            let record = row.owner.as_deref().and_then(|id| records.get(id));
            let linked = row.meters().all(|meter| there.contains(&meter.to_string()));
            match record {
                Some(record) if linked && row.is_done(record) => {
                    done.push((row.key.row, record.id.clone()));
                }
                _ => left.push(row),
            }
        }
        Ok((done, left))
    }

    /// Writes new keys in one transaction; should one of their values have been taken meanwhile, one by one.
    async fn make_imported(
        &self,
        rows: &[Row],
    ) -> Result<Vec<(usize, String, Vec<String>)>, Error> {
        let mut made = Vec::with_capacity(rows.len());
        let mut puts: Vec<Put> = Vec::new();
        for row in rows {
            let new = NewKey {
                value: None,
                name: row.key.name.clone(),
                description: row.key.description.clone(),
                enabled: row.key.enabled,
                ..NewKey::default()
            };
            let (record, items) = self.new_key(new, &row.key.value, &row.plans);
            puts.extend(items.into_iter().map(|item| self.put_new(item)));
            made.push((row.key.row, record.id, Vec::new()));
        }
        let writes = puts.into_iter();
        let writes: Vec<_> = writes
            .map(|put| TransactWriteItem::builder().put(put).build())
            .collect();
        match self.transact(writes).await {
            Ok(()) => Ok(made),
            Err(Error::ValueExists) if rows.len() > 1 => {
                let mut made = Vec::with_capacity(rows.len());
                for row in rows {
                    made.extend(Box::pin(self.make_imported(std::slice::from_ref(row))).await?);
                }
                Ok(made)
            }
            Err(Error::ValueExists) => {
                let key = rows[0].key.clone();
                let owner = self
                    .owners(std::slice::from_ref(&key))
                    .await?
                    .into_values()
                    .next();
                let row = Row {
                    key,
                    plans: rows[0].plans.clone(),
                    owner,
                };
                Ok(vec![self.change_imported(&row).await?])
            }
            Err(error) => Err(error),
        }
    }

    /// Changes the key that has a row's value, and puts it into the row's plans.
    async fn change_imported(&self, row: &Row) -> Result<(usize, String, Vec<String>), Error> {
        let id = row.owner.clone().ok_or(Error::Contended)?;
        let key = &row.key;
        self.update_key(&id, |record: &mut KeyRecord| {
            record.enabled = key.enabled;
            if key.name.is_some() {
                record.name.clone_from(&key.name);
            }
            if key.description.is_some() {
                record.description.clone_from(&key.description);
            }
            Ok::<_, Error>(())
        })
        .await?;
        let mut warnings = Vec::new();
        for plan in &row.plans {
            match self.link(&plan.id, &id).await {
                Ok(_) | Err(Error::AlreadyLinked) => {}
                Err(error @ (Error::StageTaken { .. } | Error::NoSuchPlan)) => {
                    warnings.push(warning(key.row, error));
                }
                Err(error) => return Err(error),
            }
        }
        Ok((key.row, id, warnings))
    }
}

/// What a warning says; rows are counted from the first under the header.
pub fn warning(row: usize, reason: impl std::fmt::Display) -> String {
    format!("row {row}: {reason}")
}

/// The rows whose values were not there before.
fn distinct(keys: Vec<ImportKey>, warnings: &mut Vec<String>) -> Vec<ImportKey> {
    let mut first = HashMap::new();
    let mut kept = Vec::with_capacity(keys.len());
    for key in keys {
        let row = *first.entry(key.value.hash()).or_insert(key.row);
        if row == key.row {
            kept.push(key);
        } else {
            warnings.push(warning(
                key.row,
                format!("has the Key of row {row}; left out"),
            ));
        }
    }
    kept
}

/// The plans of a row that are there and open no stage twice.
fn openable(
    key: &ImportKey,
    plans: &HashMap<String, PlanRecord>,
    warnings: &mut Vec<String>,
) -> Vec<PlanRecord> {
    let mut kept: Vec<PlanRecord> = Vec::new();
    for id in &key.plans {
        let Some(plan) = plans.get(id) else {
            let reason = format!("there is no usage plan {id:?}; the key is not put into it");
            warnings.push(warning(key.row, reason));
            continue;
        };
        if kept.iter().any(|other| other.id == plan.id) {
            continue;
        }
        let mut stages = plan.limits.stages.iter().map(ApiStage::name);
        let of = |other: &PlanRecord, name: &String| {
            other
                .limits
                .stages
                .iter()
                .any(|stage| stage.name() == *name)
        };
        match stages.find(|name| kept.iter().any(|other| of(other, name))) {
            None => kept.push(plan.clone()),
            Some(stage) => {
                let reason = format!(
                    "usage plan {id} opens API stage {stage} as another plan of the row does; the key is not put into it"
                );
                warnings.push(warning(key.row, reason));
            }
        }
    }
    kept
}

/// Rows, as many to a batch as a transaction takes: a key is two items, and a meter for each plan.
fn batches(rows: &[Row]) -> Vec<&[Row]> {
    let mut batches = Vec::new();
    let (mut start, mut writes) = (0, 0);
    for (end, row) in rows.iter().enumerate() {
        let more = 2 + row.plans.len();
        if writes + more > MOST_WRITES && end > start {
            batches.push(&rows[start..end]);
            (start, writes) = (end, 0);
        }
        writes += more;
    }
    if start < rows.len() {
        batches.push(&rows[start..]);
    }
    batches
}
