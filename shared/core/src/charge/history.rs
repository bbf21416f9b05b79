//! The sum of a period's closed days, for a quota that was changed to a period which had begun before the meter's day.

use jiff::civil::Date;

use crate::calendar::Period;
use crate::meter::ClosedDay;

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

impl History {
    /// Sums the days of `period` before `before`. `waiting`, the closed day that still waits in the meter, takes the place of
    /// an archived day of the same date, which may be older.
    pub fn sum(
        period: Period,
        before: Date,
        archived: impl IntoIterator<Item = ClosedDay>,
        waiting: Option<ClosedDay>,
    ) -> Self {
        // A meter's day beyond the period's end is damage: nothing was admitted on the days between them.
        let is_counted =
            |day: &ClosedDay| (period.start..before.min(period.end())).contains(&day.day);
        let replaced = waiting.map(|waiting| waiting.day);
        let archived = archived.into_iter().filter(|day| Some(day.day) != replaced);
        let counted = archived.chain(waiting).filter(is_counted);
        Self {
            period,
            before,
            admitted: counted.map(|day| day.count).sum(),
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;
    use crate::calendar::PeriodKind;
    use crate::limit::Quota;

    #[test]
    fn the_days_of_the_period_before_the_meters_day_are_summed_each_once() {
        let day = |day, count| ClosedDay {
            day: date(2026, 11, day),
            count,
            remaining: None,
        };
        let quota = Quota::new(10, PeriodKind::Month, 0).expect("valid");
        let before = date(2026, 11, 5);
        let period = quota.period_of(before);
        let earlier = ClosedDay {
            day: date(2026, 10, 31),
            ..day(1, 100)
        };
        let archived = [earlier, day(1, 1), day(4, 2), day(5, 50)];
        let history = History::sum(period, before, archived, Some(day(4, 3)));
        assert_eq!(history.admitted, 4);
        assert_eq!((history.period, history.before), (period, before));
        assert_eq!(History::sum(period, before, archived, None).admitted, 3);
    }
}
