//! What the store makes of a write, said without DynamoDB: the meaning that expressions are tested against.

use tollgate_core::charge::{BucketUpdate, Charge, SpentBefore, SyncRevisions};
use tollgate_core::lane::{MAX_LANES, Place, Stamp};
use tollgate_core::meter::{ClosedDay, Meter};

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap()
}

/// The meter after `charge`; `None` where a condition does not hold.
pub fn charged(before: &Meter, charge: &Charge, stamp: Option<&Stamp>) -> Option<Meter> {
    let mut after = before.clone();
    let (key, plan) = (charge.key_revision, charge.plan_revision);
    let are_known = before.key_revision == key && before.plan_revision == plan;
    holds(charge.revisions_may_be_new || are_known)?;
    revisions(&mut after, key, plan)?;
    let cost = u64::from(charge.cost);

    holds(before.period == charge.period_before)?;
    after.period = charge.quota.map(|quota| quota.period);
    if let Some(quota) = charge.quota {
        let base = match quota.base {
            SpentBefore::Nothing => 0,
            SpentBefore::Spent => before.spent,
            SpentBefore::CountAnd(more) => signed(before.count + more),
            SpentBefore::Granted(spent) => spent,
        };
        let asks = matches!(quota.base, SpentBefore::Spent | SpentBefore::CountAnd(_));
        holds(!asks || i128::from(base) <= quota.room)?;
        after.spent = base + signed(cost);
    }

    if let Some(dropped) = charge.clear_archived {
        holds(before.closed.is_none_or(|closed| closed.day == dropped))?;
        after.closed = None;
    } else if charge.close_day.is_some() {
        holds(before.closed.is_none())?;
    }
    if let Some(over) = charge.close_day {
        holds(before.day == over)?;
        after.closed = Some(ClosedDay {
            day: before.day,
            count: before.count,
            remaining: charge
                .closed_limit
                .map(|limit| signed(limit) - before.spent),
        });
        after.day = charge.day;
        after.count = cost;
    } else {
        holds(before.day == charge.day)?;
        after.count += cost;
    }

    for (id, fill) in &charge.buckets {
        let level = before.buckets.get(id).copied();
        let to = match *fill {
            BucketUpdate::Open { to, hold, is_there } => {
                holds(!is_there || level.is_some())?;
                holds(level.is_none_or(|level| {
                    let is_same_pace = hold == 0 || level.interval == to.interval;
                    level.tat <= charge.now + hold && is_same_pace
                }))?;
                to
            }
            BucketUpdate::Add {
                interval,
                bound,
                add,
            } => {
                let mut level = level?;
                holds(level.interval == interval)?;
                holds(charge.now <= level.tat && level.tat <= bound)?;
                level.tat += add;
                level
            }
            BucketUpdate::Convert { from, to } => {
                holds(level? == from)?;
                to
            }
        };
        after.buckets.insert(id.clone(), to);
    }
    for id in &charge.drop_idle {
        holds(
            before
                .buckets
                .get(id)
                .is_none_or(|level| level.tat <= charge.now),
        )?;
        after.buckets.remove(id);
    }
    if let Some(stamp) = stamp {
        stamped(&mut after, stamp)?;
    }
    Some(after)
}

/// The meter after `adopt`; `None` where a condition does not hold.
pub fn adopted(before: &Meter, adopt: SyncRevisions) -> Option<Meter> {
    let mut after = before.clone();
    revisions(&mut after, adopt.key_revision, adopt.plan_revision)?;
    Some(after)
}

fn revisions(meter: &mut Meter, key: u64, plan: u64) -> Option<()> {
    holds(meter.key_revision <= key && meter.plan_revision <= plan)?;
    meter.key_revision = key;
    meter.plan_revision = plan;
    Some(())
}

fn stamped(meter: &mut Meter, stamp: &Stamp) -> Option<()> {
    let room = match &stamp.place {
        // It must be there.
        Place::Own => 0,
        Place::New => MAX_LANES - 1,
        Place::InsteadOf(quiet, last) => {
            holds(meter.lanes.get(quiet)? == last)?;
            MAX_LANES
        }
    };
    match meter.lanes.get(&stamp.lane) {
        Some(last) => holds(*last < stamp.sequence)?,
        None => holds(stamp.place != Place::Own && meter.lanes.len() <= room)?,
    }
    if let Place::InsteadOf(quiet, _) = &stamp.place {
        meter.lanes.remove(quiet);
    }
    meter.lanes.insert(stamp.lane.clone(), stamp.sequence);
    Some(())
}

fn holds(condition: bool) -> Option<()> {
    condition.then_some(())
}
