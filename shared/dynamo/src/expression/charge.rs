//! Expresses a charge as a DynamoDB update: one function for each effect.
//!
//! The right-hand sides of `SET` refer to the item before the write, so the order of effects does not matter.

use jiff::civil::Date;
use tollgate_core::charge::{BucketUpdate, Charge, CloseDay, Effect, Spend, SpentBefore};
use tollgate_core::lane::{MAX_LANES, Place, Stamp};
use tollgate_core::limits::BucketId;
use tollgate_core::meter::Revisions;

use super::Update;
use crate::item::meter::{
    BUCKETS, CLOSED_COUNT, CLOSED_DAY, CLOSED_LEFT, COUNT, DAY, KEY_REVISION, LANES, PERIOD,
    PLAN_REVISION, SPENT, level_value, period_text,
};
use crate::schema::TTL;

/// The update that makes a charge.
pub fn charge(charge: &Charge, stamp: Option<&Stamp>) -> Update {
    let mut update = Update::default();
    if charge.revisions_may_be_new {
        sync_revisions(&mut update, charge.revisions);
    } else {
        same_revisions(&mut update, charge.revisions);
    }
    let cost = update.number(charge.cost);
    for effect in &charge.effects {
        match effect {
            Effect::Count(day) => count(&mut update, *day, &cost),
            Effect::CloseDay(close) => close_day(&mut update, close, &cost),
            Effect::ClearArchived(day) => clear_archived(&mut update, *day),
            Effect::Spend(spend) => spend_quota(&mut update, spend, charge.cost, &cost),
            Effect::Fill(id, fill) => fill_bucket(&mut update, charge, id, fill),
            Effect::DropIdle(id) => drop_idle(&mut update, charge, id),
        }
    }
    if let Some(stamp) = stamp {
        mark_lane(&mut update, stamp);
    }
    update
}

/// The update that writes newer revisions to the meter, and changes nothing else.
pub fn sync(revisions: Revisions) -> Update {
    let mut update = Update::default();
    sync_revisions(&mut update, revisions);
    update
}

/// Fails if the meter has newer revisions; otherwise records these.
fn sync_revisions(update: &mut Update, revisions: Revisions) {
    // A retired meter can be charged again only after management has recorded that the key is linked again.
    let retired = update.name(TTL);
    update.condition(format!("attribute_not_exists({retired})"));
    for (name, revision) in named(revisions) {
        let (name, revision) = (update.name(name), update.number(revision));
        update.condition(format!("{name} <= {revision}"));
        update.set(&name, revision);
    }
}

/// Fails if the meter has other revisions.
fn same_revisions(update: &mut Update, revisions: Revisions) {
    for (name, revision) in named(revisions) {
        let (name, revision) = (update.name(name), update.number(revision));
        update.condition(format!("{name} = {revision}"));
    }
}

fn named(revisions: Revisions) -> [(&'static str, u64); 2] {
    [
        (KEY_REVISION, revisions.key),
        (PLAN_REVISION, revisions.plan),
    ]
}

fn count(update: &mut Update, day: Date, cost: &str) {
    let (name, counted) = (update.name(DAY), update.name(COUNT));
    let day = update.text(day);
    update.condition(format!("{name} = {day}"));
    update.set(&counted, format!("{counted} + {cost}"));
}

fn close_day(update: &mut Update, close: &CloseDay, cost: &str) {
    let (day, counted) = (update.name(DAY), update.name(COUNT));
    let (opens, over) = (update.text(close.opens), update.text(close.over));
    update.condition(format!("{day} = {over}"));
    let closed_day = update.name(CLOSED_DAY);
    let closed_count = update.name(CLOSED_COUNT);
    let closed_left = update.name(CLOSED_LEFT);
    // A closed day must not be overwritten before it is archived.
    let is_free = match close.replaces {
        Some(archived) => archived_or_gone(update, archived),
        None => format!("attribute_not_exists({closed_day})"),
    };
    update.condition(is_free);
    update.set(&closed_day, &day);
    update.set(&closed_count, &counted);
    match close.limit {
        Some(limit) => {
            let (limit, spent) = (update.number(limit), update.name(SPENT));
            update.set(&closed_left, format!("{limit} - {spent}"));
        }
        None => update.remove(closed_left),
    }
    update.set(&day, opens);
    update.set(&counted, cost);
}

fn clear_archived(update: &mut Update, day: Date) {
    let condition = archived_or_gone(update, day);
    update.condition(condition);
    for name in [CLOSED_COUNT, CLOSED_LEFT, CLOSED_DAY] {
        let name = update.name(name);
        update.remove(name);
    }
}

/// The closed day is this one, or another instance has removed it already.
fn archived_or_gone(update: &mut Update, day: Date) -> String {
    let (closed_day, day) = (update.name(CLOSED_DAY), update.text(day));
    format!("(attribute_not_exists({closed_day}) OR {closed_day} = {day})")
}

/// Charges the cost to the quota, in the period that the charge opens or finds.
fn spend_quota(update: &mut Update, change: &Spend, amount: u32, cost: &str) {
    let period = update.name(PERIOD);
    let before = update.text(period_text(change.period_before));
    update.condition(format!("{period} = {before}"));
    let now = change.quota.map(|quota| quota.period);
    if now != change.period_before {
        let now = update.text(period_text(now));
        update.set(&period, now);
    }
    let Some(quota) = change.quota else {
        return;
    };
    let spent = update.name(SPENT);
    // The count still belongs to the meter's previous day.
    let (base, more) = match quota.before {
        SpentBefore::Nothing => return update.set(&spent, cost),
        SpentBefore::Spent => (spent.clone(), 0),
        SpentBefore::CountAnd(more) => (update.name(COUNT), more),
        SpentBefore::Granted(granted) => {
            let granted = update.number(granted);
            return update.set(&spent, granted);
        }
    };
    let room = update.number(quota.room - i128::from(more));
    update.condition(format!("{base} <= {room}"));
    let add = update.number(u64::from(amount).saturating_add(more));
    update.set(&spent, format!("{base} + {add}"));
}

fn fill_bucket(update: &mut Update, charge: &Charge, id: &BucketId, fill: &BucketUpdate) {
    let bucket = entry(update, BUCKETS, id);
    match *fill {
        BucketUpdate::Open { to, hold, is_there } => {
            let most = update.number(charge.now + hold);
            let mut is_idle = format!("{bucket}[0] <= {most}");
            if hold > 0 {
                let interval = update.number(to.interval);
                is_idle = format!("{is_idle} AND {bucket}[1] = {interval}");
            }
            update.condition(if is_there {
                is_idle
            } else {
                format!("(attribute_not_exists({bucket}) OR ({is_idle}))")
            });
            let to = update.value(level_value(to));
            update.set(&bucket, to);
        }
        BucketUpdate::Add {
            interval,
            bound,
            add,
        } => {
            let (now, bound) = (update.number(charge.now), update.number(bound));
            let (interval, add) = (update.number(interval), update.number(add));
            update.condition(format!("{bucket}[0] BETWEEN {now} AND {bound}"));
            update.condition(format!("{bucket}[1] = {interval}"));
            update.set(&format!("{bucket}[0]"), format!("{bucket}[0] + {add}"));
        }
        BucketUpdate::Convert { from, to } => {
            let (from, to) = (level_value(from), level_value(to));
            let (from, to) = (update.value(from), update.value(to));
            update.condition(format!("{bucket} = {from}"));
            update.set(&bucket, to);
        }
    }
}

fn drop_idle(update: &mut Update, charge: &Charge, id: &BucketId) {
    let bucket = entry(update, BUCKETS, id);
    let now = update.number(charge.now);
    update.condition(format!(
        "(attribute_not_exists({bucket}) OR {bucket}[0] <= {now})"
    ));
    update.remove(bucket);
}

fn mark_lane(update: &mut Update, stamp: &Stamp) {
    let lane = entry(update, LANES, &stamp.lane);
    let sequence = update.number(stamp.sequence);
    let room = match &stamp.place {
        Place::Own => None,
        Place::New => Some(MAX_LANES - 1),
        Place::InsteadOf(quiet, last) => {
            let quiet = entry(update, LANES, quiet);
            let last = update.number(last);
            update.condition(format!("{quiet} = {last}"));
            update.remove(quiet);
            Some(MAX_LANES)
        }
    };
    let is_smaller = format!("{lane} < {sequence}");
    let condition = match room {
        None => is_smaller,
        Some(room) => {
            let (lanes, room) = (update.name(LANES), update.number(room));
            let is_free = format!("attribute_not_exists({lane}) AND size({lanes}) <= {room}");
            format!("({is_smaller} OR ({is_free}))")
        }
    };
    update.condition(condition);
    update.set(&lane, sequence);
}

/// The path of an entry in one of the meter's maps.
fn entry(update: &mut Update, map: &str, id: &str) -> String {
    format!("{}.{}", update.name(map), update.name(id))
}
