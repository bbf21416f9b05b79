//! The meter's item. Its attribute names are short, because a write costs one write unit up to 1 KB and two beyond.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::civil::Date;
use tollgate_core::bucket::Level;
use tollgate_core::calendar::Period;
use tollgate_core::meter::{ClosedDay, Meter, Revisions};

use crate::failure::Corrupt;
use crate::item::{Item, check_version, name_of};
use crate::schema::TTL;

/// The key's revision.
pub const KEY_REVISION: &str = "kr";
/// The plan's revision.
pub const PLAN_REVISION: &str = "pr";
/// The buckets, a map of `[tat, interval]`.
pub const BUCKETS: &str = "b";
/// The day that `count` belongs to.
pub const DAY: &str = "day";
/// The cost admitted on that day.
pub const COUNT: &str = "count";
/// The quota period.
pub const PERIOD: &str = "period";
/// The cost charged to the quota in that period.
pub const SPENT: &str = "spent";
/// The closed day.
pub const CLOSED_DAY: &str = "pday";
/// The cost admitted on the closed day.
pub const CLOSED_COUNT: &str = "pcount";
/// What remained of the quota at the end of the closed day.
pub const CLOSED_LEFT: &str = "pleft";
/// The revision of the key at which management last set what remains of the quota.
pub const GRANTED: &str = "g";
/// The lanes, a map of sequence numbers.
pub const LANES: &str = "l";

/// The period of a meter whose plan has no quota.
const NO_PERIOD: &str = "-";

/// Parses a meter. Returns `None` for an item that has the key's revision but no day: management wrote the revision before any
/// meter was created, so there is nothing to charge. Also returns `None` for an item without a revision, which no instance may
/// charge.
///
/// # Errors
/// [`Corrupt`] names the attribute and what it must be.
pub fn read(item: &Item) -> Result<Option<Meter>, Corrupt> {
    check_version(item)?;
    if item.contains_key(KEY_REVISION) != item.contains_key(DAY) {
        return Ok(None);
    }
    let reader = Reader { item };
    let closed = match item.get(CLOSED_DAY) {
        None => None,
        Some(_) => Some(ClosedDay {
            day: reader.text(CLOSED_DAY)?,
            count: reader.number(CLOSED_COUNT)?,
            remaining: item
                .get(CLOSED_LEFT)
                .map(|_| reader.number(CLOSED_LEFT))
                .transpose()?
                .map(saturated),
        }),
    };
    Ok(Some(Meter {
        revisions: Revisions {
            key: reader.number(KEY_REVISION)?,
            plan: reader.number(PLAN_REVISION)?,
        },
        buckets: reader.map(BUCKETS, level)?,
        day: reader.text::<Date>(DAY)?,
        count: reader.number(COUNT)?,
        period: match item.get(PERIOD).and_then(|value| value.as_s().ok()) {
            Some(none) if none == NO_PERIOD => None,
            _ => Some(reader.text(PERIOD)?),
        },
        spent: reader.number(SPENT)?,
        closed,
        lanes: reader.map(LANES, number)?,
        retired: item.contains_key(TTL),
    }))
}

struct Reader<'a> {
    item: &'a Item,
}

impl Reader<'_> {
    fn text<T: FromStr>(&self, name: &str) -> Result<T, Corrupt> {
        self.get(
            name,
            |value| value.as_s().ok()?.parse().ok(),
            "a date or period",
        )
    }

    fn number<T: FromStr>(&self, name: &str) -> Result<T, Corrupt> {
        self.get(name, number, "a whole number in range")
    }

    fn map<T>(
        &self,
        name: &str,
        read: impl Fn(&AttributeValue) -> Option<T>,
    ) -> Result<BTreeMap<String, T>, Corrupt> {
        let entries = |value: &AttributeValue| {
            let entries = value.as_m().ok()?.iter();
            entries
                .map(|(key, value)| Some((key.clone(), read(value)?)))
                .collect()
        };
        self.get(name, entries, "a map of numbers")
    }

    fn get<T>(
        &self,
        name: &str,
        read: impl Fn(&AttributeValue) -> Option<T>,
        expected: impl Display,
    ) -> Result<T, Corrupt> {
        self.item.get(name).and_then(read).ok_or_else(|| Corrupt {
            item: name_of(self.item),
            what: format!("attribute {name} must be {expected}"),
        })
    }
}

/// A period as it is stored.
pub fn period_text(period: Option<Period>) -> String {
    period.map_or_else(|| NO_PERIOD.to_owned(), |period| period.to_string())
}

/// Converts a number to 64 bits, limited to the range. The store subtracts without bounds, so an amount may be far below zero.
fn saturated(number: i128) -> i64 {
    i64::try_from(number).unwrap_or(if number < 0 { i64::MIN } else { i64::MAX })
}

fn number<T: FromStr>(value: &AttributeValue) -> Option<T> {
    value.as_n().ok()?.parse().ok()
}

fn level(value: &AttributeValue) -> Option<Level> {
    let [tat, interval] = value.as_l().ok()?.as_slice() else {
        return None;
    };
    // An interval of zero would cause a division by zero later.
    let interval = number(interval).filter(|interval| *interval > 0)?;
    Some(Level {
        tat: number(tat)?,
        interval,
    })
}

/// A level as it is stored.
pub fn level_value(level: Level) -> AttributeValue {
    let numbers = [level.tat, level.interval].map(|number| AttributeValue::N(number.to_string()));
    AttributeValue::L(numbers.to_vec())
}
