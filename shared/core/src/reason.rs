//! Decisions and their reasons, in the words that clients, logs and backends see.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The decision on a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// The request is admitted.
    Allow,
    /// The request came too fast: a bucket has no room.
    Throttled,
    /// The quota of the period is spent.
    QuotaExceeded,
    /// The request is refused for any other reason.
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

/// The reason of a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The request is admitted.
    Ok,
    /// The request carries no key.
    MissingKey,
    /// The value that the request carries cannot be a key.
    MalformedKey,
    /// No key has this value.
    UnknownKey,
    /// The key is disabled.
    Disabled,
    /// The key, or the value that the client sent, has expired.
    Expired,
    /// None of the key's plans opens this API stage.
    NotInPlan,
    /// The plan, or the key itself, does not open this method.
    MethodNotAllowed,
    /// The path cannot be decoded, and something in the stage is closed or limited by method.
    MalformedPath,
    /// The plan's throttle has no room.
    Rate,
    /// The method's throttle has no room.
    MethodRate,
    /// The plan's quota has no room.
    Quota,
    /// The request costs more than a full bucket holds, so it can never be admitted.
    CostExceedsBurst,
    /// Every attempt of the write lost to a concurrent write.
    Contended,
    /// The answer to the write was lost, and the write could not be repeated safely.
    Uncertain,
    /// The store did not answer, or its answer could not be understood.
    StoreUnavailable,
    /// The event could not be parsed.
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

    /// The word in the authorizer's context, the decision, and a sentence for clients.
    fn words(self) -> (&'static str, Decision, &'static str) {
        use Decision::{Allow, Denied, QuotaExceeded, Throttled};
        const UNDECIDED: &str = "the request could not be decided";
        const REFUSED: &str = "the request is refused";
        const UNKNOWN: &str = "the API key is not known";
        const NO_PLAN: &str = "the API key is in no usage plan for this API";
        const CLOSED: &str = "the API key may not call this method";
        const MALFORMED: &str = "the path cannot be decoded: expected %XX to be bytes of UTF-8";
        const METHOD_RATE: &str = "the rate of this method is exceeded";
        const TOO_LARGE: &str = "the request costs more than the usage plan ever allows";
        match self {
            Self::Ok => ("ok", Allow, REFUSED),
            Self::MissingKey => ("missing_key", Denied, "the request carries no API key"),
            Self::MalformedKey => ("malformed_key", Denied, UNKNOWN),
            Self::UnknownKey => ("unknown_key", Denied, UNKNOWN),
            Self::Disabled => ("disabled", Denied, "the API key is disabled"),
            Self::Expired => ("expired", Denied, "the API key has expired"),
            Self::NotInPlan => ("not_in_plan", Denied, NO_PLAN),
            Self::MethodNotAllowed => ("method_not_allowed", Denied, CLOSED),
            Self::MalformedPath => ("malformed_path", Denied, MALFORMED),
            Self::Rate => ("rate", Throttled, "the usage plan's rate is exceeded"),
            Self::MethodRate => ("method_rate", Throttled, METHOD_RATE),
            Self::Quota => ("quota", QuotaExceeded, "the usage plan's quota is spent"),
            Self::CostExceedsBurst => ("cost_exceeds_burst", Throttled, TOO_LARGE),
            Self::Contended => ("contended", Denied, UNDECIDED),
            Self::Uncertain => ("uncertain", Denied, UNDECIDED),
            Self::StoreUnavailable => ("store_unavailable", Denied, UNDECIDED),
            Self::BadEvent => ("bad_event", Denied, REFUSED),
        }
    }

    /// The word in the authorizer's context.
    pub fn as_str(self) -> &'static str {
        self.words().0
    }

    /// The decision that has this reason.
    pub fn decision(self) -> Decision {
        self.words().1
    }

    /// A sentence for clients, without its full stop.
    pub fn sentence(self) -> &'static str {
        self.words().2
    }

    /// The limit that refuses the request, if a limit does.
    pub fn limit(self) -> Option<LimitKind> {
        LimitKind::ALL
            .into_iter()
            .find(|kind| kind.reason() == self)
    }

    /// Whether an edit of a plan may lift the refusal.
    pub fn is_by_plan(self) -> bool {
        matches!(
            self,
            Self::NotInPlan | Self::MethodNotAllowed | Self::MalformedPath
        )
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The kinds of limits that a request may have to meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LimitKind {
    /// The plan's throttle.
    Rate,
    /// The method's throttle.
    Method,
    /// The plan's quota.
    Quota,
}

impl LimitKind {
    /// Every kind of limit.
    pub const ALL: [Self; 3] = [Self::Rate, Self::Method, Self::Quota];

    /// The name in `RateLimit-Policy`, and the reason of a refusal by this kind of limit.
    fn words(self) -> (&'static str, Reason) {
        match self {
            Self::Rate => ("rate", Reason::Rate),
            Self::Method => ("method", Reason::MethodRate),
            Self::Quota => ("quota", Reason::Quota),
        }
    }

    /// The name in `RateLimit-Policy`.
    pub fn name(self) -> &'static str {
        self.words().0
    }

    /// The reason of a refusal by this kind of limit.
    pub fn reason(self) -> Reason {
        self.words().1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ok_allows_and_each_reason_has_its_decision() {
        use Reason::{
            BadEvent, Contended, CostExceedsBurst, Disabled, MalformedKey, MethodNotAllowed,
            MethodRate, MissingKey, NotInPlan, Rate, StoreUnavailable, Uncertain, UnknownKey,
        };
        assert_eq!(Reason::Ok.decision(), Decision::Allow);
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
