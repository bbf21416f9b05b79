//! What remains of each limit.

use jiff::Timestamp;

use crate::bucket::{Bucket, Level};
use crate::calendar::start_of;
use crate::charge::{self, History};
use crate::limit::Quota;
use crate::limits::{Limit, Limits, Rule};
use crate::meter::Meter;
use crate::moment::{Moment, Nanos};
use crate::reason::LimitKind;

/// What remains of each limit that a request had to meet, in the order of [`Limits`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LimitStatus(Vec<(LimitKind, Remainder)>);

/// What remains of one limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remainder {
    /// What remains of a bucket.
    Bucket(BucketStatus),
    /// What remains of a quota.
    Quota(QuotaStatus),
}

/// What remains of a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BucketStatus {
    /// The number of requests that a full bucket holds.
    pub burst: u32,
    /// The time in which an empty bucket fills, in nanoseconds.
    pub window: Nanos,
    /// The number of requests that would be admitted now.
    pub remaining: u32,
    /// The time until one more request would be admitted; 0 if the bucket is full.
    pub next_in: Nanos,
    /// The time until the bucket is full again.
    pub full_in: Nanos,
}

/// What remains of a quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotaStatus {
    /// The number of requests per period.
    pub limit: u64,
    /// The number of requests that remain in this period.
    pub remaining: u64,
    /// The length of the period, in seconds.
    pub window: i64,
    /// When the next period starts.
    pub reset: Timestamp,
    /// The number of seconds until the next period starts.
    pub resets_in: i64,
}

impl LimitStatus {
    /// Computes what remains of `limits` on `meter` at `moment`. For `history` see [`charge::spent`].
    pub fn of(meter: &Meter, limits: &Limits, history: Option<History>, moment: Moment) -> Self {
        let remainder = |limit: &Limit| match &limit.rule {
            Rule::Bucket(id, bucket) => {
                let level = meter.buckets.get(id).copied();
                Remainder::Bucket(BucketStatus::of(*bucket, level, moment.bucket_time()))
            }
            Rule::Quota(quota) => {
                Remainder::Quota(QuotaStatus::of(meter, quota, history, moment.now))
            }
        };
        let remainders = limits.iter().map(|limit| (limit.kind, remainder(limit)));
        Self(remainders.collect())
    }

    /// All limits with what remains of each.
    pub fn iter(&self) -> impl Iterator<Item = (LimitKind, &Remainder)> {
        self.0.iter().map(|(kind, remainder)| (*kind, remainder))
    }

    /// What remains of the bucket of this kind, if the request has to meet such a limit.
    pub fn bucket(&self, kind: LimitKind) -> Option<BucketStatus> {
        self.iter().find_map(|(known, remainder)| match remainder {
            Remainder::Bucket(bucket) if known == kind => Some(*bucket),
            _ => None,
        })
    }

    /// What remains of the quota, if there is one.
    pub fn quota(&self) -> Option<QuotaStatus> {
        self.iter().find_map(|(_, remainder)| match remainder {
            Remainder::Quota(quota) => Some(*quota),
            Remainder::Bucket(_) => None,
        })
    }

    /// Whether there is room in every limit that requests to other methods also have to meet.
    pub fn has_room_for_other_methods(&self) -> bool {
        self.iter()
            .filter(|(kind, _)| *kind != LimitKind::Method)
            .all(|(_, remainder)| remainder.has_room())
    }

    /// Whether no limit is known.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Remainder {
    fn has_room(&self) -> bool {
        match self {
            Self::Bucket(bucket) => bucket.remaining > 0,
            Self::Quota(quota) => quota.remaining > 0,
        }
    }
}

impl FromIterator<(LimitKind, Remainder)> for LimitStatus {
    fn from_iter<I: IntoIterator<Item = (LimitKind, Remainder)>>(remainders: I) -> Self {
        Self(remainders.into_iter().collect())
    }
}

impl BucketStatus {
    /// The rate that the bucket sustains, in requests per second, to three decimals. A bucket with a burst of 0 sustains none.
    pub fn rate(&self) -> f64 {
        if self.window == 0 {
            return 0.0;
        }
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let window = self.window as f64;
        (f64::from(self.burst) * 1e12 / window).round() / 1e3
    }

    /// What remains of a bucket at `now`.
    pub fn of(bucket: Bucket, level: Option<Level>, now: Nanos) -> Self {
        let level = level.map(|level| bucket.convert(level, now));
        let remaining = bucket.remaining(level, now);
        let next_at = level.map_or(now, |level| {
            let beyond = bucket.burst().saturating_sub(remaining).saturating_sub(1);
            level.tat - bucket.increment(beyond)
        });
        Self {
            burst: bucket.burst(),
            window: bucket.increment(bucket.burst()),
            remaining,
            next_in: (next_at - now).max(0),
            full_in: level.map_or(0, |level| (level.tat - now).max(0)),
        }
    }
}

impl QuotaStatus {
    fn of(meter: &Meter, quota: &Quota, history: Option<History>, now: Timestamp) -> Self {
        let (period, spent) = charge::spent(meter, quota, history, now);
        let reset = start_of(period.end());
        Self {
            limit: quota.limit(),
            remaining: charge::remaining(quota, spent),
            window: reset.as_second() - start_of(period.start).as_second(),
            reset,
            resets_in: (reset.as_second() - now.as_second()).max(0),
        }
    }
}
