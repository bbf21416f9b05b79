//! Creating imported keys with their meters, many in one transaction.

use super::rows::{Edit, Row, batches};
use super::{Outcome, Plans};
use crate::{Admin, Error};
use tollgate_dynamo::items::Write;

impl Admin {
    /// Creates keys in one transaction. If some of their values were taken meanwhile, for example by another import of the same
    /// file, those keys are changed like others that exist, and the rest is tried again.
    pub(super) async fn create_imported(
        &self,
        rows: &[Row],
        plans: &Plans,
    ) -> Result<Vec<Outcome>, Error> {
        let mut created = Vec::with_capacity(rows.len());
        let mut writes = Vec::new();
        for row in rows {
            let (record, items) = self.new_key(row.new_key(), &row.key.value, &row.plans);
            writes.extend(items.into_iter().map(Write::new_item));
            created.push((row.key.row, Some(record.id), Vec::new()));
        }
        if self.transact(writes).await? {
            return Ok(created);
        }
        let (taken, free) = self.split_by_owner(rows).await?;
        if taken.is_empty() {
            return Err(Error::Contended);
        }
        let mut outcomes = self.change_taken(taken, plans).await?;
        if !free.is_empty() {
            outcomes.extend(Box::pin(self.create_imported(&free, plans)).await?);
        }
        Ok(outcomes)
    }

    /// The rows whose values belong to keys, with these keys as owners, and the other rows. A key that is being deleted is no
    /// owner, but its row is among the first all the same.
    async fn split_by_owner(&self, rows: &[Row]) -> Result<(Vec<Row>, Vec<Row>), Error> {
        let keys: Vec<_> = rows.iter().map(|row| row.key.clone()).collect();
        let owners = self.owners(&keys).await?;
        let (mut taken, mut free) = (Vec::new(), Vec::new());
        for row in rows {
            let mut row = row.clone();
            match owners.get(&row.key.value.hash()) {
                None => free.push(row),
                Some(owner) => {
                    row.owner.clone_from(owner);
                    taken.push(row);
                }
            }
        }
        Ok((taken, free))
    }

    /// Changes the keys that have the values of these rows.
    async fn change_taken(&self, rows: Vec<Row>, plans: &Plans) -> Result<Vec<Outcome>, Error> {
        let (owned, deleting): (Vec<_>, Vec<_>) =
            rows.into_iter().partition(|row| row.owner.is_some());
        let work = self.sort(owned, plans).await?;
        let unchanged = work.unchanged.into_iter();
        let mut outcomes: Vec<_> = unchanged
            .map(|(row, id)| (row, Some(id), Vec::new()))
            .collect();
        for batch in batches(&work.edits, Edit::size) {
            outcomes.extend(self.edit_imported(batch, plans).await?);
        }
        for row in work.others.iter().chain(&deleting) {
            outcomes.push(self.change_imported(row).await?);
        }
        Ok(outcomes)
    }
}
