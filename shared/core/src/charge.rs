//! Charging: given a meter as it was last seen and a request, the one conditional write that would charge it.
//!
//! The write states everything it relies on as a condition, so the meter may be out of date: then the write fails, the
//! store hands back the meter as it is, and [`charge`](fn@charge) is asked again. What the store confirms is exact; what
//! was only remembered costs at most another try.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use jiff::Timestamp;
use jiff::civil::Date;

use crate::bucket::{Bucket, Level};
use crate::calendar::Period;
use crate::limit::Quota;
use crate::meter::{ClosedDay, Meter};
use crate::plan::{BucketId, Limits};
use crate::sharing::Tactic;

mod refusal;
mod rollover;
mod set_remaining;

pub use refusal::{Refusal, refusal};
use rollover::Rollover;
pub use rollover::{missing_history, remaining, spent, today};
pub use set_remaining::{SetRemaining, set_remaining};

/// A request, as far as its charge goes.
#[derive(Debug, Clone, Copy)]
pub struct ChargeRequest<'a> {
    /// The time by our clock. Days and periods go by it.
    pub now: Timestamp,
    /// How far the meter's time is ahead of ours, nanoseconds; see [`Meter::times`]. Buckets go by the meter's time.
    pub ahead: i128,
    /// How far a clock may be off, nanoseconds. A bucket that is filled further ahead than its burst and this was filled by a
    /// clock that was wrong, and is set right.
    pub tolerance: i128,
    /// What it charges to every limit.
    pub cost: NonZeroU32,
    /// The revision of the key's record as we know it.
    pub key_revision: u64,
    /// The revision of the plan as we know it.
    pub plan_revision: u64,
    /// The limits it meets, as they are on the day that it is charged to: the later one of its own and the meter's.
    pub limits: &'a Limits,
    /// The quota that was in force on the meter's day.
    pub quota_before: Option<Quota>,
    /// A closed day that is known to be written out.
    pub flushed: Option<Date>,
    /// What was admitted in a period before the meter's day, where that was asked for.
    pub history: Option<History>,
    /// How to fill buckets that others fill too. One that is not named is filled as it was seen.
    pub tactics: &'a BTreeMap<BucketId, Tactic>,
}

impl ChargeRequest<'_> {
    /// The time that buckets go by, nanoseconds since the epoch.
    pub fn time(&self) -> i128 {
        self.now.as_nanosecond() + self.ahead
    }
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
    /// Make the newer revisions known first, then ask again: it shuts out writers under the old ones.
    SyncRevisions(SyncRevisions),
    /// Make this charge of nothing first, which turns buckets to the pace of these limits, then ask again.
    RebaseBuckets(Charge),
    /// Write this closed day out first, so that another can close, then ask again.
    ArchiveDay(ClosedDay),
    /// Sum up what was admitted in this period before this day, then ask again: the quota was changed to one that began
    /// before the meter's day.
    LoadHistory(Period, Date),
    /// Refuse: so it stands in the meter.
    Refuse(Refusal),
    /// The meter was told of a later revision of the key, or was left behind: read the key again.
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
    /// Whether the meter may not know these revisions yet. Otherwise they must be the meter's, and there is less to write.
    pub revisions_may_be_new: bool,
    /// The time that it goes by, nanoseconds since the epoch.
    pub now: i128,
    /// The day it counts for.
    pub day: Date,
    /// The meter's day, where that is over: it is closed by this charge.
    pub close_day: Option<Date>,
    /// The quota it charges; `None` where the plan has none.
    pub quota: Option<QuotaCharge>,
    /// The quota period that the meter is in.
    pub period_before: Option<Period>,
    /// The quota's limit, where what the closed day left of it is known.
    pub closed_limit: Option<u64>,
    /// The buckets it fills.
    pub buckets: Vec<(BucketId, BucketUpdate)>,
    /// Idle buckets that it clears away.
    pub drop_idle: Vec<BucketId>,
    /// The closed day that is written out and that it clear_archived; others may have dropped it before.
    pub clear_archived: Option<Date>,
}

/// What a charge does to the quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotaCharge {
    /// The period it counts for.
    pub period: Period,
    /// What counts as spent before it.
    pub base: SpentBefore,
    /// The largest base that leaves room; negative where more was granted than the limit, and is asked for at once.
    pub room: i128,
}

/// What counts as spent in a period before a charge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpentBefore {
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
pub enum BucketUpdate {
    /// It is idle (missing, or `tat` not after now), or busy for no longer than it is to be held: set it.
    Open {
        /// The new level.
        to: Level,
        /// How long it is held, nanoseconds: `tat` may be this far ahead of now, if it came about at the new level's pace.
        hold: i128,
        /// Whether it was seen; then it must not be missing, and there is less to check.
        is_there: bool,
    },
    /// It is busy at this plan's pace: add to `tat`. Two such fills commute, so a hot key makes no needless failures.
    Add {
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

/// A write that charges nothing and makes newer revisions known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SyncRevisions {
    /// Must not be under the meter's; becomes the meter's.
    pub key_revision: u64,
    /// Must not be under the meter's; becomes the meter's.
    pub plan_revision: u64,
}

/// The step that decides `ask` on `meter`.
pub fn charge(meter: &Meter, ask: &ChargeRequest) -> Step {
    if meter.key_revision > ask.key_revision || meter.retired {
        return Step::KeyChanged;
    }
    if meter.plan_revision > ask.plan_revision {
        return Step::PlanChanged;
    }
    let now = ask.time();
    let converts = conversions(meter, ask);
    let is_newer = meter.key_revision < ask.key_revision || meter.plan_revision < ask.plan_revision;
    if is_newer && !converts.is_empty() {
        // Shut out writers under the old limits before converting what they would go on changing.
        return Step::SyncRevisions(SyncRevisions {
            key_revision: ask.key_revision,
            plan_revision: ask.plan_revision,
        });
    }
    let turn = match Rollover::of(meter, ask) {
        Ok(turn) => turn,
        Err(period) => return Step::LoadHistory(period, meter.day),
    };
    let refusal = refusal(meter, ask);
    let settles = match refusal {
        // An unconverted debt shrinks at the old pace; a refusal must end at the new one.
        Some(refusal) if !converts.is_empty() && refusal.until.is_some() => true,
        Some(refusal) => return Step::Refuse(refusal),
        None => false,
    };
    let clear_archived = meter.closed.map(|closed| closed.day);
    let clear_archived = clear_archived.filter(|day| ask.flushed == Some(*day));
    if let (Some(_), Some(closed), None) = (turn.close_day, meter.closed, clear_archived) {
        return Step::ArchiveDay(closed);
    }
    let cost = if settles { 0 } else { ask.cost.get() };
    let limit = ask.limits.quota.map_or(0, |quota| quota.limit());
    let buckets = ask.limits.buckets();
    let charge = Charge {
        cost,
        key_revision: ask.key_revision,
        plan_revision: ask.plan_revision,
        revisions_may_be_new: is_newer,
        now,
        day: turn.day,
        close_day: turn.close_day,
        quota: turn.quota.map(|(period, base)| QuotaCharge {
            period,
            base,
            room: if settles {
                i128::from(u64::MAX)
            } else {
                i128::from(limit) - i128::from(cost)
            },
        }),
        period_before: meter.period,
        closed_limit: closed_limit(meter, ask.quota_before),
        drop_idle: turn
            .close_day
            .map_or_else(Vec::new, |_| idle(meter, ask.limits, now)),
        clear_archived,
        buckets: if settles {
            converts
        } else {
            buckets
                .map(|(id, bucket)| (id.to_owned(), fill(id, meter, bucket, ask)))
                .collect()
        },
    };
    if settles {
        Step::RebaseBuckets(charge)
    } else {
        Step::Charge(charge)
    }
}

/// The limit of the quota on the meter's day, where what is spent was spent of it.
fn closed_limit(meter: &Meter, quota: Option<Quota>) -> Option<u64> {
    quota
        .filter(|quota| meter.period == Some(quota.period_of(meter.day)))
        .map(|quota| quota.limit())
}

fn fill(id: &str, meter: &Meter, bucket: Bucket, ask: &ChargeRequest) -> BucketUpdate {
    let level = meter.buckets.get(id);
    let (cost, now) = (ask.cost.get(), ask.time());
    let tactic = ask.tactics.get(id).copied().unwrap_or_default();
    let (add, interval) = (bucket.increment(cost), bucket.interval());
    // The cost fits an empty bucket, or it would have been refused.
    let tolerance = bucket.tolerance(cost).unwrap_or(0);
    let open = |hold: i128| BucketUpdate::Open {
        to: Level {
            tat: now + hold + add,
            interval,
        },
        hold,
        is_there: level.is_some(),
    };
    if let Some((from, owed)) = level.and_then(|level| conversion(meter, *level, bucket, ask)) {
        let tat = owed.tat + add;
        return BucketUpdate::Convert {
            from,
            to: Level { tat, interval },
        };
    }
    match level {
        // What is left of another pace is over, but only by what was seen.
        Some(level) if level.interval != interval => open(0),
        Some(level) if tactic.assume_busy || level.tat - now > tactic.renew_under => {
            BucketUpdate::Add {
                interval,
                bound: now + tolerance,
                add,
            }
        }
        _ => open(tactic.hold.clamp(0, tolerance)),
    }
}

/// A level as it counts under a bucket's limits: at their pace, and by a time that can be.
///
/// Nothing fills a bucket beyond its burst, so one that is filled further ahead was filled by a clock that was wrong (or under a
/// larger burst). What it owed then is kept, as far as a lane tells when that was; otherwise it counts as spent.
fn owed(meter: &Meter, level: Level, bucket: Bucket, ask: &ChargeRequest) -> Level {
    let now = ask.time();
    let owed = bucket.convert(level, now);
    let whole = bucket.increment(bucket.burst());
    if bucket.burst() == 0 || owed.tat - now <= whole.saturating_add(ask.tolerance) {
        return owed;
    }
    let is_when = |time: &i128| (owed.tat - whole..=owed.tat).contains(time);
    let filled_at = meter.times().filter(is_when).max();
    let tat = now + filled_at.map_or(whole, |time| owed.tat - time);
    Level { tat, ..owed }
}

/// What a busy level has to be replaced by, if it does not count as it is stored.
fn conversion(
    meter: &Meter,
    from: Level,
    bucket: Bucket,
    ask: &ChargeRequest,
) -> Option<(Level, Level)> {
    let to = owed(meter, from, bucket, ask);
    (from.tat > ask.time() && to != from).then_some((from, to))
}

/// The busy buckets of the limits that do not count as they are stored, set right.
fn conversions(meter: &Meter, ask: &ChargeRequest) -> Vec<(BucketId, BucketUpdate)> {
    let of = |(id, bucket): (&str, Bucket)| {
        let (from, to) = conversion(meter, *meter.buckets.get(id)?, bucket, ask)?;
        Some((id.to_owned(), BucketUpdate::Convert { from, to }))
    };
    ask.limits.buckets().filter_map(of).collect()
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
