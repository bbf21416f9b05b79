//! Times and durations, as people type them.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, SpanRelativeTo, Timestamp, Unit};

/// A future time: a date (its first moment, UTC), an RFC 3339 time, or a duration from now.
pub(crate) fn future_time(text: &str) -> Result<Timestamp, String> {
    let time = text.parse().ok();
    let time = time
        .or_else(|| start_of_day(text))
        .or_else(|| from_now(text));
    let time = time.ok_or_else(|| {
        "expected a date (2027-01-31), a time (2027-01-31T12:00:00Z) or a duration from now (90d)"
            .to_owned()
    })?;
    if time <= Timestamp::now() {
        return Err("expected a time in the future".to_owned());
    }
    Ok(time)
}

/// The first moment of a date.
fn start_of_day(text: &str) -> Option<Timestamp> {
    // The parser of dates accepts a time behind the date as well, and ignores it.
    if text.len() != "2027-01-31".len() {
        return None;
    }
    let date: Date = text.parse().ok()?;
    Some(date.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

fn from_now(text: &str) -> Option<Timestamp> {
    let seconds = duration(text).ok()?;
    let second = Timestamp::now().as_second().checked_add(seconds)?;
    Timestamp::from_second(second).ok()
}

/// The longest overlap of a rotation, in days.
const MAX_OVERLAP_DAYS: i64 = 90;

/// The overlap of a rotation, in seconds.
pub(crate) fn overlap(text: &str) -> Result<i64, String> {
    let seconds = duration(text)?;
    if seconds > MAX_OVERLAP_DAYS * 86_400 {
        return Err(format!("expected at most {MAX_OVERLAP_DAYS}d"));
    }
    Ok(seconds)
}

/// A duration in whole seconds. A day has 24 hours.
fn duration(text: &str) -> Result<i64, String> {
    let expected = || "expected a duration such as 30m, 24h, 7d or 0s".to_owned();
    let span: Span = text.parse().map_err(|_| expected())?;
    let days = SpanRelativeTo::days_are_24_hours();
    let seconds = span.total((Unit::Second, days)).map_err(|_| expected())?;
    if seconds < 0.0 || seconds.fract() != 0.0 {
        return Err(expected());
    }
    #[expect(clippy::cast_possible_truncation, reason = "seconds is whole")]
    Ok(seconds as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_in_the_units_that_people_use() {
        for (text, seconds) in [
            ("0s", 0),
            ("30m", 1_800),
            ("24h", 86_400),
            ("7d", 604_800),
            ("1d 12h", 129_600),
            ("P1D", 86_400),
        ] {
            assert_eq!(duration(text), Ok(seconds), "{text}");
        }
        for text in ["", "7", "-1d", "1 month", "soon", "500ms", "1.5s"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_future_time_is_a_date_a_time_or_a_duration_from_now() {
        let at = |text: &str| future_time(text).map(Timestamp::as_second);
        assert_eq!(at("2027-01-31"), Ok(1_801_353_600));
        assert_eq!(at("2027-01-31T12:00:00+01:00"), Ok(1_801_393_200));
        let day = Timestamp::now().as_second() + 86_400;
        assert!(at("1d").is_ok_and(|time| (day..=day + 5).contains(&time)));
        for text in [
            "tomorrow",
            "2027-01-31T12:00",
            "2027-01-31T12:00:00",
            "2027-01-31 12:00",
            "2027-02-31",
        ] {
            assert!(at(text).is_err(), "{text}");
        }
    }
}
