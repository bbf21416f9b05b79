//! The `RateLimit` and `RateLimit-Policy` fields of draft-ietf-httpapi-ratelimit-headers: one member for each limit.

use tollgate_core::moment::{Nanos, SECOND};
use tollgate_core::status::{BucketStatus, LimitStatus, QuotaStatus, Remainder};

/// `RateLimit-Policy`: what each limit allows (`q`, in a window of `w` seconds).
pub fn policy(status: &LimitStatus) -> String {
    field(status, |remainder| match remainder {
        Remainder::Bucket(BucketStatus { burst, window, .. }) => {
            match integer(seconds(*window)) {
                // The window must not be 0.
                0 => format!("q={burst}"),
                window => format!("q={burst};w={window}"),
            }
        }
        Remainder::Quota(QuotaStatus { limit, window, .. }) => {
            format!("q={};w={window}", integer(*limit))
        }
    })
}

/// `RateLimit`: what remains of each limit (`r`), and the seconds until more is available (`t`). A bucket with a burst of 0 has
/// no `t`, because it never has more.
pub fn remaining(status: &LimitStatus) -> String {
    field(status, |remainder| match remainder {
        Remainder::Bucket(BucketStatus { burst: 0, .. }) => "r=0".to_owned(),
        Remainder::Bucket(bucket) => {
            let next_in = integer(seconds(bucket.next_in));
            format!("r={};t={next_in}", bucket.remaining)
        }
        Remainder::Quota(quota) => {
            format!("r={};t={}", integer(quota.remaining), quota.resets_in)
        }
    })
}

fn field(status: &LimitStatus, parameters: impl Fn(&Remainder) -> String) -> String {
    let members = status
        .iter()
        .map(|(kind, remainder)| format!("\"{}\";{}", kind.name(), parameters(remainder)));
    members.collect::<Vec<_>>().join(", ")
}

/// Limits a number to the fifteen digits that a structured field can hold (RFC 9651, 3.3.1).
fn integer(number: impl Into<i128>) -> i128 {
    number.into().min(999_999_999_999_999)
}

/// Whole seconds, rounded up.
fn seconds(span: Nanos) -> Nanos {
    (span + SECOND - 1) / SECOND
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use tollgate_core::bucket::{Bucket, Level};
    use tollgate_core::calendar::{PeriodKind, day_of};
    use tollgate_core::limit::Quota;
    use tollgate_core::limits::{Limit, Limits, PLAN_BUCKET};
    use tollgate_core::meter::Meter;
    use tollgate_core::moment::Moment;

    fn at(now: Timestamp) -> Moment {
        Moment {
            now,
            ahead: 0,
            tolerance: Nanos::MAX,
        }
    }

    #[test]
    fn the_fields_name_every_limit_with_what_is_left_and_when_it_is_whole() {
        let now: Timestamp = "2026-11-22T23:59:00.5Z".parse().expect("a time");
        let quota = Quota::new(100, PeriodKind::Day, 0).expect("valid");
        let limits = Limits::default()
            .and(Limit::rate(Bucket::new(500_000_000, 5)))
            .and(Limit::method("m".into(), Bucket::new(300_000_000, 1)))
            .and(Limit::quota(quota));
        let mut meter = Meter::new(1, 1, day_of(now), Some(&quota));
        meter.spent = 30;
        meter.buckets.insert(
            PLAN_BUCKET.into(),
            Level {
                tat: now.as_nanosecond() + 600_000_000,
                interval: 500_000_000,
            },
        );
        let standing = LimitStatus::of(&meter, &limits, None, at(now));
        assert_eq!(
            policy(&standing),
            r#""rate";q=5;w=3, "method";q=1;w=1, "quota";q=100;w=86400"#
        );
        assert_eq!(
            remaining(&standing),
            r#""rate";r=3;t=1, "method";r=1;t=0, "quota";r=70;t=60"#
        );
    }

    #[test]
    fn a_bucket_tells_when_one_more_would_pass_and_a_closed_one_no_time_at_all() {
        let now: Timestamp = "2026-11-22T12:00:00Z".parse().expect("a time");
        let limits = |bucket| Limits::default().and(Limit::rate(bucket));
        let second = 1_000_000_000;
        let field = |bucket, owed| {
            let mut meter = Meter::new(1, 1, day_of(now), None);
            let tat = now.as_nanosecond() + owed;
            let interval = second;
            meter
                .buckets
                .insert(PLAN_BUCKET.into(), Level { tat, interval });
            remaining(&LimitStatus::of(&meter, &limits(bucket), None, at(now)))
        };
        let bucket = Bucket::new(second, 5);
        assert_eq!(field(bucket, 5 * second), r#""rate";r=0;t=1"#);
        assert_eq!(field(bucket, 4 * second + 1), r#""rate";r=0;t=1"#);
        assert_eq!(field(bucket, 4 * second), r#""rate";r=1;t=1"#);
        assert_eq!(field(bucket, 1), r#""rate";r=4;t=1"#);
        assert_eq!(field(bucket, 0), r#""rate";r=5;t=0"#);
        let closed = LimitStatus::of(
            &Meter::new(1, 1, day_of(now), None),
            &limits(Bucket::closed()),
            None,
            at(now),
        );
        assert_eq!(remaining(&closed), r#""rate";r=0"#);
        assert_eq!(policy(&closed), r#""rate";q=0"#);
    }

    #[test]
    fn without_limits_the_fields_are_empty() {
        assert_eq!(remaining(&LimitStatus::default()), "");
        assert_eq!(policy(&LimitStatus::default()), "");
    }
}
