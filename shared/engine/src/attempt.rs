//! The state of one decision while the engine works on it.

use std::sync::Arc;

use jiff::Timestamp;
use tollgate_core::id::KeyId;
use tollgate_core::key::KeyHash;
use tollgate_core::status::LimitStatus;
use tollgate_core::terms::Reach;
use tollgate_core::verdict::Verdict;
use tollgate_dynamo::item::key::KeyRecord;
use tollgate_dynamo::item::plan::PlanRecord;
use tollgate_dynamo::table::Budget;

use crate::request::Request;

/// When a decision has to be complete, and which clock it uses.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scope {
    pub(crate) now: Timestamp,
    pub(crate) budget: Budget,
}

/// One decision while the engine works on it.
pub(crate) struct Attempt<'a> {
    pub(crate) request: &'a Request<'a>,
    pub(crate) hash: KeyHash,
    pub(crate) scope: Scope,
    /// When the decision began.
    pub(crate) began: Timestamp,
    /// The key whose record this decision has read from the store. A refusal by that record is final.
    pub(crate) fresh: Option<KeyId>,
    pub(crate) about: About,
}

/// The key, customer and plan that a verdict is about, as far as they are known.
#[derive(Debug, Clone, Default)]
pub(crate) struct About {
    pub(crate) key: Option<Arc<KeyRecord>>,
    pub(crate) plan: Option<Arc<PlanRecord>>,
    pub(crate) reach: Option<Reach>,
    /// What remains of the limits, for verdicts that do not carry it themselves.
    pub(crate) limit_status: LimitStatus,
}

impl About {
    /// Adds everything known about the caller to a verdict.
    pub(crate) fn complete(&self, verdict: Verdict) -> Verdict {
        Verdict {
            key_id: self.key.as_ref().map(|key| key.id.clone()),
            customer_id: self.key.as_ref().and_then(|key| key.customer_id.clone()),
            plan_id: self.plan.as_ref().map(|plan| plan.id.clone()),
            reach: self.reach.clone(),
            limit_status: if verdict.limit_status.is_empty() {
                self.limit_status.clone()
            } else {
                verdict.limit_status
            },
            ..verdict
        }
    }
}
