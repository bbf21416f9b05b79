//! Changing keys that exist: many records in one transaction, or one key with its links.
//!
//! Meters are never part of a transaction here: DynamoDB would reject the charges of requests that arrive meanwhile.

use super::rows::{Edit, Row};
use super::{Outcome, Plans, being_deleted, no_such_plan, overlaps, rotated, warning};
use crate::meters::PlansAndMeters;
use crate::unpublished::Unpublished;
use crate::{Admin, Error};
use tollgate_dynamo::item::key::KeyRecord;
use tollgate_dynamo::items::{Condition, Write};

impl Edit {
    fn plans_and_meters(&self, plans: &Plans) -> PlansAndMeters {
        let theirs = self.owner.plans.iter();
        let (active, ending): (Vec<_>, Vec<_>) = theirs.partition(|id| plans.contains_key(*id));
        PlansAndMeters {
            active: active.iter().map(|id| plans[*id].clone()).collect(),
            ending: ending.into_iter().cloned().collect(),
            meters: self.meters.clone(),
        }
    }
}

impl Admin {
    /// Changes the records of many keys in one transaction, and then their meters. If one of the records was changed meanwhile,
    /// the keys are changed one by one.
    pub(super) async fn edit_imported(
        &self,
        edits: &[Edit],
        plans: &Plans,
    ) -> Result<Vec<Outcome>, Error> {
        let now = self.now();
        let changes = edits.iter().map(|edit| {
            Unpublished::after(&edit.owner, |record| {
                edit.row.apply(record);
                record.updated = now;
                Ok::<_, Error>(())
            })
        });
        let changes: Vec<Unpublished> = changes.collect::<Result<_, _>>()?;
        let writes = changes.iter().zip(edits).map(|(change, edit)| {
            let at_revision = Condition::AtRevision(edit.owner.revision);
            Write::Put(change.item(), at_revision)
        });
        let mut outcomes = Vec::with_capacity(edits.len());
        if !self.transact(writes.collect()).await? {
            for edit in edits {
                outcomes.push(self.change_imported(&edit.row).await?);
            }
            return Ok(outcomes);
        }
        for (edit, change) in edits.iter().zip(changes) {
            let all = edit.plans_and_meters(plans);
            let record = self.sync_these_meters(change, &all).await?;
            outcomes.push((edit.row.key.row, Some(record.id), Vec::new()));
        }
        Ok(outcomes)
    }

    /// Changes the key that has a row's value, and puts it into the row's plans.
    pub(super) async fn change_imported(&self, row: &Row) -> Result<Outcome, Error> {
        let key = &row.key;
        let left_out = |reason| Ok((key.row, None, vec![warning(key.row, reason)]));
        let Some(owner) = &row.owner else {
            return left_out(being_deleted());
        };
        let change = |record: &mut KeyRecord| {
            if record.hash != key.value.hash() {
                return Err(Error::ValueExists);
            }
            row.apply(record);
            Ok::<_, Error>(())
        };
        match self.update_key(&owner.id, change).await {
            Ok(_) => {}
            Err(Error::NoSuchKey) => return left_out(being_deleted()),
            Err(Error::ValueExists) => return left_out(rotated()),
            Err(error) => return Err(error),
        }
        let mut warnings = Vec::new();
        for plan in &row.plans {
            match self.link(&plan.id, &owner.id).await {
                Ok(_) | Err(Error::AlreadyLinked) => {}
                Err(Error::StageTaken { stage, .. }) => {
                    warnings.push(warning(key.row, overlaps(&plan.id, &stage)));
                }
                Err(Error::NoSuchPlan) => {
                    warnings.push(warning(key.row, no_such_plan(&plan.id)));
                }
                Err(Error::NoSuchKey) => warnings.push(warning(key.row, being_deleted())),
                Err(error) => return Err(error),
            }
        }
        Ok((key.row, Some(owner.id.clone()), warnings))
    }
}
