//! Charging: given a meter as it was last seen and a request, the one conditional write that would charge it.
//!
//! The write states everything it relies on as a condition, so the meter may be out of date: then the write fails, the
//! store hands back the meter as it is, and [`charge`](fn@charge) is asked again. What the store confirms is exact; what
//! was only remembered costs at most another try.

use std::num::NonZeroU32;

use jiff::Timestamp;
use jiff::civil::Date;

use crate::bucket::{Bucket, Level};
use crate::calendar::{Period, day_of, start_of};
use crate::limit::Quota;
use crate::meter::{ClosedDay, Meter, quota_period};
use crate::plan::{BucketId, Limits, PLAN_BUCKET};
use crate::verdict::Reason;

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
    /// The quota period it counts for.
    pub period: Period,
    /// Where the meter is in another period, how this charge opens its own.
    pub opens: Option<Opening>,
    /// The quota's limit.
    pub limit: Option<u64>,
    /// The buckets it fills.
    pub buckets: Vec<(BucketId, Fill)>,
    /// Idle buckets that it clears away.
    pub prunes: Vec<BucketId>,
    /// The closed day that is written out and that it drops; it must still be there.
    pub drops: Option<Date>,
}

/// How a new quota period is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opening {
    /// The period that the meter is in.
    pub from: Period,
    /// What counts as spent already.
    pub carry: Carry,
}

/// What a new quota period takes over from the meter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carry {
    /// Nothing: the meter has admitted nothing in it yet.
    Nothing,
    /// The count of the meter's day: the quota was changed, and the new period began on that day.
    Count,
    /// What the old period has spent: the quota was changed to one that began earlier than the meter's day.
    /// More may be counted than was spent in it, never less than the old quota knew of.
    Spent,
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

/// Why a request is refused, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// The limit that holds longest.
    pub reason: Reason,
    /// The first instant at which the request would pass; `None` if it never does under this plan.
    pub until: Option<Timestamp>,
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
    if let Some(refusal) = refusal(meter, ask) {
        // An unconverted debt shrinks at the old pace; a refusal must end at the new one.
        return if converts.is_empty() || refusal.until.is_none() {
            Step::Refuse(refusal)
        } else {
            settle(ask, converts)
        };
    }
    let turn = Turn::of(meter, ask.limits.quota.as_ref(), ask.now);
    match meter.closed {
        Some(closed) if turn.closes.is_some() && ask.flushed != Some(closed.day) => {
            Step::Flush(closed)
        }
        closed => Step::Charge(Charge {
            cost: ask.cost.get(),
            key_revision: ask.key_revision,
            plan_revision: ask.plan_revision,
            now,
            day: turn.day,
            closes: turn.closes,
            period: turn.period,
            opens: turn.opens,
            limit: ask.limits.quota.map(|quota| quota.limit()),
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
            drops: closed
                .map(|closed| closed.day)
                .filter(|day| ask.flushed == Some(*day)),
        }),
    }
}

/// Day, period and spent as they stand at `now`, whatever the meter was last charged on.
pub fn current(meter: &Meter, quota: Option<&Quota>, now: Timestamp) -> (Date, Period, u64) {
    let turn = Turn::of(meter, quota, now);
    (turn.day, turn.period, turn.spent)
}

/// How day and period turn between the meter's last charge and now.
struct Turn {
    day: Date,
    closes: Option<Date>,
    period: Period,
    opens: Option<Opening>,
    spent: u64,
}

impl Turn {
    fn of(meter: &Meter, quota: Option<&Quota>, now: Timestamp) -> Self {
        // A stored day later than our clock's wins: time never runs back.
        let day = day_of(now).max(meter.day);
        let period = quota_period(quota, day);
        let carry = match period.start {
            start if start > meter.day => Carry::Nothing,
            start if start == meter.day => Carry::Count,
            _ => Carry::Spent,
        };
        let opens = (period != meter.period).then_some(Opening {
            from: meter.period,
            carry,
        });
        Self {
            day,
            closes: (day > meter.day).then_some(meter.day),
            period,
            opens,
            spent: match opens {
                Some(Opening {
                    carry: Carry::Nothing,
                    ..
                }) => 0,
                Some(Opening {
                    carry: Carry::Count,
                    ..
                }) => meter.count,
                _ => meter.spent,
            },
        }
    }
}

/// Why `ask` cannot pass on `meter`: the limit that holds longest.
fn refusal(meter: &Meter, ask: &Ask) -> Option<Refusal> {
    let buckets = ask
        .limits
        .buckets()
        .filter_map(|(id, bucket)| bucket_refusal(id, bucket, meter.buckets.get(id), ask));
    let quota = ask
        .limits
        .quota
        .and_then(|quota| quota_refusal(meter, &quota, ask));
    buckets
        .chain(quota)
        .max_by_key(|refusal| refusal.until.unwrap_or(Timestamp::MAX))
}

fn bucket_refusal(id: &str, bucket: Bucket, level: Option<&Level>, ask: &Ask) -> Option<Refusal> {
    let now = ask.now.as_nanosecond();
    let reason = if id == PLAN_BUCKET {
        Reason::Rate
    } else {
        Reason::MethodRate
    };
    let Some(tolerance) = bucket.tolerance(ask.cost.get()) else {
        return Some(Refusal {
            reason: if bucket.burst() == 0 {
                reason
            } else {
                Reason::CostExceedsBurst
            },
            until: None,
        });
    };
    let passes_at = bucket.convert(*level?, now).tat - tolerance;
    (passes_at > now).then(|| Refusal {
        reason,
        until: Some(Timestamp::from_nanosecond(passes_at).unwrap_or(Timestamp::MAX)),
    })
}

fn quota_refusal(meter: &Meter, quota: &Quota, ask: &Ask) -> Option<Refusal> {
    let cost = u64::from(ask.cost.get());
    let turn = Turn::of(meter, Some(quota), ask.now);
    (turn.spent.saturating_add(cost) > quota.limit()).then(|| Refusal {
        reason: Reason::Quota,
        until: (cost <= quota.limit()).then(|| start_of(turn.period.end())),
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

/// Buckets that this request does not fill and that say nothing any more.
fn idle(meter: &Meter, limits: &Limits, now: i128) -> Vec<BucketId> {
    meter
        .buckets
        .iter()
        .filter(|(id, level)| level.tat <= now && limits.buckets().all(|(asked, _)| asked != *id))
        .map(|(id, _)| id.clone())
        .collect()
}
