//! A charge as a list of effects, each with its own condition. The store checks all conditions and makes either all changes or
//! none.

use jiff::civil::Date;

use crate::bucket::Level;
use crate::calendar::Period;
use crate::limits::BucketId;
use crate::meter::Revisions;
use crate::moment::Nanos;

/// A conditional write to one meter.
#[derive(Debug, Clone, PartialEq)]
pub struct Charge {
    /// The cost to charge to every limit.
    pub cost: u32,
    /// The revisions under which the charge is made.
    pub revisions: Revisions,
    /// Whether these revisions may be newer than the meter's. If not, they must equal the meter's, and the write is smaller.
    pub revisions_may_be_new: bool,
    /// The time to use for buckets, in nanoseconds since the epoch.
    pub now: Nanos,
    /// The changes that the charge makes.
    pub effects: Vec<Effect>,
}

/// One effect of a charge.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Adds the cost to the count of the meter's day, which must be this day.
    Count(Date),
    /// Closes the meter's day, opens another one and counts the cost for that.
    CloseDay(CloseDay),
    /// Removes this archived day from the meter. Another instance may already have removed it.
    ClearArchived(Date),
    /// Charges the cost to the quota.
    Spend(Spend),
    /// Fills a bucket.
    Fill(BucketId, BucketUpdate),
    /// Removes an idle bucket.
    DropIdle(BucketId),
}

/// How a charge closes the meter's day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CloseDay {
    /// The meter's day, which is over.
    pub over: Date,
    /// The day to open.
    pub opens: Date,
    /// The quota's limit on the closed day; `None` if the meter's amount spent is of another period.
    pub limit: Option<u64>,
    /// An earlier closed day that the new one replaces, because it is archived. If `None`, the meter must have no closed day.
    pub replaces: Option<Date>,
}

/// How a charge changes the quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spend {
    /// The period that the meter must be in; `None` if its plan had no quota.
    pub period_before: Option<Period>,
    /// The charge to the quota; `None` if the plan has no quota.
    pub quota: Option<QuotaCharge>,
}

/// A charge to a quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotaCharge {
    /// The period to charge.
    pub period: Period,
    /// The amount that counts as spent before the charge.
    pub before: SpentBefore,
    /// The largest amount spent before the charge that leaves room for it. Negative if more was granted than the limit and the
    /// cost uses more than the limit at once.
    pub room: i128,
}

/// The amount that counts as spent in a period before a charge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpentBefore {
    /// The meter's own number, because the meter is in this period.
    Spent,
    /// Nothing: the period began after the meter's day.
    Nothing,
    /// The count of the meter's day plus this amount: an edit changed the quota to a period that had already begun.
    CountAnd(u64),
    /// This amount, whatever was spent, because management has set what remains.
    Granted(i64),
}

/// How to fill one bucket. DynamoDB has no `max()`, so this code chooses the branch and the write's condition checks it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BucketUpdate {
    /// Sets the bucket, because it is idle (missing, or `tat` is not after now) or busy for no longer than `hold`.
    Open {
        /// The new level.
        to: Level,
        /// How long the bucket is held: `tat` may be this far ahead of now, if it was charged at the new level's pace.
        hold: Nanos,
        /// Whether the meter has the bucket. If so, it must still be there, and the write has less to check.
        is_there: bool,
    },
    /// Adds to `tat`, because the bucket is busy at this plan's pace. Two such updates commute, so concurrent requests for one
    /// key do not make each other fail.
    Add {
        /// The time per request; the stored one must be the same.
        interval: Nanos,
        /// The largest `tat` that leaves room.
        bound: Nanos,
        /// The time to add to `tat`.
        add: Nanos,
    },
    /// Replaces exactly the level that was seen, because the bucket is busy at another pace.
    Convert {
        /// The level that was seen.
        from: Level,
        /// The new level.
        to: Level,
    },
}

impl Charge {
    /// The buckets that the charge fills.
    pub fn buckets(&self) -> impl Iterator<Item = (&str, &BucketUpdate)> {
        self.effects.iter().filter_map(|effect| match effect {
            Effect::Fill(id, update) => Some((id.as_str(), update)),
            _ => None,
        })
    }
}
