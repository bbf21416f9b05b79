//! The `RateLimit` and `RateLimit-Policy` fields of draft-ietf-httpapi-ratelimit-headers.

use tollgate_core::status::{BucketStatus, LimitStatus, QuotaStatus};
use tollgate_core::verdict::Reason;

/// The `RateLimit-Policy` field of draft-ietf-httpapi-ratelimit-headers: what each limit allows
/// (`q`, in a window of `w` seconds).
pub fn policy(standing: &LimitStatus) -> String {
    field(
        standing,
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
pub fn remaining(standing: &LimitStatus) -> String {
    field(
        standing,
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
    standing: &LimitStatus,
    bucket: impl Fn(&BucketStatus) -> String,
    quota: impl Fn(&QuotaStatus) -> String,
) -> String {
    let members = [
        (Reason::Rate, standing.rate.as_ref().map(&bucket)),
        (Reason::MethodRate, standing.method.as_ref().map(&bucket)),
        (Reason::Quota, standing.quota.as_ref().map(&quota)),
    ];
    let members: Vec<_> = members
        .into_iter()
        .filter_map(|(limit, parameters)| Some(format!("\"{}\";{}", limit.policy()?, parameters?)))
        .collect();
    members.join(", ")
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
    use jiff::Timestamp;
    use tollgate_core::bucket::{Bucket, Level};
    use tollgate_core::calendar::{PeriodKind, day_of};
    use tollgate_core::limit::Quota;
    use tollgate_core::meter::Meter;
    use tollgate_core::plan::{Limits, PLAN_BUCKET};

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
        let standing = LimitStatus::of(&meter, &limits, None, now, 0);
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
            remaining(&LimitStatus::of(&meter, &limits(bucket), None, now, 0))
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
            now,
            0,
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
