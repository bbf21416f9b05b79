//! A decision under way.

use std::sync::Arc;

use jiff::Timestamp;
use tollgate_core::key::KeyHash;
use tollgate_core::status::LimitStatus;
use tollgate_core::terms::Reach;
use tollgate_core::verdict::Verdict;
use tollgate_dynamo::item::key::KeyRecord;
use tollgate_dynamo::item::plan::PlanRecord;
use tollgate_dynamo::table::Budget;

use crate::request::Request;

/// The time of a decision, and how much of it is left.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scope {
    pub(crate) now: Timestamp,
    pub(crate) budget: Budget,
}

/// A decision under way.
pub(crate) struct Attempt<'a> {
    pub(crate) request: &'a Request<'a>,
    pub(crate) hash: KeyHash,
    pub(crate) scope: Scope,
    /// When it began.
    pub(crate) began: Timestamp,
    /// The key's record was read in this decision: a refusal by it is final.
    pub(crate) is_fresh: bool,
    pub(crate) about: About,
}

/// Whom a verdict is about, as far as is known.
#[derive(Debug, Clone, Default)]
pub(crate) struct About {
    pub(crate) key: Option<Arc<KeyRecord>>,
    pub(crate) plan: Option<Arc<PlanRecord>>,
    pub(crate) reach: Option<Reach>,
    /// What is left of the limits, for verdicts that do not say so themselves.
    pub(crate) limit_status: LimitStatus,
}

impl About {
    /// The verdict with everything that is known of whom it is about.
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
