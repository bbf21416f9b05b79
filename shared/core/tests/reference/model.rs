//! The model: a log of admitted cost, day by day, and buckets of water that drain one drop per nanosecond. It shares no code
//! with the engine.

use std::collections::BTreeMap;

use jiff::ToSpan;
use jiff::civil::{Date, Weekday};
use tollgate_core::calendar::PeriodKind;
use tollgate_core::limits::PLAN_BUCKET;
use tollgate_core::verdict::Reason;

use super::Plan;

const SECOND: i128 = 1_000_000_000;
pub const DAY: i128 = 86_400 * SECOND;

/// Why a request is refused, and when it would be admitted.
pub type Refused = (Reason, Option<i128>);

#[derive(Debug, Clone, Default)]
pub struct Model {
    pub admitted: BTreeMap<Date, u64>,
    pub day: Option<Date>,
    water: BTreeMap<String, Water>,
}

#[derive(Debug, Clone, Copy)]
struct Water {
    drops: i128,
    at: i128,
    /// Drops per request.
    pace: i128,
}

impl Water {
    /// The drops that have not drained yet.
    fn drops(self, now: i128) -> i128 {
        (self.drops - (now - self.at)).max(0)
    }

    /// Converts the water to the same number of requests at another pace, at most a full bucket.
    fn at_pace(self, pace: i128, full: i128, now: i128) -> Self {
        let owed = (self.drops(now) * pace + self.pace - 1) / self.pace;
        Self {
            drops: owed.min(full),
            at: now,
            pace,
        }
    }
}

/// A bucket's name, its pace and burst, and the reason of a refusal by it.
type Throttle = (String, Option<(i128, u32)>, Reason);

impl Model {
    /// A model that has admitted nothing, on this day.
    pub fn starting(day: Date) -> Self {
        Self {
            day: Some(day),
            ..Self::default()
        }
    }

    /// Returns `Ok`, or why the request is refused and when it would be admitted.
    pub fn decide(
        &mut self,
        plan: &Plan,
        method: usize,
        cost: u32,
        now: i128,
    ) -> Result<(), Refused> {
        let day = date(now).max(self.day.unwrap_or(Date::MIN));
        let throttles = throttles(plan, method);
        let (water, is_converted) = self.converted(&throttles, now);
        let by_buckets = throttles
            .iter()
            .filter_map(|throttle| by_bucket(&water, throttle, cost, now));
        let by_quota = self.by_quota(plan, day, cost);
        let ends = |until: &Option<i128>| until.unwrap_or(i128::MAX);
        let worst = by_buckets
            .chain(by_quota)
            .max_by_key(|(_, until)| ends(until));
        if let Some((reason, until)) = worst {
            if until.is_some() {
                self.water = water;
                // The conversion was written to the meter, and the day with it.
                if is_converted {
                    self.day = Some(day);
                }
            }
            return Err((reason, until));
        }
        self.water = water;
        self.pour(throttles, cost, now);
        self.day = Some(day);
        *self.admitted.entry(day).or_default() += u64::from(cost);
        Ok(())
    }

    /// The water with every bucket at the pace of its throttle, and whether any bucket had to be converted.
    fn converted(&self, throttles: &[Throttle], now: i128) -> (BTreeMap<String, Water>, bool) {
        let mut water = self.water.clone();
        let mut is_converted = false;
        for (id, limit, _) in throttles {
            let (Some((pace, burst)), Some(known)) = (*limit, water.get(id).copied()) else {
                continue;
            };
            if known.pace != pace && known.drops(now) > 0 {
                is_converted = true;
                let full = pace * i128::from(burst);
                water.insert(id.clone(), known.at_pace(pace, full, now));
            }
        }
        (water, is_converted)
    }

    fn by_quota(&self, plan: &Plan, day: Date, cost: u32) -> Option<Refused> {
        let (limit, kind, offset) = plan.quota?;
        let (start, end) = period(day, kind, offset);
        let days = self.admitted.range(start..end);
        let spent: u64 = days.map(|(_, count)| count).sum();
        if u64::from(cost) > limit {
            Some((Reason::Quota, None))
        } else if spent + u64::from(cost) > limit {
            Some((Reason::Quota, Some(midnight(end))))
        } else {
            None
        }
    }

    fn pour(&mut self, throttles: impl IntoIterator<Item = Throttle>, cost: u32, now: i128) {
        for (id, limit, _) in throttles {
            let Some((pace, _)) = limit else { continue };
            let known = self.water.get(&id);
            let drops = known.map_or(0, |known| known.drops(now)) + pace * i128::from(cost);
            let water = Water {
                drops,
                at: now,
                pace,
            };
            self.water.insert(id, water);
        }
    }
}

fn throttles(plan: &Plan, method: usize) -> [Throttle; 2] {
    [
        (PLAN_BUCKET.to_owned(), plan.rate, Reason::Rate),
        (
            format!("m{method}"),
            plan.methods[method],
            Reason::MethodRate,
        ),
    ]
}

fn by_bucket(
    water: &BTreeMap<String, Water>,
    (id, limit, reason): &Throttle,
    cost: u32,
    now: i128,
) -> Option<Refused> {
    let (pace, burst) = (*limit)?;
    let (full, wanted) = (pace * i128::from(burst), pace * i128::from(cost));
    let drops = water.get(id).map_or(0, |known| known.drops(now));
    if burst == 0 {
        Some((*reason, None))
    } else if wanted > full {
        Some((Reason::CostExceedsBurst, None))
    } else if drops + wanted > full {
        Some((*reason, Some(now + drops + wanted - full)))
    } else {
        None
    }
}

pub fn date(now: i128) -> Date {
    let days = i64::try_from(now.div_euclid(DAY)).unwrap();
    Date::constant(1970, 1, 1).saturating_add(days.days())
}

pub fn midnight(day: Date) -> i128 {
    let days = Date::constant(1970, 1, 1).until(day).unwrap().get_days();
    i128::from(days) * DAY
}

/// Finds the period by checking each day for the start of a period.
fn period(day: Date, kind: PeriodKind, offset: u8) -> (Date, Date) {
    let starts = |day: &Date| match kind {
        PeriodKind::Day => true,
        PeriodKind::Week => {
            let sunday = day.weekday() == Weekday::Sunday;
            let number = if sunday {
                0
            } else {
                day.weekday().to_monday_one_offset()
            };
            u8::try_from(number).unwrap() == offset
        }
        PeriodKind::Month => u8::try_from(day.day()).unwrap() == offset + 1,
    };
    let mut start = day;
    while !starts(&start) {
        start = start.yesterday().unwrap();
    }
    let mut end = day.tomorrow().unwrap();
    while !starts(&end) {
        end = end.tomorrow().unwrap();
    }
    (start, end)
}
