//! What was decided and why, in the words that clients, logs and backends see.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::bucket::Bucket;
use crate::calendar::start_of;
use crate::charge::{self, History};
use crate::limit::Quota;
use crate::meter::Meter;
use crate::plan::{Limits, PLAN_BUCKET};

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
    pub const ALL: [Self; 16] = [
        Self::Ok,
        Self::MissingKey,
        Self::MalformedKey,
        Self::UnknownKey,
        Self::Disabled,
        Self::Expired,
        Self::NotInPlan,
        Self::MethodNotAllowed,
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
    pub key_id: Option<String>,
    /// The customer that the key belongs to.
    pub customer_id: Option<String>,
    /// The plan that was charged, or would have been.
    pub plan_id: Option<String>,
    /// What is left of each limit.
    pub standing: Standing,
    /// How long until the same request would pass; only where the refusal ends by itself.
    pub retry_after: Option<Duration>,
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
            standing: Standing::default(),
            retry_after: None,
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

/// What is left of each limit that a request had to meet.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Standing {
    /// The plan's throttle.
    pub rate: Option<BucketStanding>,
    /// The method's throttle.
    pub method: Option<BucketStanding>,
    /// The plan's quota.
    pub quota: Option<QuotaStanding>,
}

/// What is left of a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BucketStanding {
    /// Requests a full bucket holds.
    pub burst: u32,
    /// The time in which an empty bucket fills, nanoseconds.
    pub window: i128,
    /// Requests that would pass now.
    pub remaining: u32,
    /// The time until the bucket is full again, nanoseconds.
    pub full_in: i128,
}

/// What is left of a quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotaStanding {
    /// Requests per period.
    pub limit: u64,
    /// Requests left in this one.
    pub remaining: u64,
    /// The length of the period, seconds.
    pub window: i64,
    /// When the next period starts.
    pub reset: Timestamp,
    /// Seconds until then.
    pub resets_in: i64,
}

impl Standing {
    /// What `meter` says is left of `limits` at `now`.
    /// `history` as for [`charge::spent`].
    pub fn of(meter: &Meter, limits: &Limits, history: Option<History>, now: Timestamp) -> Self {
        let bucket = |id: &str, bucket: Bucket| {
            let nanoseconds = now.as_nanosecond();
            let level = meter
                .buckets
                .get(id)
                .map(|level| bucket.convert(*level, nanoseconds));
            BucketStanding {
                burst: bucket.burst(),
                window: i128::from(bucket.burst()) * bucket.interval(),
                remaining: bucket.remaining(level, nanoseconds),
                full_in: level.map_or(0, |level| (level.tat - nanoseconds).max(0)),
            }
        };
        Self {
            rate: limits.rate.map(|rate| bucket(PLAN_BUCKET, rate)),
            method: limits
                .method
                .as_ref()
                .map(|(id, method)| bucket(id, *method)),
            quota: limits
                .quota
                .map(|quota| Self::quota(meter, &quota, history, now)),
        }
    }

    fn quota(
        meter: &Meter,
        quota: &Quota,
        history: Option<History>,
        now: Timestamp,
    ) -> QuotaStanding {
        let (period, spent) = charge::spent(meter, quota, history, now);
        let reset = start_of(period.end());
        QuotaStanding {
            limit: quota.limit(),
            remaining: charge::remaining(quota, spent),
            window: reset.as_second() - start_of(period.start).as_second(),
            reset,
            resets_in: (reset.as_second() - now.as_second()).max(0),
        }
    }

    /// The `RateLimit-Policy` field of draft-ietf-httpapi-ratelimit-headers: what each limit allows
    /// (`q`, in a window of `w` seconds).
    pub fn policy_field(&self) -> String {
        self.field(
            |bucket| format!("q={};w={}", bucket.burst, integer(seconds(bucket.window))),
            |quota| format!("q={};w={}", integer(quota.limit), quota.window),
        )
    }

    /// The `RateLimit` field of the same draft: what is left of each (`r`), and the seconds until it is whole again (`t`).
    pub fn field_value(&self) -> String {
        self.field(
            |bucket| {
                let full_in = integer(seconds(bucket.full_in));
                format!("r={};t={full_in}", bucket.remaining)
            },
            |quota| {
                let remaining = integer(quota.remaining);
                format!("r={remaining};t={}", quota.resets_in)
            },
        )
    }

    fn field(
        &self,
        bucket: impl Fn(&BucketStanding) -> String,
        quota: impl Fn(&QuotaStanding) -> String,
    ) -> String {
        let members = [
            (Reason::Rate, self.rate.as_ref().map(&bucket)),
            (Reason::MethodRate, self.method.as_ref().map(&bucket)),
            (Reason::Quota, self.quota.as_ref().map(&quota)),
        ];
        let members: Vec<_> = members
            .into_iter()
            .filter_map(|(limit, parameters)| {
                Some(format!("\"{}\";{}", limit.policy()?, parameters?))
            })
            .collect();
        members.join(", ")
    }
}

/// As much of a number as a structured field can hold (RFC 9651, 3.3.1): fifteen digits.
fn integer(number: impl Into<i128>) -> i128 {
    number.into().min(999_999_999_999_999)
}

/// Whole seconds, rounded up.
fn seconds(nanoseconds: i128) -> i128 {
    (nanoseconds + 999_999_999) / 1_000_000_000
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bucket::Level;
    use crate::calendar::{PeriodKind, day_of};

    #[test]
    fn the_fields_name_every_limit_with_what_is_left_and_when_it_is_whole() {
        let now: Timestamp = "2026-11-22T23:59:00.5Z".parse().expect("a time");
        let quota = Quota::new(100, PeriodKind::Day, 0).expect("valid");
        let limits = Limits {
            rate: Some(Bucket::new(500_000_000, 5)),
            method: Some(("m".into(), Bucket::new(300_000_000, 1))),
            quota: Some(quota),
        };
        let mut meter = Meter::new(1, 1, day_of(now), Some(&quota));
        meter.spent = 30;
        meter.buckets.insert(
            PLAN_BUCKET.into(),
            Level {
                tat: now.as_nanosecond() + 600_000_000,
                interval: 500_000_000,
            },
        );
        let standing = Standing::of(&meter, &limits, None, now);
        assert_eq!(
            standing.policy_field(),
            r#""rate";q=5;w=3, "method";q=1;w=1, "quota";q=100;w=86400"#
        );
        assert_eq!(
            standing.field_value(),
            r#""rate";r=3;t=1, "method";r=1;t=0, "quota";r=70;t=60"#
        );
    }

    #[test]
    fn without_limits_the_fields_are_empty() {
        assert_eq!(Standing::default().field_value(), "");
        assert_eq!(Standing::default().policy_field(), "");
    }

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
