//! Days and quota periods. All of them start at 00:00 UTC, like API Gateway's quotas.

use std::fmt;
use std::str::FromStr;

use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Serialize};

/// The length of a quota's period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum PeriodKind {
    /// A day.
    Day,
    /// Seven days.
    Week,
    /// A calendar month.
    Month,
}

impl PeriodKind {
    /// The largest offset in days. It is limited so that every period of the kind has the day on which it starts.
    pub fn max_offset(self) -> u8 {
        match self {
            Self::Day => 0,
            Self::Week => 6,
            Self::Month => 27,
        }
    }

    /// The name used in requests and in the table.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Day => "DAY",
            Self::Week => "WEEK",
            Self::Month => "MONTH",
        }
    }
}

impl fmt::Display for PeriodKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that is not a period kind, or not a period.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected DAY, WEEK or MONTH, got {0:?}")]
pub struct UnknownPeriod(pub String);

impl FromStr for PeriodKind {
    type Err = UnknownPeriod;

    fn from_str(text: &str) -> Result<Self, UnknownPeriod> {
        match text {
            "DAY" => Ok(Self::Day),
            "WEEK" => Ok(Self::Week),
            "MONTH" => Ok(Self::Month),
            other => Err(UnknownPeriod(other.to_owned())),
        }
    }
}

/// One quota period: its kind and its first day. Written `MONTH:2026-11-01`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Period {
    /// The kind of period.
    pub kind: PeriodKind,
    /// The first day of the period.
    pub start: Date,
}

impl Period {
    /// The first day after the period.
    pub fn end(&self) -> Date {
        let length = match self.kind {
            PeriodKind::Day => 1.day(),
            PeriodKind::Week => 7.days(),
            PeriodKind::Month => 1.month(),
        };
        self.start.saturating_add(length)
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind, self.start)
    }
}

impl FromStr for Period {
    type Err = UnknownPeriod;

    fn from_str(text: &str) -> Result<Self, UnknownPeriod> {
        let unknown = || UnknownPeriod(text.to_owned());
        let (kind, start) = text.split_once(':').ok_or_else(unknown)?;
        Ok(Self {
            kind: kind.parse()?,
            start: start.parse().map_err(|_| unknown())?,
        })
    }
}

/// The UTC day that contains `now`.
pub fn day_of(now: Timestamp) -> Date {
    now.to_zoned(TimeZone::UTC).date()
}

/// The first instant of `day`.
pub fn start_of(day: Date) -> Timestamp {
    day.to_zoned(TimeZone::UTC)
        .map_or(Timestamp::MAX, |midnight| midnight.timestamp())
}

/// The period of `kind` that contains `day`. `offset` sets the day on which periods start (see
/// [`Quota::new`](crate::limit::Quota::new)).
pub fn period_of(day: Date, kind: PeriodKind, offset: u8) -> Period {
    let offset = i8::try_from(offset).unwrap_or(i8::MAX);
    let start = match kind {
        PeriodKind::Day => day,
        PeriodKind::Week => {
            let first = Weekday::from_sunday_zero_offset(offset % 7).unwrap_or(Weekday::Sunday);
            day.saturating_sub(i32::from(day.weekday().since(first)).days())
        }
        PeriodKind::Month => {
            let turn = day
                .first_of_month()
                .saturating_add(i32::from(offset).days());
            if turn <= day {
                turn
            } else {
                day.first_of_month()
                    .saturating_sub(1.month())
                    .saturating_add(i32::from(offset).days())
            }
        }
    };
    Period { kind, start }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;
    use proptest::prelude::*;

    fn start(day: Date, kind: PeriodKind, offset: u8) -> Date {
        period_of(day, kind, offset).start
    }

    #[test]
    fn a_day_turns_at_midnight_utc() {
        let last: Timestamp = "2026-11-22T23:59:59.999999999Z".parse().expect("a time");
        let first: Timestamp = "2026-11-23T00:00:00Z".parse().expect("a time");
        assert_eq!(day_of(last), date(2026, 11, 22));
        assert_eq!(day_of(first), date(2026, 11, 23));
        assert_eq!(start_of(date(2026, 11, 23)), first);
    }

    #[test]
    fn a_week_starts_on_sunday_or_as_many_days_later_as_the_offset() {
        let sunday = date(2026, 11, 22);
        assert_eq!(start(sunday, PeriodKind::Week, 0), sunday);
        assert_eq!(start(date(2026, 11, 28), PeriodKind::Week, 0), sunday);
        assert_eq!(start(sunday, PeriodKind::Week, 1), date(2026, 11, 16));
        assert_eq!(start(sunday, PeriodKind::Week, 6), date(2026, 11, 21));
    }

    #[test]
    fn a_month_starts_on_the_first_or_as_many_days_later_as_the_offset() {
        assert_eq!(
            start(date(2026, 11, 22), PeriodKind::Month, 0),
            date(2026, 11, 1)
        );
        assert_eq!(
            start(date(2026, 11, 22), PeriodKind::Month, 21),
            date(2026, 11, 22)
        );
        assert_eq!(
            start(date(2026, 11, 22), PeriodKind::Month, 22),
            date(2026, 10, 23)
        );
        assert_eq!(
            start(date(2026, 3, 1), PeriodKind::Month, 27),
            date(2026, 2, 28)
        );
        assert_eq!(
            start(date(2026, 1, 1), PeriodKind::Month, 27),
            date(2025, 12, 28)
        );
    }

    #[test]
    fn a_period_reads_back_as_it_was_written_and_nothing_else_does() {
        let period = period_of(date(2026, 11, 22), PeriodKind::Week, 3);
        assert_eq!(period.to_string(), "WEEK:2026-11-18");
        assert_eq!(period.to_string().parse(), Ok(period));
        for text in ["", "WEEK", "YEAR:2026-01-01", "DAY:2026-02-30"] {
            assert!(text.parse::<Period>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn periods_cover_every_day_once(
            days in 0i32..20_000,
            kind in prop_oneof![Just(PeriodKind::Day), Just(PeriodKind::Week), Just(PeriodKind::Month)],
            offset in 0u8..28,
        ) {
            let offset = offset % (kind.max_offset() + 1);
            let day = date(1999, 12, 31).saturating_add(days.days());
            let period = period_of(day, kind, offset);
            prop_assert!(period.start <= day && day < period.end());
            prop_assert_eq!(period_of(period.start, kind, offset), period);
            let next = period_of(period.end(), kind, offset);
            prop_assert_eq!(next.start, period.end());
        }
    }
}
