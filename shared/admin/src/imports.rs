//! Creating and changing many keys at once, whose values the caller brings along.
//!
//! New keys are written with their meters, many to a transaction, which makes each cost only its share of one call. If a key
//! with the value exists, it keeps the value and is changed where it differs from its row.
//!
//! - `check`: reads what is there, and finds out what of each row can be done.
//! - `rows`: rows after that check, and how they are batched.
//! - `sort`: sorts rows by what has to be done for them.
//! - `create`, `change`: write new keys, and change existing ones.

use std::collections::{BTreeMap, HashMap};
use std::iter::from_fn;
use std::time::Instant;

use futures_util::{FutureExt, StreamExt, TryFutureExt, stream};
use jiff::Timestamp;
use tollgate_core::id::{KeyId, PlanId, StageId};
use tollgate_core::key::KeyValue;
use tollgate_core::terms::{Override, Restriction};

use crate::{Admin, Error, is_in_time};
use tollgate_dynamo::item::key::Sealed;
use tollgate_dynamo::item::plan::PlanRecord;

mod change;
mod check;
mod create;
mod rows;
mod sort;

use check::distinct;
use rows::{Edit, Row, batches};
use sort::Work;

/// Plans by id.
type Plans = HashMap<PlanId, PlanRecord>;

/// Warnings that are returned; more are only counted.
const MOST_WARNINGS: usize = 1_000;
/// Transactions, and changes of existing keys, that run at once.
const AT_ONCE: usize = 8;

/// A key to import.
#[derive(Debug, Clone)]
pub struct ImportKey {
    /// Its row number, for warnings.
    pub row: usize,
    /// Its value.
    pub value: KeyValue,
    /// Its encrypted value, if the stack keeps values.
    pub sealed: Option<Sealed>,
    /// Its name.
    pub name: Option<String>,
    /// Its description.
    pub description: Option<String>,
    /// Whether requests with it may pass; without it, a new key is enabled.
    pub enabled: Option<bool>,
    /// The plans that it is put into.
    pub plans: Vec<PlanId>,
    /// The customer it belongs to.
    pub customer_id: Option<String>,
    /// The time from which requests with it are refused.
    pub expires: Option<Timestamp>,
    /// The methods that it may call.
    pub restriction: Option<Restriction>,
    /// Limits that replace those of its plans, by plan id.
    pub overrides: BTreeMap<PlanId, Override>,
}

/// The result of an import.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Imported {
    /// The ids of the keys, in the order of their rows.
    pub ids: Vec<KeyId>,
    /// What was left out, and why.
    pub warnings: Vec<String>,
}

/// The result of a row: its number, the key's id, and warnings.
type Outcome = (usize, Option<KeyId>, Vec<String>);

/// The results so far.
struct Progress {
    /// The ids of the imported keys, by row.
    ids: BTreeMap<usize, KeyId>,
    warnings: Vec<String>,
    /// The number of rows that are done, with or without a key.
    finished: usize,
}

impl Progress {
    fn add(&mut self, outcomes: Vec<Outcome>) {
        self.finished += outcomes.len();
        for (row, id, warnings) in outcomes {
            self.ids.extend(id.map(|id| (row, id)));
            self.warnings.extend(warnings);
        }
    }
}

impl Admin {
    /// Imports keys. With `fail_on_warnings`, nothing is written unless everything can be done. After `until` no more work is
    /// begun, except for a first piece.
    ///
    /// # Errors
    /// [`Error::Warnings`]; [`Error::Unfinished`], [`Error::Contended`] and [`Error::Store`], after which some rows may have
    /// been imported: a second import of the same rows does not change those again.
    pub async fn import_keys(
        &self,
        keys: Vec<ImportKey>,
        mut warnings: Vec<String>,
        fail_on_warnings: bool,
        until: Option<Instant>,
    ) -> Result<Imported, Error> {
        let keys = distinct(keys, &mut warnings);
        let (rows, plans) = self.check_rows(keys, &mut warnings).await?;
        if fail_on_warnings && !warnings.is_empty() {
            return Err(Error::Warnings(shortened(warnings)));
        }
        let of = rows.len();
        let links = links(&rows);
        let mut work = self.sort(rows, &plans).await?;
        let ids = std::mem::take(&mut work.unchanged);
        let mut progress = Progress {
            finished: ids.len(),
            ids,
            warnings,
        };
        let done = self.work_off(&work, &plans, until, &mut progress).await;
        self.leave_deleted_plans(&links, &mut progress).await?;
        done?;
        let finished = progress.finished;
        if finished < of {
            return Err(Error::Unfinished { finished, of });
        }
        Ok(Imported {
            ids: progress.ids.into_values().collect(),
            warnings: shortened(progress.warnings),
        })
    }

    /// Writes everything, a number of batches at once, until the first error or the end of the time.
    async fn work_off(
        &self,
        work: &Work,
        plans: &Plans,
        until: Option<Instant>,
        progress: &mut Progress,
    ) -> Result<(), Error> {
        let created = batches(&work.new, Row::size)
            .into_iter()
            .map(|batch| self.create_imported(batch, plans).boxed());
        let edited = batches(&work.edits, Edit::size)
            .into_iter()
            .map(|batch| self.edit_imported(batch, plans).boxed());
        let changed = work.others.iter().map(|row| {
            let changed = self.change_imported(row);
            changed.map_ok(|outcome| vec![outcome]).boxed()
        });
        let tasks: Vec<_> = created.chain(edited).chain(changed).collect();
        let mut tasks = tasks.into_iter();
        // Every call does something, so sending the same file again and again comes to an end.
        let mut is_first = true;
        let begun = from_fn(move || {
            let go = std::mem::take(&mut is_first) || is_in_time(until);
            go.then(|| tasks.next())?
        });
        let mut outcomes = stream::iter(begun).buffer_unordered(AT_ONCE);
        while let Some(outcome) = outcomes.next().await {
            progress.add(outcome?);
        }
        Ok(())
    }

    /// Takes keys out of plans that were deleted while the keys were put there: the deletion may not have seen them.
    async fn leave_deleted_plans(
        &self,
        links: &[(usize, PlanId)],
        progress: &mut Progress,
    ) -> Result<(), Error> {
        let named = links.iter().map(|(_, plan)| plan);
        let plans = self.existing_plans(named).await?;
        for (row, plan) in links.iter().filter(|(_, plan)| !plans.contains_key(plan)) {
            let Some(id) = progress.ids.get(row) else {
                continue;
            };
            self.unlink_if_linked(plan, id).await?;
            let reason = format!("usage plan {plan} was deleted meanwhile; the key is not in it");
            progress.warnings.push(warning(*row, reason));
        }
        Ok(())
    }
}

/// The plans that rows put their keys into, with the row numbers.
fn links(rows: &[Row]) -> Vec<(usize, PlanId)> {
    let links = rows.iter().flat_map(|row| {
        let plans = row.plans.iter();
        plans.map(|plan| (row.key.row, plan.id.clone()))
    });
    links.collect()
}

/// The text of a warning. Rows are numbered from 1, the first row under the header.
pub fn warning(row: usize, reason: impl std::fmt::Display) -> String {
    format!("row {row}: {reason}")
}

fn no_such_plan(name: &str) -> String {
    format!("there is no usage plan {name}; the key is not put into it")
}

fn overlaps(plan: &PlanId, stage: &StageId) -> String {
    format!(
        "usage plan {plan} opens API stage {stage} as another plan of the key does; it is not put into it"
    )
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
