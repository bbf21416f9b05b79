//! Rows, looked at before anything is written: what each is going to be, and what of it cannot be.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use tollgate_core::id::{KeyId, PlanId};
use tollgate_core::plan::ApiStage;

use super::{ImportKey, Plans, warning};
use crate::meters::Place;
use tollgate_dynamo::item::key::KeyRecord;
use tollgate_dynamo::item::meter::KEY_REVISION;
use tollgate_dynamo::item::plan::PlanRecord;
use tollgate_dynamo::item::{Item, ItemKey};
use tollgate_dynamo::schema::{BY_CREATED, BY_NAME, TTL};

/// Writes that a transaction takes.
const MOST_WRITES: usize = 100;
/// Bytes of names and descriptions in a transaction, which takes 4 MB in all.
const MOST_BYTES: usize = 2_000_000;
/// About what a method takes of that, with its throttle.
const BYTES_OF_A_METHOD: usize = 200;
/// Plans of a row at most: with its meters a key has to fit a transaction.
const MOST_PLANS: usize = 50;

/// A row, looked at: what it is going to be.
#[derive(Clone)]
pub(super) struct Row {
    pub(super) key: ImportKey,
    pub(super) plans: Vec<PlanRecord>,
    /// The key that has its value. What the row says nothing of, that keeps as it has it, and it stays in its plans.
    pub(super) owner: Option<KeyRecord>,
}

impl Row {
    /// Whether the key's record is as the row says.
    pub(super) fn is_recorded(&self, owner: &KeyRecord) -> bool {
        let key = &self.key;
        let same =
            |wanted: &Option<String>, there: &Option<String>| wanted.is_none() || wanted == there;
        key.enabled.is_none_or(|enabled| enabled == owner.enabled)
            && same(&key.name, &owner.name)
            && same(&key.description, &owner.description)
            && same(&key.customer_id, &owner.customer_id)
            && (key.expires.is_none() || key.expires == owner.expires)
            && (key.restriction.is_none() || key.restriction == owner.restriction)
            && key
                .overrides
                .iter()
                .all(|(plan, it)| owner.overrides.get(plan) == Some(it))
            && (key.sealed.is_none() || owner.sealed.is_some())
            && self.plans.iter().all(|plan| owner.plans.contains(&plan.id))
    }

    /// Changes a key's record to what the row says.
    pub(super) fn apply(&self, record: &mut KeyRecord) {
        let key = &self.key;
        record.enabled = key.enabled.unwrap_or(record.enabled);
        if key.name.is_some() {
            record.name.clone_from(&key.name);
        }
        if key.description.is_some() {
            record.description.clone_from(&key.description);
        }
        if key.customer_id.is_some() {
            record.customer_id.clone_from(&key.customer_id);
        }
        record.expires = key.expires.or(record.expires);
        if key.restriction.is_some() {
            record.restriction.clone_from(&key.restriction);
        }
        record.overrides.extend(key.overrides.clone());
        // It may be from before values were kept.
        if record.sealed.is_none() {
            record.sealed.clone_from(&key.sealed);
        }
    }

    /// Whether the key stays in the plans that it has.
    pub(super) fn is_edit(&self, owner: &KeyRecord) -> bool {
        self.plans.iter().all(|plan| owner.plans.contains(&plan.id))
    }

    /// Writes and bytes of a new key: two items, and a meter for each plan.
    pub(super) fn size(&self) -> (usize, usize) {
        (2 + self.plans.len(), self.bytes())
    }

    /// Bytes that people have written.
    fn bytes(&self) -> usize {
        let length = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let methods = self.key.restriction.iter().flat_map(|it| it.values());
        let own = self
            .key
            .overrides
            .values()
            .flat_map(|it| it.methods.values());
        let methods = methods.map(BTreeSet::len).chain(own.map(BTreeMap::len));
        let methods = methods.map(|number| number * BYTES_OF_A_METHOD);
        length(&self.key.name) + length(&self.key.description) + methods.sum::<usize>()
    }
}

/// A key that is changed where it is: nothing but its record, of which its meters are told.
pub(super) struct Edit {
    pub(super) row: Row,
    pub(super) owner: KeyRecord,
    /// Its meters, by plan.
    pub(super) places: BTreeMap<PlanId, Place>,
}

/// The rows of keys that are there already, by what is to be done.
#[derive(Default)]
pub(super) struct Sorted {
    /// Nothing: the keys are as their rows say.
    pub(super) done: BTreeMap<usize, KeyId>,
    pub(super) edits: Vec<Edit>,
    pub(super) others: Vec<Row>,
}

/// The plans that rows put their keys into, with the rows' numbers.
pub(super) fn plans_of(rows: &[Row]) -> Vec<(usize, PlanId)> {
    let named = rows.iter().flat_map(|row| {
        let plans = row.plans.iter();
        plans.map(|plan| (row.key.row, plan.id.clone()))
    });
    named.collect()
}

impl Edit {
    /// Writes and bytes: each record counts for four, as its meters are told one after the other.
    pub(super) fn size(&self) -> (usize, usize) {
        let tags = self.owner.tags.iter();
        let tags = tags.map(|(key, value)| key.len() + value.len());
        let length = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let there = length(&self.owner.name) + length(&self.owner.description);
        (4, there + tags.sum::<usize>() + self.row.bytes())
    }
}

/// Whether every meter of a key has been told all that its record says. A plan that is not there, or is being deleted, has
/// nothing to say of a meter's place.
pub(super) fn is_published(
    record: &KeyRecord,
    meters: &HashMap<String, &Item>,
    plans: &Plans,
) -> bool {
    let meter = |plan: &PlanId| meters.get(&ItemKey::meter(&record.id, plan).to_string());
    let knows = |item: &Item| {
        let revision = item.get(KEY_REVISION).and_then(|value| value.as_n().ok());
        let revision = revision.and_then(|revision| revision.parse::<u64>().ok());
        revision >= Some(record.revision)
    };
    let is_kept = |item: &Item| {
        knows(item)
            && item.contains_key(BY_CREATED.pk)
            && item.contains_key(BY_NAME.pk) == record.name.is_some()
            && !item.contains_key(TTL)
    };
    let kept = |plan: &PlanId| {
        if plans.contains_key(plan) {
            meter(plan).is_some_and(|item| is_kept(item))
        } else {
            meter(plan).is_none_or(|item| knows(item))
        }
    };
    let is_retired = |item: &Item| knows(item) && !item.contains_key(BY_CREATED.pk);
    let retired = |plan| meter(plan).is_none_or(|item| is_retired(item));
    record.plans.iter().all(kept) && record.retired_plans.iter().all(retired)
}

/// The rows whose values were not there before.
pub(super) fn distinct(keys: Vec<ImportKey>, warnings: &mut Vec<String>) -> Vec<ImportKey> {
    let mut first = HashMap::new();
    let mut kept = Vec::with_capacity(keys.len());
    for mut key in keys {
        let row = *first.entry(key.value.hash()).or_insert(key.row);
        if row != key.row {
            warnings.push(warning(
                key.row,
                format!("has the Key of row {row}; left out"),
            ));
            continue;
        }
        let mut seen = HashSet::new();
        key.plans.retain(|plan| seen.insert(plan.clone()));
        if key.plans.len() > MOST_PLANS {
            let reason = format!("names more than {MOST_PLANS} usage plans; left out");
            warnings.push(warning(key.row, reason));
            continue;
        }
        kept.push(key);
    }
    kept
}

/// The plans of a row that are there, and open no stage that another of the key's does.
pub(super) fn openable(
    key: &ImportKey,
    owner: Option<&KeyRecord>,
    plans: &Plans,
    warnings: &mut Vec<String>,
) -> Vec<PlanRecord> {
    let theirs = owner.into_iter().flat_map(|key| &key.plans);
    let mut others: Vec<&PlanRecord> = theirs.filter_map(|id| plans.get(id)).collect();
    let mut kept = Vec::new();
    for id in &key.plans {
        let Some(plan) = plans.get(id) else {
            // What is no id at all may be a key's value in the wrong column.
            let name = if id.as_str().len() <= 19 {
                id.as_str()
            } else {
                "of that id"
            };
            let reason = format!("there is no usage plan {name}; the key is not put into it");
            warnings.push(warning(key.row, reason));
            continue;
        };
        let rest = others.iter().filter(|other| other.id != plan.id);
        let taken: HashSet<_> = rest
            .flat_map(|other| &other.limits.stages)
            .map(ApiStage::id)
            .collect();
        let mut stages = plan.limits.stages.iter().map(ApiStage::id);
        match stages.find(|name| taken.contains(name)) {
            None => {
                others.push(plan);
                kept.push(plan.clone());
            }
            Some(stage) => {
                let reason = format!(
                    "usage plan {id} opens API stage {stage} as another plan of the key does; it is not put into it"
                );
                warnings.push(warning(key.row, reason));
            }
        }
    }
    kept
}

/// What goes into a transaction together; `size` is the writes and the bytes of one.
pub(super) fn batches<T>(all: &[T], size: impl Fn(&T) -> (usize, usize)) -> Vec<&[T]> {
    let mut batches = Vec::new();
    let (mut start, mut writes, mut bytes) = (0, 0, 0);
    for (end, one) in all.iter().enumerate() {
        let (more_writes, more_bytes) = size(one);
        if end > start && (writes + more_writes > MOST_WRITES || bytes + more_bytes > MOST_BYTES) {
            batches.push(&all[start..end]);
            (start, writes, bytes) = (end, 0, 0);
        }
        writes += more_writes;
        bytes += more_bytes;
    }
    if start < all.len() {
        batches.push(&all[start..]);
    }
    batches
}
