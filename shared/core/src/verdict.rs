//! The answer to one request.

use std::time::Duration;

use crate::id::{KeyId, PlanId};
use crate::status::LimitStatus;
use crate::terms::Reach;

pub use crate::reason::{Decision, Reason};

/// The answer to one request.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// Whether the request is admitted and, if not, the kind of refusal.
    pub decision: Decision,
    /// The reason of the decision.
    pub reason: Reason,
    /// The key, if it is known.
    pub key_id: Option<KeyId>,
    /// The customer that the key belongs to.
    pub customer_id: Option<String>,
    /// The plan that was charged, or would have been.
    pub plan_id: Option<PlanId>,
    /// What remains of each limit.
    pub limit_status: LimitStatus,
    /// How long until the same request would be admitted. Present only if the refusal ends by itself.
    pub retry_after: Option<Duration>,
    /// The methods of the stage that the key may call, if the engine was configured to include them.
    pub reach: Option<Reach>,
}

impl Verdict {
    /// A verdict for `reason`, before the key and plan are known.
    pub fn because(reason: Reason) -> Self {
        Self {
            decision: reason.decision(),
            reason,
            key_id: None,
            customer_id: None,
            plan_id: None,
            limit_status: LimitStatus::default(),
            retry_after: None,
            reach: None,
        }
    }

    /// Whether the request is admitted.
    pub fn is_allowed(&self) -> bool {
        self.decision == Decision::Allow
    }

    /// Whether a limit refuses the request.
    pub fn is_by_limit(&self) -> bool {
        matches!(self.decision, Decision::Throttled | Decision::QuotaExceeded)
    }

    /// [`retry_after`](Self::retry_after) in whole seconds, rounded up so that a retry is never too early.
    pub fn retry_after_seconds(&self) -> Option<u64> {
        self.retry_after
            .map(|wait| wait.as_secs() + u64::from(wait.subsec_nanos() > 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_rounded_up_to_whole_seconds() {
        let wait = |nanoseconds| {
            Verdict {
                retry_after: Some(Duration::from_nanos(nanoseconds)),
                ..Verdict::because(Reason::Rate)
            }
            .retry_after_seconds()
        };
        assert_eq!(wait(1), Some(1));
        assert_eq!(wait(1_000_000_000), Some(1));
        assert_eq!(wait(1_000_000_001), Some(2));
        assert_eq!(
            Verdict::because(Reason::Disabled).retry_after_seconds(),
            None
        );
    }

    #[test]
    fn only_ok_allows() {
        assert!(Verdict::because(Reason::Ok).is_allowed());
        assert!(!Verdict::because(Reason::Quota).is_allowed());
    }
}
