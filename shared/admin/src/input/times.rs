//! Expiry of keys, overlap of rotations, days of reports.

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};

/// Seconds for which the old value can stay valid after a rotation: ninety days.
const MAX_OVERLAP: i64 = 90 * 24 * 60 * 60;
/// Days that a report of usage can have.
const MAX_DAYS: i64 = 90;

/// A time that breaks a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTime {
    /// An expiry that is over, or that no calendar has.
    #[error("a key can expire from {first} to {last}, in epoch seconds; got {got}")]
    Expiry {
        /// The earliest, epoch seconds.
        first: i64,
        /// The latest, epoch seconds.
        last: i64,
        /// The one that was asked for.
        got: i64,
    },
    /// An overlap that is missing, negative or too long.
    #[error("the overlap of a rotation is 0 to {max} seconds, and required")]
    Overlap {
        /// The longest, seconds.
        max: i64,
    },
    /// A report that ends before it starts, or has too many days.
    #[error("a report has 1 to {max} days, got {start} to {end}")]
    Days {
        /// Days that it can have.
        max: i64,
        /// The first day.
        start: Date,
        /// The last day.
        end: Date,
    },
}

/// The time at which a key expires, given in epoch seconds. It has to be in the future.
///
/// # Errors
/// [`InvalidTime::Expiry`].
pub fn expiry(seconds: i64, now: Timestamp) -> Result<Timestamp, InvalidTime> {
    let time = Timestamp::from_second(seconds).ok();
    time.filter(|time| *time > now).ok_or(InvalidTime::Expiry {
        first: now.as_second() + 1,
        last: Timestamp::MAX.as_second(),
        got: seconds,
    })
}

/// The time until which the old value stays valid after a rotation; `None` if it ends at once.
///
/// # Errors
/// [`InvalidTime::Overlap`].
pub fn overlap(seconds: Option<i64>, now: Timestamp) -> Result<Option<Timestamp>, InvalidTime> {
    match seconds {
        Some(0) => Ok(None),
        Some(seconds @ 1..=MAX_OVERLAP) => Ok(Some(now + SignedDuration::from_secs(seconds))),
        _ => Err(InvalidTime::Overlap { max: MAX_OVERLAP }),
    }
}

/// The days of a report, both included.
///
/// # Errors
/// [`InvalidTime::Days`].
pub fn days(start: Date, end: Date) -> Result<(Date, Date), InvalidTime> {
    let days = end.duration_since(start).as_hours() / 24 + 1;
    if !(1..=MAX_DAYS).contains(&days) {
        return Err(InvalidTime::Days {
            max: MAX_DAYS,
            start,
            end,
        });
    }
    Ok((start, end))
}

/// A day written YYYY-MM-DD. The calendar's own parser also takes times and zones, which no day here has.
pub fn parse_day(text: &str) -> Option<Date> {
    let day = text.parse().ok();
    day.filter(|_| text.len() == "YYYY-MM-DD".len())
}
