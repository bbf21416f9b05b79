//! A charge as a list of effects, each with its own condition. The store checks all conditions and makes all changes, or none.

use jiff::civil::Date;

use crate::bucket::Level;
use crate::calendar::Period;
use crate::limits::BucketId;
use crate::meter::Revisions;
use crate::moment::Nanos;

/// A conditional write to one meter.
#[derive(Debug, Clone, PartialEq)]
pub struct Charge {
    /// The cost that is charged to every limit.
    pub cost: u32,
    /// The revisions under which it is made.
    pub revisions: Revisions,
    /// Whether the meter may not know these revisions yet. Otherwise they must be the meter's, and there is less to write.
    pub revisions_may_be_new: bool,
    /// The time that buckets follow.
    pub now: Nanos,
    /// Its effects.
    pub effects: Vec<Effect>,
}

/// One effect of a charge.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Counts the cost for the meter's day, which must be this one.
    Count(Date),
    /// Closes the meter's day, opens another and counts the cost for that.
    CloseDay(CloseDay),
    /// Removes the closed day, which is archived; others may have removed it before.
    ClearArchived(Date),
    /// Charges the cost to the quota.
    Spend(Spend),
    /// Fills a bucket.
    Fill(BucketId, BucketUpdate),
    /// Removes a bucket that is idle.
    DropIdle(BucketId),
}

/// How a meter's day is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CloseDay {
    /// The meter's day, which is over.
    pub over: Date,
    /// The day that is opened.
    pub opens: Date,
    /// The limit of the quota, if what was spent on the closed day was spent of it.
    pub limit: Option<u64>,
    /// An earlier closed day in whose place the new one is put: it is archived. Without one there must be none.
    pub replaces: Option<Date>,
}

/// How the cost is charged to the quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spend {
    /// The period that the meter is in, which must be so; `None` if its plan had no quota.
    pub period_before: Option<Period>,
    /// What is charged; `None` if the plan has no quota.
    pub quota: Option<QuotaCharge>,
}

/// A charge to a quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotaCharge {
    /// The period that it counts for.
    pub period: Period,
    /// What counts as spent before it.
    pub before: SpentBefore,
    /// The largest amount spent before that leaves room; negative if more was granted than the limit, and is asked for at once.
    pub room: i128,
}

/// What counts as spent in a period before a charge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpentBefore {
    /// The meter's own number: it is in this period.
    Spent,
    /// Nothing: the period began after the meter's day.
    Nothing,
    /// The count of the meter's day and this many more: the quota was changed to one that had begun by then.
    CountAnd(u64),
    /// This, whatever was spent: management has set what is left.
    Granted(i64),
}

/// How one bucket is filled. DynamoDB has no `max()`, so the branch is chosen here and checked there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BucketUpdate {
    /// The bucket is idle (missing, or `tat` not after now), or busy for no longer than it is to be held: set it.
    Open {
        /// The new level.
        to: Level,
        /// How long it is held: `tat` may be this far ahead of now, if it came about at the new level's pace.
        hold: Nanos,
        /// Whether the bucket was seen; then it must not be missing, and there is less to check.
        is_there: bool,
    },
    /// The bucket is busy at this plan's pace: add to `tat`. Two such updates commute, so a hot key causes no needless failures.
    Add {
        /// The pace, per request; the stored one must be the same.
        interval: Nanos,
        /// The largest `tat` that leaves room.
        bound: Nanos,
        /// What is added to `tat`.
        add: Nanos,
    },
    /// The bucket is busy at another pace: replace exactly what was seen.
    Convert {
        /// The level that was seen.
        from: Level,
        /// The new level.
        to: Level,
    },
}

impl Charge {
    /// The buckets that it fills.
    pub fn buckets(&self) -> impl Iterator<Item = (&str, &BucketUpdate)> {
        self.effects.iter().filter_map(|effect| match effect {
            Effect::Fill(id, update) => Some((id.as_str(), update)),
            _ => None,
        })
    }
}
