//! What is left of each limit, and the fields that tell clients so.

use jiff::Timestamp;

use crate::bucket::Bucket;
use crate::calendar::start_of;
use crate::charge::{self, History};
use crate::limit::Quota;
use crate::meter::Meter;
use crate::plan::{Limits, PLAN_BUCKET};
use crate::verdict::Reason;

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
    /// The time until one more would pass, nanoseconds; 0 where the bucket is full.
    pub next_in: i128,
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
    /// What `meter` says is left of `limits` at `now`. `ahead` as in [`Ask`](charge::Ask), `history` as for [`charge::spent`].
    pub fn of(
        meter: &Meter,
        limits: &Limits,
        history: Option<History>,
        now: Timestamp,
        ahead: i128,
    ) -> Self {
        let bucket = |id: &str, bucket: Bucket| {
            let nanoseconds = now.as_nanosecond() + ahead;
            let level = meter
                .buckets
                .get(id)
                .map(|level| bucket.convert(*level, nanoseconds));
            let remaining = bucket.remaining(level, nanoseconds);
            let next_at = level.map_or(nanoseconds, |level| {
                let beyond = bucket.burst().saturating_sub(remaining).saturating_sub(1);
                level.tat - i128::from(beyond) * bucket.interval()
            });
            BucketStanding {
                burst: bucket.burst(),
                window: i128::from(bucket.burst()) * bucket.interval(),
                remaining,
                next_in: (next_at - nanoseconds).max(0),
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
            |bucket| match integer(seconds(bucket.window)) {
                // A window has to be one.
                0 => format!("q={}", bucket.burst),
                window => format!("q={};w={window}", bucket.burst),
            },
            |quota| format!("q={};w={}", integer(quota.limit), quota.window),
        )
    }

    /// The `RateLimit` field of the same draft: what is left of each (`r`), and the seconds for which there is no more (`t`).
    /// A bucket that never holds any has no such time.
    pub fn field_value(&self) -> String {
        self.field(
            |bucket| {
                if bucket.burst == 0 {
                    return "r=0".to_owned();
                }
                let next_in = integer(seconds(bucket.next_in));
                format!("r={};t={next_in}", bucket.remaining)
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
        let standing = Standing::of(&meter, &limits, None, now, 0);
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
    fn a_bucket_tells_when_one_more_would_pass_and_a_closed_one_no_time_at_all() {
        let now: Timestamp = "2026-11-22T12:00:00Z".parse().expect("a time");
        let limits = |bucket| Limits {
            rate: Some(bucket),
            ..Limits::default()
        };
        let second = 1_000_000_000;
        let field = |bucket, owed| {
            let mut meter = Meter::new(1, 1, day_of(now), None);
            let tat = now.as_nanosecond() + owed;
            let interval = second;
            meter
                .buckets
                .insert(PLAN_BUCKET.into(), Level { tat, interval });
            Standing::of(&meter, &limits(bucket), None, now, 0).field_value()
        };
        let bucket = Bucket::new(second, 5);
        assert_eq!(field(bucket, 5 * second), r#""rate";r=0;t=1"#);
        assert_eq!(field(bucket, 4 * second + 1), r#""rate";r=0;t=1"#);
        assert_eq!(field(bucket, 4 * second), r#""rate";r=1;t=1"#);
        assert_eq!(field(bucket, 1), r#""rate";r=4;t=1"#);
        assert_eq!(field(bucket, 0), r#""rate";r=5;t=0"#);
        let closed = Standing::of(
            &Meter::new(1, 1, day_of(now), None),
            &limits(Bucket::closed()),
            None,
            now,
            0,
        );
        assert_eq!(closed.field_value(), r#""rate";r=0"#);
        assert_eq!(closed.policy_field(), r#""rate";q=0"#);
    }

    #[test]
    fn without_limits_the_fields_are_empty() {
        assert_eq!(Standing::default().field_value(), "");
        assert_eq!(Standing::default().policy_field(), "");
    }
}
