//! Which of a key's plans a request is charged under: of those that cover its stage, the one that the key was linked to first.

use std::sync::Arc;

use tollgate_core::plan::Target;
use tollgate_core::reason::Reason;
use tollgate_dynamo::failure::Failure;
use tollgate_dynamo::item::plan::PlanRecord;

use crate::account::Account;
use crate::memory::ReadPlan;

/// A plan that covers the stage of a request.
pub(crate) struct PlanMatch {
    pub(crate) plan: Arc<PlanRecord>,
    /// Why the plan or the key does not open the method, if so.
    pub(crate) refusal: Option<Reason>,
}

/// The plan that covers a request's stage; `None` if none does.
///
/// # Errors
/// A plan that could not be read, if no other covers the stage: it might.
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
