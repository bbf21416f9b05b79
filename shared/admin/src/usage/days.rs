//! The days of a usage report, computed from archived days and the meter.

use std::collections::BTreeMap;

use jiff::ToSpan;
use jiff::civil::Date;
use tollgate_core::calendar::start_of;
use tollgate_core::charge::{self, History};
use tollgate_core::limit::Quota;
use tollgate_core::meter::{ClosedDay, Meter};

use super::DayUsage;

/// What was used on these days, as a number of the quota.
pub(crate) fn total(days: &BTreeMap<Date, ClosedDay>) -> i64 {
    let used = days.values().map(|day| day.count).sum::<u64>();
    i64::try_from(used).unwrap_or(i64::MAX)
}

/// What a quota has left on the meter's day; negative if more is spent than its limit.
pub(crate) fn remaining(quota: &Quota, meter: &Meter, history: Option<History>) -> i64 {
    let (_, spent) = charge::spent(meter, quota, history, start_of(meter.day));
    limit(quota).saturating_sub(spent)
}

fn limit(quota: &Quota) -> i64 {
    i64::try_from(quota.limit()).unwrap_or(i64::MAX)
}

/// Adds the days that the meter still holds.
pub(super) fn add_live_days(
    days: &mut BTreeMap<Date, ClosedDay>,
    meter: &Meter,
    quota: Option<Quota>,
    history: Option<History>,
) {
    let today = ClosedDay {
        day: meter.day,
        count: meter.count,
        remaining: quota.map(|quota| remaining(&quota, meter, history)),
    };
    for live in [Some(today), meter.closed].into_iter().flatten() {
        let archived = days.entry(live.day).or_insert(live);
        // The meter may have been charged on after its day was archived when the key was unlinked.
        if live.count >= archived.count {
            *archived = live;
        }
    }
}

/// Every day from `from` to `end`. A day without usage has what the day before it left, or a new period's whole quota.
pub(super) fn every_day(
    days: &BTreeMap<Date, ClosedDay>,
    quota_on: impl Fn(Date) -> Option<Quota>,
    (from, end): (Date, Date),
) -> Vec<DayUsage> {
    // What is spent carries over from day to day, not what is left: the limit may differ on the next day.
    let mut spent = 0;
    let mut usage = Vec::new();
    for day in from.series(1.day()).take_while(|day| *day <= end) {
        let known = days.get(&day);
        let remaining = quota_on(day).map(|quota| {
            if quota.period_of(day).start == day {
                spent = 0;
            }
            if let Some(remaining) = known.and_then(|known| known.remaining) {
                spent = limit(&quota).saturating_sub(remaining);
            }
            charge::remaining(&quota, spent)
        });
        usage.push(DayUsage {
            day,
            used: known.map_or(0, |known| known.count),
            remaining,
        });
    }
    usage
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use tollgate_core::calendar::PeriodKind;

    use super::*;

    #[test]
    fn a_day_without_usage_has_what_the_day_before_left_until_the_period_turns() {
        let quota = Quota::new(10, PeriodKind::Week, 0).expect("valid");
        let thursday = date(2026, 11, 19);
        let closed = ClosedDay {
            day: thursday,
            count: 4,
            remaining: Some(6),
        };
        let days = BTreeMap::from([(thursday, closed)]);
        let usage = every_day(
            &days,
            |_| Some(quota),
            (date(2026, 11, 18), date(2026, 11, 22)),
        );
        let pairs: Vec<_> = usage.iter().map(|day| (day.used, day.remaining)).collect();
        assert_eq!(
            pairs,
            [
                (0, Some(10)),
                (4, Some(6)),
                (0, Some(6)),
                (0, Some(6)),
                (0, Some(10))
            ]
        );
    }

    #[test]
    fn a_limit_that_changes_takes_what_was_spent_along() {
        let quota = |limit| Quota::new(limit, PeriodKind::Month, 0).expect("valid");
        let last = date(2026, 11, 19);
        let closed = ClosedDay {
            day: last,
            count: 2,
            remaining: Some(98),
        };
        let on = |day: Date| Some(quota(if day <= last { 100 } else { 10 }));
        let usage = every_day(
            &BTreeMap::from([(last, closed)]),
            on,
            (last, date(2026, 11, 20)),
        );
        let left: Vec<_> = usage.iter().map(|day| day.remaining).collect();
        assert_eq!(left, [Some(98), Some(8)]);
    }

    #[test]
    fn without_a_quota_nothing_is_said_to_be_left() {
        let usage = every_day(
            &BTreeMap::new(),
            |_| None,
            (date(2026, 1, 1), date(2026, 1, 2)),
        );
        assert!(
            usage
                .iter()
                .all(|day| day.remaining.is_none() && day.used == 0)
        );
        assert_eq!(usage.len(), 2);
    }
}
