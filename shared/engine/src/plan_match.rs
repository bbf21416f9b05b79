//! Finds the plan to charge a request under. If several of a key's plans cover the stage, it is the one the key was linked to
//! first.

use std::sync::Arc;

use tollgate_core::plan::Target;
use tollgate_core::reason::Reason;
use tollgate_dynamo::failure::Failure;
use tollgate_dynamo::item::plan::PlanRecord;

use crate::account::Account;
use crate::memory::ReadPlan;

/// The plan that covers a request's stage.
pub(crate) struct PlanMatch {
    pub(crate) plan: Arc<PlanRecord>,
    /// Why the plan or the key does not open the method; `None` if both do.
    pub(crate) refusal: Option<Reason>,
}

/// Finds the plan that covers a request's stage; `None` if none does.
///
/// # Errors
/// The failure to read a plan, if no other plan covers the stage: the unread one might.
pub(crate) fn plan_match(
    account: &Account,
    plans: Vec<ReadPlan>,
    target: &Target,
) -> Result<Option<PlanMatch>, Failure> {
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
        let refusal = account.record.value.terms(&plan).opens(target).err();
        if refusal != Some(Reason::NotInPlan) {
            return Ok(Some(PlanMatch { plan, refusal }));
        }
    }
    unread.map_or(Ok(None), Err)
}
