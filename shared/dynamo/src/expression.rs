//! Update expressions: what [`Charge`] and [`SyncRevisions`] mean in DynamoDB's words.

use std::fmt::Display;

use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::AttributeValue;
use tollgate_core::charge::{BucketUpdate, Charge, SpentBefore, SyncRevisions};
use tollgate_core::lane::{MAX_LANES, Place, Stamp};

use crate::item::meter::{
    BUCKETS, CLOSED_COUNT, CLOSED_DAY, CLOSED_LEFT, COUNT, DAY, KEY_REVISION, LANES, PERIOD,
    PLAN_REVISION, SPENT, level_value, period_text,
};
use crate::schema::TTL;

/// An update under its conditions, all of which must hold.
#[derive(Debug, Default)]
pub struct Update {
    sets: Vec<String>,
    removes: Vec<String>,
    conditions: Vec<String>,
    names: Vec<String>,
    values: Vec<AttributeValue>,
}

impl Update {
    /// The placeholder for an attribute name. Every name has one: too many are reserved words.
    pub fn name(&mut self, name: &str) -> String {
        let known = self.names.iter().position(|known| known == name);
        let number = known.unwrap_or_else(|| {
            self.names.push(name.to_owned());
            self.names.len() - 1
        });
        format!("#{number}")
    }

    /// The placeholder for a value.
    pub fn value(&mut self, value: AttributeValue) -> String {
        self.values.push(value);
        format!(":{}", self.values.len() - 1)
    }

    /// The placeholder for a number.
    pub fn number(&mut self, number: impl Display) -> String {
        self.value(AttributeValue::N(number.to_string()))
    }

    /// The placeholder for a text.
    pub fn text(&mut self, text: impl Display) -> String {
        self.value(AttributeValue::S(text.to_string()))
    }

    /// Sets what is at `path`.
    pub fn set(&mut self, path: &str, value: impl Display) {
        self.sets.push(format!("{path} = {value}"));
    }

    /// Removes what is at `path`.
    pub fn remove(&mut self, path: impl Into<String>) {
        self.removes.push(path.into());
    }

    /// Adds a condition.
    pub fn condition(&mut self, condition: String) {
        self.conditions.push(condition);
    }

    /// Puts the expressions on a request.
    pub fn apply(self, request: UpdateItemFluentBuilder) -> UpdateItemFluentBuilder {
        let clause = |word: &str, parts: &[String]| {
            (!parts.is_empty()).then(|| format!("{word} {}", parts.join(", ")))
        };
        let clauses = [clause("SET", &self.sets), clause("REMOVE", &self.removes)];
        let expression: Vec<_> = clauses.into_iter().flatten().collect();
        let names = self.names.into_iter().enumerate();
        // DynamoDB takes no empty map.
        let values = (!self.values.is_empty()).then(|| self.values.into_iter().enumerate());
        request
            .update_expression(expression.join(" "))
            .condition_expression(self.conditions.join(" AND "))
            .set_expression_attribute_names(Some(
                names.map(|(n, name)| (format!("#{n}"), name)).collect(),
            ))
            .set_expression_attribute_values(
                values.map(|values| values.map(|(n, value)| (format!(":{n}"), value)).collect()),
            )
    }

    /// The meter must not know later revisions. Where these may be news it gets to know them, otherwise it must know them.
    fn revisions(&mut self, key: u64, plan: u64, are_news: bool) {
        if are_news {
            // A meter that was left behind is charged again only once it was told that the key is back.
            let left = self.name(TTL);
            self.condition(format!("attribute_not_exists({left})"));
        }
        for (name, revision) in [(KEY_REVISION, key), (PLAN_REVISION, plan)] {
            let (name, revision) = (self.name(name), self.number(revision));
            if are_news {
                self.condition(format!("{name} <= {revision}"));
                self.set(&name, revision);
            } else {
                self.condition(format!("{name} = {revision}"));
            }
        }
    }
}

/// The one write.
pub fn charge(charge: &Charge, stamp: Option<&Stamp>) -> Update {
    let mut update = Update::default();
    update.revisions(
        charge.key_revision,
        charge.plan_revision,
        charge.revisions_may_be_new,
    );
    let cost = update.number(charge.cost);
    count(&mut update, charge, &cost);
    quota(&mut update, charge, &cost);
    closed_day(&mut update, charge);
    buckets(&mut update, charge);
    if let Some(stamp) = stamp {
        lane(&mut update, stamp);
    }
    update
}

/// Counts the cost for the day, closing the meter's own day where that is over.
fn count(update: &mut Update, charge: &Charge, cost: &str) {
    let (day, counted) = (update.name(DAY), update.name(COUNT));
    let today = update.text(charge.day);
    let Some(over) = charge.close_day else {
        update.condition(format!("{day} = {today}"));
        update.set(&counted, format!("{counted} + {cost}"));
        return;
    };
    let over = update.text(over);
    update.condition(format!("{day} = {over}"));
    let closed_day = update.name(CLOSED_DAY);
    let closed_count = update.name(CLOSED_COUNT);
    let closed_left = update.name(CLOSED_LEFT);
    update.set(&closed_day, &day);
    update.set(&closed_count, &counted);
    match charge.closed_limit {
        Some(limit) => {
            let (limit, spent) = (update.number(limit), update.name(SPENT));
            update.set(&closed_left, format!("{limit} - {spent}"));
        }
        None => update.remove(closed_left),
    }
    update.set(&day, today);
    update.set(&counted, cost);
}

/// Charges the cost to the quota, in the period it opens or finds.
fn quota(update: &mut Update, charge: &Charge, cost: &str) {
    let period = update.name(PERIOD);
    let before = update.text(period_text(charge.period_before));
    update.condition(format!("{period} = {before}"));
    let now = charge.quota.map(|quota| quota.period);
    if now != charge.period_before {
        let now = update.text(period_text(now));
        update.set(&period, now);
    }
    let Some(quota) = charge.quota else {
        return;
    };
    let spent = update.name(SPENT);
    // Right-hand sides see the item as it was: the count is still that of the meter's day.
    let (base, more) = match quota.base {
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
    let add = update.number(u64::from(charge.cost).saturating_add(more));
    update.set(&spent, format!("{base} + {add}"));
}

/// No closed day may be overwritten before it is written out.
fn closed_day(update: &mut Update, charge: &Charge) {
    if let Some(dropped) = charge.clear_archived {
        let closed_day = update.name(CLOSED_DAY);
        let dropped = update.text(dropped);
        // Others may have dropped it meanwhile.
        update.condition(format!(
            "(attribute_not_exists({closed_day}) OR {closed_day} = {dropped})"
        ));
        if charge.close_day.is_none() {
            for name in [CLOSED_COUNT, CLOSED_LEFT] {
                let name = update.name(name);
                update.remove(name);
            }
            update.remove(closed_day);
        }
    } else if charge.close_day.is_some() {
        let closed_day = update.name(CLOSED_DAY);
        update.condition(format!("attribute_not_exists({closed_day})"));
    }
}

fn buckets(update: &mut Update, charge: &Charge) {
    for (id, fill) in &charge.buckets {
        let bucket = entry(update, BUCKETS, id);
        match *fill {
            BucketUpdate::Open { to, hold, is_there } => {
                let most = update.number(charge.now + hold);
                let mut condition = format!("{bucket}[0] <= {most}");
                if hold > 0 {
                    let interval = update.number(to.interval);
                    condition = format!("{condition} AND {bucket}[1] = {interval}");
                }
                update.condition(if is_there {
                    condition
                } else {
                    format!("(attribute_not_exists({bucket}) OR ({condition}))")
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
    for id in &charge.drop_idle {
        let bucket = entry(update, BUCKETS, id);
        let now = update.number(charge.now);
        update.condition(format!(
            "(attribute_not_exists({bucket}) OR {bucket}[0] <= {now})"
        ));
        update.remove(bucket);
    }
}

/// The path of an entry in one of the meter's maps.
fn entry(update: &mut Update, map: &str, id: &str) -> String {
    format!("{}.{}", update.name(map), update.name(id))
}

fn lane(update: &mut Update, stamp: &Stamp) {
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
    let condition = match room {
        None => format!("{lane} < {sequence}"),
        Some(room) => {
            let (lanes, room) = (update.name(LANES), update.number(room));
            format!(
                "({lane} < {sequence} OR (attribute_not_exists({lane}) AND size({lanes}) <= {room}))"
            )
        }
    };
    update.condition(condition);
    update.set(&lane, sequence);
}

/// The write that makes newer revisions known.
pub fn adopt(adopt: SyncRevisions) -> Update {
    let mut update = Update::default();
    update.revisions(adopt.key_revision, adopt.plan_revision, true);
    update
}
