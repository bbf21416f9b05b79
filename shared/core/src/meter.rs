//! The live counters of one key under one plan.

use std::collections::BTreeMap;

use jiff::ToSpan;
use jiff::civil::Date;

use crate::bucket::Level;
use crate::calendar::{Period, start_of};
use crate::limit::Quota;
use crate::limits::BucketId;
use crate::moment::{MICROSECOND, Nanos};

/// The number of days that one clock may be ahead of another.
const DAYS_AHEAD: i64 = 2;

/// The revisions of a key's record and of a plan. Both only increase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Revisions {
    /// The revision of the key's record.
    pub key: u64,
    /// The revision of the plan.
    pub plan: u64,
}

/// The content of a meter's item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meter {
    /// The revisions that the meter was last charged under. A charge under an older revision fails.
    pub revisions: Revisions,
    /// How full each bucket is. A bucket that is missing is idle.
    pub buckets: BTreeMap<BucketId, Level>,
    /// The day that `count` belongs to.
    pub day: Date,
    /// The cost admitted on `day`.
    pub count: u64,
    /// The quota period that `spent` belongs to; `None` while the plan has no quota.
    pub period: Option<Period>,
    /// The cost charged to the quota in `period`. `UpdateUsage` sets it without changing `count`. It is negative if management
    /// granted more than the quota's limit.
    pub spent: i64,
    /// A day that is over and waits to be archived.
    pub closed: Option<ClosedDay>,
    /// The sequence number of each instance's last write; see [`lane`](crate::lane).
    pub lanes: BTreeMap<String, u64>,
    /// Whether the key was unlinked from the plan. A retired meter cannot be charged until management records in it that the
    /// key is linked again.
    pub retired: bool,
}

/// The usage of a day that is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClosedDay {
    /// The day.
    pub day: Date,
    /// The cost admitted on that day.
    pub count: u64,
    /// What remained of the quota at the end of the day. Negative if an edit lowered the quota below the amount spent; `None`
    /// if there was no quota.
    pub remaining: Option<i64>,
}

impl Meter {
    /// The times at which instances charged the meter: the last sequence number of each lane.
    ///
    /// If an instance's clock is behind, buckets that others fill look fuller to it than they are, and it would refuse requests
    /// that have room. So the latest plausible one of these times is the meter's time.
    pub fn times(&self) -> impl Iterator<Item = Nanos> {
        self.lanes.values().copied().map(time_of)
    }

    /// Whether the meter's day is plausible: some instance may have charged the meter on that day, or the day is close to
    /// today. Otherwise the item is corrupt, because no clock is that far ahead of another.
    pub fn is_of_its_day(&self, today: Date) -> bool {
        let day_before = self.day.saturating_sub(1.day());
        let charged_then = |time| time >= start_of(day_before).as_nanosecond();
        today.saturating_add(DAYS_AHEAD.days()) >= self.day || self.times().any(charged_then)
    }

    /// The times at which instances have charged the meter since it was in state `before`.
    pub fn times_since(&self, before: &Self) -> impl Iterator<Item = Nanos> {
        let lanes = self.lanes.iter();
        let news = lanes.filter(|(lane, last)| before.lanes.get(*lane) != Some(*last));
        news.map(|(_, last)| time_of(*last))
    }

    /// A meter that has not counted anything yet.
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
