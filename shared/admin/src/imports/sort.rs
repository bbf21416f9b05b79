//! Sorting rows by what has to be done for them.

use std::collections::{BTreeMap, HashMap};

use tollgate_core::id::KeyId;

use super::Plans;
use super::rows::{Edit, Row};
use crate::meters::{MeterPlacement, is_published};
use crate::{Admin, Error};
use tollgate_dynamo::item::{ItemKey, name_of};

/// Rows by what has to be done.
#[derive(Default)]
pub(super) struct Work {
    /// Nothing: the keys are as their rows say. Their ids, by row.
    pub(super) unchanged: BTreeMap<usize, KeyId>,
    /// Create the key.
    pub(super) new: Vec<Row>,
    /// Change only the record of the key.
    pub(super) edits: Vec<Edit>,
    /// Anything else about an existing key, one row at a time.
    pub(super) others: Vec<Row>,
}

impl Admin {
    /// Sorts rows. A key with an interrupted change is among the others, where the change is completed; so is a key that enters
    /// another plan.
    pub(super) async fn sort(&self, rows: Vec<Row>, plans: &Plans) -> Result<Work, Error> {
        let owners = rows.iter().filter_map(|row| row.owner.as_ref());
        let meters: Vec<_> = owners
            .flat_map(|owner| {
                let plans = owner.plans.iter().chain(&owner.retired_plans);
                plans.map(|plan| ItemKey::meter(&owner.id, plan))
            })
            .collect();
        let meters = self.items.get_many(&meters).await?;
        let meters = meters.iter();
        let meters: HashMap<_, _> = meters
            .map(|item| (name_of(item), MeterPlacement::of(item)))
            .collect();
        let mut work = Work::default();
        for row in rows {
            work.add(row, plans, &meters);
        }
        Ok(work)
    }
}

impl Work {
    fn add(&mut self, row: Row, plans: &Plans, meters: &HashMap<String, MeterPlacement>) {
        let Some(owner) = row.owner.clone() else {
            self.new.push(row);
            return;
        };
        let meter = |plan: &_| meters.get(&ItemKey::meter(&owner.id, plan).to_string());
        let is_published = is_published(&owner, meter, |plan| plans.contains_key(plan));
        let is_current = owner.hash == row.key.value.hash();
        if !is_current || !is_published || !row.keeps_plans(&owner) {
            // A value that is not current was rotated since the key was found by it.
            self.others.push(row);
        } else if row.is_recorded(&owner) {
            self.unchanged.insert(row.key.row, owner.id);
        } else {
            let theirs = owner.plans.iter().chain(&owner.retired_plans);
            let meters = theirs.filter_map(|plan| Some((plan.clone(), meter(plan)?.clone())));
            let meters = meters.collect();
            self.edits.push(Edit { row, owner, meters });
        }
    }
}
