//! What is left of each limit.

use jiff::Timestamp;

use crate::bucket::Bucket;
use crate::calendar::start_of;
use crate::charge::{self, History};
use crate::limit::Quota;
use crate::meter::Meter;
use crate::plan::{Limits, PLAN_BUCKET};

/// What is left of each limit that a request had to meet.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LimitStatus {
    /// The plan's throttle.
    pub rate: Option<BucketStatus>,
    /// The method's throttle.
    pub method: Option<BucketStatus>,
    /// The plan's quota.
    pub quota: Option<QuotaStatus>,
}

/// What is left of a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BucketStatus {
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
pub struct QuotaStatus {
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

impl LimitStatus {
    /// What `meter` says is left of `limits` at `now`. `ahead` as in [`ChargeRequest`](charge::ChargeRequest), `history` as for [`charge::spent`].
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
            BucketStatus {
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
    ) -> QuotaStatus {
        let (period, spent) = charge::spent(meter, quota, history, now);
        let reset = start_of(period.end());
        QuotaStatus {
            limit: quota.limit(),
            remaining: charge::remaining(quota, spent),
            window: reset.as_second() - start_of(period.start).as_second(),
            reset,
            resets_in: (reset.as_second() - now.as_second()).max(0),
        }
    }
}
