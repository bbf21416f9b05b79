//! The live counters of one key under one plan.

use std::collections::BTreeMap;

use jiff::ToSpan;
use jiff::civil::Date;

use crate::bucket::Level;
use crate::calendar::{Period, start_of};
use crate::limit::Quota;
use crate::limits::BucketId;
use crate::moment::{MICROSECOND, Nanos};

/// Days that one clock may be ahead of another.
const DAYS_AHEAD: i64 = 2;

/// The revisions of a key's record and of a plan. Both only grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Revisions {
    /// Of the key's record.
    pub key: u64,
    /// Of the plan.
    pub plan: u64,
}

/// What a meter's item says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meter {
    /// The revisions that it was last charged under. A charge under an older one fails.
    pub revisions: Revisions,
    /// How full each bucket is; one that is missing is idle.
    pub buckets: BTreeMap<BucketId, Level>,
    /// The day that `count` is of.
    pub day: Date,
    /// The cost admitted on `day`.
    pub count: u64,
    /// The quota period that `spent` is of; `None` while the plan has no quota.
    pub period: Option<Period>,
    /// What the quota has charged in `period`. `UpdateUsage` sets it and never touches `count`; it is negative where more
    /// was granted than the quota's limit.
    pub spent: i64,
    /// A day that is over and waits to be written out.
    pub closed: Option<ClosedDay>,
    /// The last write of each instance; see [`lane`](crate::lane).
    pub lanes: BTreeMap<String, u64>,
    /// The key was taken out of the plan: nothing may be charged, whatever else is known, until it is told that the key is in
    /// the plan again.
    pub retired: bool,
}

/// The usage of a day that is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClosedDay {
    /// The day.
    pub day: Date,
    /// The cost admitted.
    pub count: u64,
    /// What the quota had left at its end; negative where a quota was lowered under what was spent, `None` without one.
    pub remaining: Option<i64>,
}

impl Meter {
    /// The times of instances that have charged it: the last sequence number of a lane is one.
    ///
    /// An instance whose clock is behind would take buckets that others fill for fuller than they are, and refuse requests
    /// that have room. So the latest of these that can be right is the meter's time.
    pub fn times(&self) -> impl Iterator<Item = Nanos> {
        self.lanes.values().copied().map(time_of)
    }

    /// Whether some instance can have charged it on its day, or that day is not far off. Otherwise the day was put there by
    /// something else: no clock is so far ahead of another.
    pub fn is_of_its_day(&self, today: Date) -> bool {
        let day_before = self.day.saturating_sub(1.day());
        let charged_then = |time| time >= start_of(day_before).as_nanosecond();
        today.saturating_add(DAYS_AHEAD.days()) >= self.day || self.times().any(charged_then)
    }

    /// The times of instances that have charged it since it was like `before`.
    pub fn times_since(&self, before: &Self) -> impl Iterator<Item = Nanos> {
        let lanes = self.lanes.iter();
        let news = lanes.filter(|(lane, last)| before.lanes.get(*lane) != Some(*last));
        news.map(|(_, last)| time_of(*last))
    }

    /// A meter that has counted nothing yet.
    pub fn new(key_revision: u64, plan_revision: u64, day: Date, quota: Option<&Quota>) -> Self {
        Self {
            revisions: Revisions {
                key: key_revision,
                plan: plan_revision,
            },
            buckets: BTreeMap::new(),
            day,
            count: 0,
            period: quota.map(|quota| quota.period_of(day)),
            spent: 0,
            closed: None,
            lanes: BTreeMap::new(),
            retired: false,
        }
    }
}

fn time_of(sequence: u64) -> Nanos {
    Nanos::from(sequence) * MICROSECOND
}
