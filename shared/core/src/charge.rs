//! Charging: given a meter as it was last seen and a request, the one conditional write that would charge it.
//!
//! The write states everything it relies on as a condition, so the meter may be out of date: then the write fails, the
//! store hands back the meter as it is, and [`charge`](fn@charge) is asked again. What the store confirms is exact; what
//! was only remembered costs at most another try.

use std::num::NonZeroU32;

use jiff::Timestamp;
use jiff::civil::Date;

use crate::bucket::{Bucket, Level};
use crate::calendar::Period;
use crate::meter::{ClosedDay, Meter};
use crate::plan::{BucketId, Limits};

mod grant;
mod refusal;
mod turn;

pub use grant::{Grant, grant};
pub use refusal::Refusal;
use refusal::refusal;
use turn::Turn;
pub use turn::{remaining, spent};

/// A request, as far as its charge goes.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// When it came.
    pub now: Timestamp,
    /// What it charges to every limit.
    pub cost: NonZeroU32,
    /// The revision of the key's record as we know it.
    pub key_revision: u64,
    /// The revision of the plan as we know it.
    pub plan_revision: u64,
    /// The limits it meets.
    pub limits: &'a Limits,
    /// A closed day that is known to be written out.
    pub flushed: Option<Date>,
    /// What was admitted in a period before the meter's day, where that was asked for.
    pub history: Option<History>,
}

/// What was admitted in a period before the meter's day: the sum of its closed days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct History {
    /// The period.
    pub period: Period,
    /// The meter's day, which is not counted in.
    pub before: Date,
    /// The sum.
    pub admitted: u64,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Try this charge; if it passes, the request is admitted.
    Charge(Charge),
    /// Make this write first, which charges nothing, then ask again.
    Settle(Settle),
    /// Write this closed day out first, so that another can close, then ask again.
    Flush(ClosedDay),
    /// Sum up what was admitted in this period before this day, then ask again: the quota was changed to one that began
    /// before the meter's day.
    Recount(Period, Date),
    /// Refuse: so it stands in the meter.
    Refuse(Refusal),
    /// The meter was told of a later revision of the key: read the key again.
    KeyChanged,
    /// The meter was charged under a later revision of the plan: read the plan again.
    PlanChanged,
}

/// A charge: all its conditions hold and all its changes are made, or none.
#[derive(Debug, Clone, PartialEq)]
pub struct Charge {
    /// What is charged to every limit.
    pub cost: u32,
    /// Must not be under the meter's; becomes the meter's.
    pub key_revision: u64,
    /// Must not be under the meter's; becomes the meter's.
    pub plan_revision: u64,
    /// When the request came, nanoseconds since the epoch.
    pub now: i128,
    /// The day it counts for.
    pub day: Date,
    /// The meter's day, where that is over: it is closed by this charge.
    pub closes: Option<Date>,
    /// The quota it charges; `None` where the plan has none.
    pub quota: Option<QuotaCharge>,
    /// The quota period that the meter is in.
    pub period_before: Option<Period>,
    /// The quota's limit, where what the closed day left of it is known.
    pub closed_limit: Option<u64>,
    /// The buckets it fills.
    pub buckets: Vec<(BucketId, Fill)>,
    /// Idle buckets that it clears away.
    pub prunes: Vec<BucketId>,
    /// The closed day that is written out and that it drops; it must still be there.
    pub drops: Option<Date>,
}

/// What a charge does to the quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotaCharge {
    /// The period it counts for.
    pub period: Period,
    /// What counts as spent before it.
    pub base: Base,
    /// The largest base that leaves room.
    pub room: u64,
}

/// What counts as spent in a period before a charge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Base {
    /// What the meter says: it is in this period.
    Spent,
    /// Nothing: the period began after the meter's day.
    Nothing,
    /// The count of the meter's day and this many more: the quota was changed to one that had begun by then.
    CountAnd(u64),
    /// This, whatever was spent: what is left was set.
    Granted(i64),
}

/// How one bucket is filled. DynamoDB has no `max()`, so the branch is chosen here and checked there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fill {
    /// It is idle (missing, or `tat` not after now): set it.
    Idle {
        /// The new level.
        to: Level,
    },
    /// It is busy at this plan's pace: add to `tat`. Two such fills commute, so a hot key makes no needless failures.
    Busy {
        /// The pace, nanoseconds per request; the stored one must be the same.
        interval: i128,
        /// The largest `tat` that leaves room, nanoseconds since the epoch.
        bound: i128,
        /// What is added to `tat`, nanoseconds.
        add: i128,
    },
    /// It is busy at another pace: replace exactly what was seen.
    Convert {
        /// What was seen.
        from: Level,
        /// The new level.
        to: Level,
    },
}

/// A write that charges nothing: it makes a newer plan known, and turns buckets to its pace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settle {
    /// Must not be under the meter's; becomes the meter's.
    pub key_revision: u64,
    /// Must not be under the meter's; becomes the meter's.
    pub plan_revision: u64,
    /// Buckets, each from exactly what was seen.
    pub converts: Vec<(BucketId, Level, Level)>,
}

/// The step that decides `ask` on `meter`.
pub fn charge(meter: &Meter, ask: &Ask) -> Step {
    if meter.key_revision > ask.key_revision {
        return Step::KeyChanged;
    }
    if meter.plan_revision > ask.plan_revision {
        return Step::PlanChanged;
    }
    let now = ask.now.as_nanosecond();
    let converts = conversions(meter, ask.limits, now);
    if meter.plan_revision < ask.plan_revision && !converts.is_empty() {
        // Shut out writers of the old plan before converting what they would go on changing.
        return settle(ask, Vec::new());
    }
    let turn = match Turn::of(meter, ask) {
        Ok(turn) => turn,
        Err(period) => return Step::Recount(period, meter.day),
    };
    if let Some(refusal) = refusal(meter, ask) {
        // An unconverted debt shrinks at the old pace; a refusal must end at the new one.
        return if converts.is_empty() || refusal.until.is_none() {
            Step::Refuse(refusal)
        } else {
            settle(ask, converts)
        };
    }
    let cost = u64::from(ask.cost.get());
    let limit = ask.limits.quota.map_or(0, |quota| quota.limit());
    let drops = meter.closed.map(|closed| closed.day);
    let drops = drops.filter(|day| ask.flushed == Some(*day));
    if let (Some(_), Some(closed), None) = (turn.closes, meter.closed, drops) {
        return Step::Flush(closed);
    }
    Step::Charge(Charge {
        cost: ask.cost.get(),
        key_revision: ask.key_revision,
        plan_revision: ask.plan_revision,
        now,
        day: turn.day,
        closes: turn.closes,
        quota: turn.quota.map(|(period, base)| QuotaCharge {
            period,
            base,
            // The cost is within the limit, or the request would have been refused.
            room: limit.saturating_sub(cost),
        }),
        period_before: meter.period,
        closed_limit: ask
            .limits
            .quota
            .filter(|quota| meter.period == Some(quota.period_of(meter.day)))
            .map(|quota| quota.limit()),
        buckets: ask
            .limits
            .buckets()
            .map(|(id, bucket)| {
                (
                    id.to_owned(),
                    fill(meter.buckets.get(id), bucket, ask.cost, now),
                )
            })
            .collect(),
        prunes: turn
            .closes
            .map_or_else(Vec::new, |_| idle(meter, ask.limits, now)),
        drops,
    })
}

fn fill(level: Option<&Level>, bucket: Bucket, cost: NonZeroU32, now: i128) -> Fill {
    let add = bucket.increment(cost.get());
    let interval = bucket.interval();
    match level.filter(|level| level.tat > now) {
        None => Fill::Idle {
            to: Level {
                tat: now + add,
                interval,
            },
        },
        Some(level) if level.interval == interval => Fill::Busy {
            interval,
            // The cost fits an empty bucket, or it would have been refused.
            bound: now + bucket.tolerance(cost.get()).unwrap_or(0),
            add,
        },
        Some(level) => Fill::Convert {
            from: *level,
            to: Level {
                tat: bucket.convert(*level, now).tat + add,
                interval,
            },
        },
    }
}

/// The busy buckets of `limits` that came about at another pace, with what they are at this one.
fn conversions(meter: &Meter, limits: &Limits, now: i128) -> Vec<(BucketId, Level, Level)> {
    limits
        .buckets()
        .filter_map(|(id, bucket)| {
            let level = *meter.buckets.get(id)?;
            (level.tat > now && level.interval != bucket.interval())
                .then(|| (id.to_owned(), level, bucket.convert(level, now)))
        })
        .collect()
}

fn settle(ask: &Ask, converts: Vec<(BucketId, Level, Level)>) -> Step {
    Step::Settle(Settle {
        key_revision: ask.key_revision,
        plan_revision: ask.plan_revision,
        converts,
    })
}

/// Buckets cleared away by one charge; DynamoDB takes expressions of 4 KB at most.
const MOST_PRUNED: usize = 16;

/// Buckets that this request does not fill and that say nothing any more.
fn idle(meter: &Meter, limits: &Limits, now: i128) -> Vec<BucketId> {
    meter
        .buckets
        .iter()
        .filter(|(id, level)| level.tat <= now && limits.buckets().all(|(asked, _)| asked != *id))
        .map(|(id, _)| id.clone())
        .take(MOST_PRUNED)
        .collect()
}
