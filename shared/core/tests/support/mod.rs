//! Applies writes as the store does, without DynamoDB. The update expressions are tested against this.

use tollgate_core::charge::{BucketUpdate, Charge, CloseDay, Effect, Spend, SpentBefore};
use tollgate_core::lane::{MAX_LANES, Place, Stamp};
use tollgate_core::meter::{ClosedDay, Meter, Revisions};

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap()
}

/// The meter after `charge`; `None` if a condition does not hold.
pub fn charged(before: &Meter, charge: &Charge, stamp: Option<&Stamp>) -> Option<Meter> {
    let mut after = before.clone();
    let are_known = before.revisions == charge.revisions;
    holds(charge.revisions_may_be_new || are_known)?;
    revisions(&mut after, charge.revisions)?;
    for effect in &charge.effects {
        match effect {
            Effect::Count(day) => {
                holds(before.day == *day)?;
                after.count += u64::from(charge.cost);
            }
            Effect::CloseDay(close) => closed(before, &mut after, close, charge.cost)?,
            Effect::ClearArchived(day) => {
                holds(before.closed.is_none_or(|closed| closed.day == *day))?;
                after.closed = None;
            }
            Effect::Spend(spend) => charge_quota(before, &mut after, spend, charge.cost)?,
            Effect::Fill(id, update) => {
                let to = filled(before, charge, id, *update)?;
                after.buckets.insert(id.clone(), to);
            }
            Effect::DropIdle(id) => {
                let level = before.buckets.get(id);
                holds(level.is_none_or(|level| level.tat <= charge.now))?;
                after.buckets.remove(id);
            }
        }
    }
    if let Some(stamp) = stamp {
        stamped(&mut after, stamp)?;
    }
    Some(after)
}

fn closed(before: &Meter, after: &mut Meter, close: &CloseDay, cost: u32) -> Option<()> {
    holds(before.day == close.over)?;
    let is_free = |closed: ClosedDay| close.replaces == Some(closed.day);
    holds(before.closed.is_none_or(is_free))?;
    after.closed = Some(ClosedDay {
        day: before.day,
        count: before.count,
        remaining: close.limit.map(|limit| signed(limit) - before.spent),
    });
    after.day = close.opens;
    after.count = u64::from(cost);
    Some(())
}

fn charge_quota(before: &Meter, after: &mut Meter, spend: &Spend, cost: u32) -> Option<()> {
    holds(before.period == spend.period_before)?;
    after.period = spend.quota.map(|quota| quota.period);
    let Some(quota) = spend.quota else {
        return Some(());
    };
    let base = match quota.before {
        SpentBefore::Nothing => 0,
        SpentBefore::Spent => before.spent,
        SpentBefore::CountAnd(more) => signed(before.count + more),
        SpentBefore::Granted(granted) => granted,
    };
    let asks = matches!(quota.before, SpentBefore::Spent | SpentBefore::CountAnd(_));
    holds(!asks || i128::from(base) <= quota.room)?;
    after.spent = base + i64::from(cost);
    Some(())
}

fn filled(
    before: &Meter,
    charge: &Charge,
    id: &str,
    update: BucketUpdate,
) -> Option<tollgate_core::bucket::Level> {
    let level = before.buckets.get(id).copied();
    match update {
        BucketUpdate::Open { to, hold, is_there } => {
            holds(!is_there || level.is_some())?;
            holds(level.is_none_or(|level| {
                let is_same_pace = hold == 0 || level.interval == to.interval;
                level.tat <= charge.now + hold && is_same_pace
            }))?;
            Some(to)
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
            Some(level)
        }
        BucketUpdate::Convert { from, to } => {
            holds(level? == from)?;
            Some(to)
        }
    }
}

/// The meter after these revisions were written; `None` if a condition does not hold.
pub fn synced(before: &Meter, ours: Revisions) -> Option<Meter> {
    let mut after = before.clone();
    revisions(&mut after, ours)?;
    Some(after)
}

fn revisions(meter: &mut Meter, ours: Revisions) -> Option<()> {
    holds(meter.revisions.key <= ours.key && meter.revisions.plan <= ours.plan)?;
    meter.revisions = ours;
    Some(())
}

fn stamped(meter: &mut Meter, stamp: &Stamp) -> Option<()> {
    let room = match &stamp.place {
        // The lane must be there.
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
