//! What was decided and why, in the words that clients, logs and backends see.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::id::{KeyId, PlanId};
use crate::status::LimitStatus;
use crate::terms::Reach;

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// It goes on.
    Allow,
    /// It came too fast.
    Throttled,
    /// Its quota is spent.
    QuotaExceeded,
    /// Anything else.
    Denied,
}

impl Decision {
    /// The word in the authorizer's context.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Throttled => "throttled",
            Self::QuotaExceeded => "quota_exceeded",
            Self::Denied => "denied",
        }
    }
}

/// Why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Everything is in order.
    Ok,
    /// The request carries no key.
    MissingKey,
    /// What it carries cannot be a key.
    MalformedKey,
    /// No such key.
    UnknownKey,
    /// The key is switched off.
    Disabled,
    /// The key, or the value that was sent, was good until a time that is over.
    Expired,
    /// None of the key's plans opens this API stage.
    NotInPlan,
    /// The plan, or the key itself, does not open this method.
    MethodNotAllowed,
    /// The path cannot be decoded, and something in the stage is closed or limited by its method.
    MalformedPath,
    /// The plan's throttle.
    Rate,
    /// The method's throttle.
    MethodRate,
    /// The plan's quota.
    Quota,
    /// The request costs more than a full bucket holds, so it can never pass.
    CostExceedsBurst,
    /// Every try of the write met another change.
    Contended,
    /// The answer of the write was lost and it could not be made safely again.
    Uncertain,
    /// The store did not answer, or its answer cannot be understood.
    StoreUnavailable,
    /// The event cannot be read.
    BadEvent,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 17] = [
        Self::Ok,
        Self::MissingKey,
        Self::MalformedKey,
        Self::UnknownKey,
        Self::Disabled,
        Self::Expired,
        Self::NotInPlan,
        Self::MethodNotAllowed,
        Self::MalformedPath,
        Self::Rate,
        Self::MethodRate,
        Self::Quota,
        Self::CostExceedsBurst,
        Self::Contended,
        Self::Uncertain,
        Self::StoreUnavailable,
        Self::BadEvent,
    ];

    /// The word in the authorizer's context.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::MissingKey => "missing_key",
            Self::MalformedKey => "malformed_key",
            Self::UnknownKey => "unknown_key",
            Self::Disabled => "disabled",
            Self::Expired => "expired",
            Self::NotInPlan => "not_in_plan",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::MalformedPath => "malformed_path",
            Self::Rate => "rate",
            Self::MethodRate => "method_rate",
            Self::Quota => "quota",
            Self::CostExceedsBurst => "cost_exceeds_burst",
            Self::Contended => "contended",
            Self::Uncertain => "uncertain",
            Self::StoreUnavailable => "store_unavailable",
            Self::BadEvent => "bad_event",
        }
    }

    /// The limit that refuses, by its name in `RateLimit-Policy`.
    pub fn policy(self) -> Option<&'static str> {
        match self {
            Self::Rate => Some("rate"),
            Self::MethodRate => Some("method"),
            Self::Quota => Some("quota"),
            _ => None,
        }
    }

    /// Whether an edit of a plan may end it.
    pub fn is_by_plan(self) -> bool {
        matches!(
            self,
            Self::NotInPlan | Self::MethodNotAllowed | Self::MalformedPath
        )
    }

    /// The decision that follows.
    pub fn decision(self) -> Decision {
        match self {
            Self::Ok => Decision::Allow,
            Self::Rate | Self::MethodRate | Self::CostExceedsBurst => Decision::Throttled,
            Self::Quota => Decision::QuotaExceeded,
            _ => Decision::Denied,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The answer to one request.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// What becomes of the request.
    pub decision: Decision,
    /// Why.
    pub reason: Reason,
    /// The key, where it is known.
    pub key_id: Option<KeyId>,
    /// The customer that the key belongs to.
    pub customer_id: Option<String>,
    /// The plan that was charged, or would have been.
    pub plan_id: Option<PlanId>,
    /// What is left of each limit.
    pub standing: LimitStatus,
    /// How long until the same request would pass; only where the refusal ends by itself.
    pub retry_after: Option<Duration>,
    /// What the key may call in the stage, where somebody wants to know.
    pub reach: Option<Reach>,
}

impl Verdict {
    /// A verdict for `reason`, with nothing known yet of key and plan.
    pub fn because(reason: Reason) -> Self {
        Self {
            decision: reason.decision(),
            reason,
            key_id: None,
            customer_id: None,
            plan_id: None,
            standing: LimitStatus::default(),
            retry_after: None,
            reach: None,
        }
    }

    /// Whether the request goes on.
    pub fn is_allowed(&self) -> bool {
        self.decision == Decision::Allow
    }

    /// Whether a limit refuses it.
    pub fn is_by_limit(&self) -> bool {
        matches!(self.decision, Decision::Throttled | Decision::QuotaExceeded)
    }

    /// [`retry_after`](Self::retry_after) in whole seconds, rounded up: coming back then is never too early.
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
    fn only_ok_allows_and_each_reason_has_its_decision() {
        use Reason::{
            BadEvent, Contended, CostExceedsBurst, Disabled, MalformedKey, MethodNotAllowed,
            MethodRate, MissingKey, NotInPlan, Rate, StoreUnavailable, Uncertain, UnknownKey,
        };
        assert_eq!(Reason::Ok.decision(), Decision::Allow);
        assert!(Verdict::because(Reason::Ok).is_allowed());
        assert!(!Verdict::because(Reason::Quota).is_allowed());
        assert_eq!(Reason::Quota.decision(), Decision::QuotaExceeded);
        for reason in [Rate, MethodRate, CostExceedsBurst] {
            assert_eq!(reason.decision(), Decision::Throttled);
        }
        for reason in [
            MissingKey,
            MalformedKey,
            UnknownKey,
            Disabled,
            NotInPlan,
            MethodNotAllowed,
            Contended,
            Uncertain,
            StoreUnavailable,
            BadEvent,
        ] {
            assert_eq!(reason.decision(), Decision::Denied);
        }
        assert_eq!(Decision::QuotaExceeded.as_str(), "quota_exceeded");
        assert_eq!(CostExceedsBurst.to_string(), "cost_exceeds_burst");
    }
}
