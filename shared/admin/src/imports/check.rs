//! What of each row can be done: its value must be free or a key's current one, and its plans must exist and not overlap.

use std::collections::{HashMap, HashSet};

use tollgate_core::id::{KeyId, PlanId};
use tollgate_core::key::KeyHash;

use super::rows::Row;
use super::{ImportKey, Plans, being_deleted, no_such_plan, overlaps, rotated, warning};
use crate::ids::is_id;
use crate::links::shared_stage;
use crate::listing::string;
use crate::{Admin, Error};
use tollgate_dynamo::item::key::KeyRecord;
use tollgate_dynamo::item::plan::PlanRecord;
use tollgate_dynamo::item::{Item, ItemKey, from_item};
use tollgate_dynamo::schema::PK;

/// Plans of a row at most: a new key and its meters have to fit into one transaction.
const MOST_PLANS: usize = 50;

/// The longest plan id that a warning shows. A longer text may be a key's value in the wrong column.
const LONGEST_SHOWN_ID: usize = 19;

/// The rows whose values did not occur in an earlier row.
pub(super) fn distinct(keys: Vec<ImportKey>, warnings: &mut Vec<String>) -> Vec<ImportKey> {
    let mut first = HashMap::new();
    let mut kept = Vec::with_capacity(keys.len());
    for mut key in keys {
        let row = *first.entry(key.value.hash()).or_insert(key.row);
        if row != key.row {
            let reason = format!("has the Key of row {row}; left out");
            warnings.push(warning(key.row, reason));
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

impl Admin {
    /// Reads the keys that have the rows' values and the plans of all of them, and returns the rows that can be done.
    pub(super) async fn check_rows(
        &self,
        keys: Vec<ImportKey>,
        warnings: &mut Vec<String>,
    ) -> Result<(Vec<Row>, Plans), Error> {
        let owners = self.owners(&keys).await?;
        let named = keys.iter().flat_map(|key| &key.plans);
        let theirs = owners.values().flatten().flat_map(|key| &key.plans);
        let plans = self.existing_plans(named.chain(theirs)).await?;
        let mut rows = Vec::with_capacity(keys.len());
        for key in keys {
            match check_value(&key, &owners) {
                Ok(owner) => {
                    let plans = linkable(&key, owner.as_ref(), &plans, warnings);
                    rows.push(Row { key, plans, owner });
                }
                Err(reason) => warnings.push(warning(key.row, reason)),
            }
        }
        Ok((rows, plans))
    }

    /// Those of these plans that exist, by id.
    pub(super) async fn existing_plans(
        &self,
        ids: impl Iterator<Item = &PlanId>,
    ) -> Result<Plans, Error> {
        let ids: HashSet<_> = ids.filter(|id| is_id(id.as_str())).collect();
        let items: Vec<_> = ids.into_iter().map(ItemKey::plan).collect();
        let mut plans = Plans::new();
        for item in self.items.get_many(&items).await? {
            // A plan that cannot be read exists all the same, so this is an error.
            let plan: PlanRecord = from_item(item)?;
            if !plan.deleted {
                plans.insert(plan.id.clone(), plan);
            }
        }
        Ok(plans)
    }

    /// The keys that have these values, by hash; `None` for a key that is being deleted.
    pub(super) async fn owners(
        &self,
        keys: &[ImportKey],
    ) -> Result<HashMap<KeyHash, Option<KeyRecord>>, Error> {
        let lookups = keys.iter().map(|key| ItemKey::hash(&key.value.hash()));
        let lookups = self.items.get_many(&lookups.collect::<Vec<_>>()).await?;
        let owners: Vec<(KeyHash, KeyId)> = lookups.iter().filter_map(owner_of).collect();
        let records: Vec<_> = owners.iter().map(|(_, id)| ItemKey::key(id)).collect();
        let records: Vec<KeyRecord> = self.read_many(&records).await?;
        let records = records.into_iter().filter(|record| !record.deleted);
        let mut records: HashMap<_, _> =
            records.map(|record| (record.id.clone(), record)).collect();
        let owners = owners.into_iter();
        Ok(owners
            .map(|(hash, id)| (hash, records.remove(&id)))
            .collect())
    }
}

/// The key that has the row's value, if there is one; or why the row is left out.
fn check_value(
    key: &ImportKey,
    owners: &HashMap<KeyHash, Option<KeyRecord>>,
) -> Result<Option<KeyRecord>, &'static str> {
    let hash = key.value.hash();
    match owners.get(&hash) {
        None => Ok(None),
        Some(None) => Err(being_deleted()),
        Some(Some(owner)) if owner.hash != hash => Err(rotated()),
        Some(Some(owner)) => Ok(Some(owner.clone())),
    }
}

/// The plans of a row that exist and cover no stage that another plan of the key covers.
fn linkable(
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
            let name = if id.len() <= LONGEST_SHOWN_ID {
                id.as_str()
            } else {
                "of that id"
            };
            warnings.push(warning(key.row, no_such_plan(name)));
            continue;
        };
        if let Some((_, stage)) = shared_stage(plan, others.iter().copied()) {
            warnings.push(warning(key.row, overlaps(id, &stage)));
            continue;
        }
        others.push(plan);
        kept.push(plan.clone());
    }
    kept
}

/// The hash of a look-up item, and the key that it leads to.
fn owner_of(item: &Item) -> Option<(KeyHash, KeyId)> {
    let (_, hash) = string(item, PK)?.split_once('#')?;
    let key = string(item, "key_id")?;
    Some((hash.parse().ok()?, key.into()))
}
