//! Rows after the check, and how many of them go into a transaction.

use std::collections::{BTreeMap, BTreeSet};

use tollgate_core::id::PlanId;

use super::ImportKey;
use crate::keys::NewKey;
use crate::meters::MeterPlacement;
use tollgate_dynamo::item::key::KeyRecord;
use tollgate_dynamo::item::plan::PlanRecord;

/// Writes that a transaction takes.
const MOST_WRITES: usize = 100;
/// Bytes of names and descriptions in a transaction, which takes 4 MB in all.
const MOST_BYTES: usize = 2_000_000;
/// About the bytes that a method takes of that, with its throttle.
const BYTES_OF_A_METHOD: usize = 200;
/// Writes that an edit counts for: its record is one, but its meters are updated one after the other.
const WRITES_OF_AN_EDIT: usize = 4;

/// A row after the check.
#[derive(Clone)]
pub(super) struct Row {
    pub(super) key: ImportKey,
    /// The plans that the key is put into.
    pub(super) plans: Vec<PlanRecord>,
    /// The key that has the row's value. It stays in its plans, and keeps what the row does not mention.
    pub(super) owner: Option<KeyRecord>,
}

/// A row that changes only the record of an existing key.
pub(super) struct Edit {
    pub(super) row: Row,
    pub(super) owner: KeyRecord,
    /// The owner's meters, by plan.
    pub(super) meters: BTreeMap<PlanId, MeterPlacement>,
}

impl Row {
    /// Whether the key's record is as the row says.
    pub(super) fn is_recorded(&self, owner: &KeyRecord) -> bool {
        let key = &self.key;
        let same = |wanted: &Option<String>, current: &Option<String>| {
            wanted.is_none() || wanted == current
        };
        key.enabled.is_none_or(|enabled| enabled == owner.enabled)
            && same(&key.name, &owner.name)
            && same(&key.description, &owner.description)
            && same(&key.customer_id, &owner.customer_id)
            && (key.expires.is_none() || key.expires == owner.expires)
            && (key.restriction.is_none() || key.restriction == owner.restriction)
            && key
                .overrides
                .iter()
                .all(|(plan, wanted)| owner.overrides.get(plan) == Some(wanted))
            && (key.sealed.is_none() || owner.sealed.is_some())
            && self.keeps_plans(owner)
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
        // The key may be older than the stack's setting to keep values.
        if record.sealed.is_none() {
            record.sealed.clone_from(&key.sealed);
        }
    }

    /// The key to create if none has the row's value.
    pub(super) fn new_key(&self) -> NewKey {
        let key = &self.key;
        NewKey {
            name: key.name.clone(),
            description: key.description.clone(),
            enabled: key.enabled.unwrap_or(true),
            sealed: key.sealed.clone(),
            customer_id: key.customer_id.clone(),
            expires: key.expires,
            restriction: key.restriction.clone(),
            overrides: key.overrides.clone(),
            ..NewKey::default()
        }
    }

    /// Whether the key is in all plans of the row.
    pub(super) fn keeps_plans(&self, owner: &KeyRecord) -> bool {
        self.plans.iter().all(|plan| owner.plans.contains(&plan.id))
    }

    /// Writes and bytes of a new key: two items, and a meter for each plan.
    pub(super) fn size(&self) -> (usize, usize) {
        (2 + self.plans.len(), self.bytes())
    }

    /// The bytes of the texts and methods in the row.
    fn bytes(&self) -> usize {
        let key = &self.key;
        let restricted = key.restriction.iter().flat_map(|stages| stages.values());
        let restricted = restricted.map(BTreeSet::len).sum::<usize>();
        let overrides = key.overrides.values();
        let overridden = overrides.flat_map(|limits| limits.methods.values());
        let overridden = overridden.map(BTreeMap::len).sum::<usize>();
        length(key.name.as_ref())
            + length(key.description.as_ref())
            + (restricted + overridden) * BYTES_OF_A_METHOD
    }
}

impl Edit {
    /// Writes and bytes of the edit.
    pub(super) fn size(&self) -> (usize, usize) {
        let owner = &self.owner;
        let tags = owner.tags.iter();
        let tags = tags.map(|(key, value)| key.len() + value.len());
        let texts = length(owner.name.as_ref()) + length(owner.description.as_ref());
        let bytes = texts + tags.sum::<usize>() + self.row.bytes();
        (WRITES_OF_AN_EDIT, bytes)
    }
}

fn length(text: Option<&String>) -> usize {
    text.map_or(0, String::len)
}

/// Splits `all` into batches, each for one transaction; `size` is the writes and the bytes of an entry.
pub(super) fn batches<T>(all: &[T], size: impl Fn(&T) -> (usize, usize)) -> Vec<&[T]> {
    let mut batches = Vec::new();
    let (mut start, mut writes, mut bytes) = (0, 0, 0);
    for (end, entry) in all.iter().enumerate() {
        let (more_writes, more_bytes) = size(entry);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_holds_as_much_as_a_transaction_takes() {
        let sizes = |sizes: &[(usize, usize)]| {
            let batches = batches(sizes, |size| *size);
            batches.iter().map(|batch| batch.len()).collect::<Vec<_>>()
        };
        assert_eq!(sizes(&[]), [0; 0]);
        assert_eq!(sizes(&[(50, 1), (50, 1), (1, 1)]), [2, 1]);
        assert_eq!(sizes(&[(1, MOST_BYTES), (1, 1)]), [1, 1]);
        // An entry beyond the limits is tried alone.
        assert_eq!(sizes(&[(101, 1), (1, 1)]), [1, 1]);
    }
}
