//! Finds the plan to charge a request under. If several of a key's plans cover the stage, it is the one the key was linked to
//! first.

use std::sync::Arc;

use tollgate_core::plan::Target;
use tollgate_core::reason::Reason;
use tollgate_dynamo::failure::Failure;
use tollgate_dynamo::item::plan::PlanRecord;

use crate::account::Account;
use crate::memory::ReadPlan;

/// Finds the plan that covers a request's stage, whether or not it opens the method; `None` if none does.
///
/// # Errors
/// The failure to read a plan, if no other plan covers the stage: the unread one might.
pub(crate) fn plan_match(
    account: &Account,
    plans: Vec<ReadPlan>,
    target: &Target,
) -> Result<Option<Arc<PlanRecord>>, Failure> {
    let mut unread = None;
    for plan in plans {
        let plan = match plan {
            Ok(Some(plan)) => plan,
            Ok(None) => continue,
            Err(failure) => {
                unread.get_or_insert(failure);
                continue;
            }
        };
        let is_linked = account.meter(&plan.id).is_some() || account.corrupt.contains_key(&plan.id);
        if !is_linked {
            continue;
        }
        let opens = account.record.value.terms(&plan).opens(target).map(drop);
        if opens != Err(Reason::NotInPlan) {
            return Ok(Some(plan));
        }
    }
    unread.map_or(Ok(None), Err)
}
