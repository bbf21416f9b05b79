//! The limits of a plan. The constructors reject invalid values.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::bucket::Bucket;
use crate::calendar::{self, Period, PeriodKind};
use crate::moment::Nanos;

/// The slowest rate other than zero, in requests per second: one request in 31 years.
///
/// Slower rates would overflow the 38 digits of a DynamoDB number.
pub const SLOWEST_RATE: f64 = 1e-9;

/// The fastest rate, in requests per second. Times in a bucket are whole nanoseconds, so faster rates would be inexact.
pub const FASTEST_RATE: f64 = 1e12;

/// An invalid limit.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum InvalidLimit {
    /// The rate is negative, not a number, slower than [`SLOWEST_RATE`] or faster than [`FASTEST_RATE`].
    #[error("rateLimit must be 0 or a number of requests per second from 1e-9 to 1e12, got {0:e}")]
    Rate(f64),
    /// The offset is outside the range of the period kind.
    #[error("quota offset for {kind} must be from 0 to {max}, got {offset}")]
    Offset {
        /// The requested period kind.
        kind: PeriodKind,
        /// The largest offset that the period kind allows.
        max: u8,
        /// The requested offset.
        offset: i64,
    },
}

/// A plan's throttle: a rate and a burst, each optional.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", try_from = "RawThrottle")]
pub struct Throttle {
    #[serde(skip_serializing_if = "Option::is_none")]
    rate_limit: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    burst_limit: Option<u32>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawThrottle {
    rate_limit: Option<f64>,
    burst_limit: Option<u32>,
}

impl TryFrom<RawThrottle> for Throttle {
    type Error = InvalidLimit;

    fn try_from(raw: RawThrottle) -> Result<Self, InvalidLimit> {
        Self::new(raw.rate_limit, raw.burst_limit)
    }
}

impl Throttle {
    /// A throttle of `rate_limit` requests per second and a bucket of `burst_limit` requests.
    ///
    /// # Errors
    /// [`InvalidLimit::Rate`] if the rate is invalid.
    pub fn new(rate_limit: Option<f64>, burst_limit: Option<u32>) -> Result<Self, InvalidLimit> {
        match rate_limit {
            Some(rate) if rate != 0.0 && !(SLOWEST_RATE..=FASTEST_RATE).contains(&rate) => {
                Err(InvalidLimit::Rate(rate))
            }
            _ => Ok(Self {
                rate_limit,
                burst_limit,
            }),
        }
    }

    /// The rate, in requests per second.
    pub fn rate_limit(&self) -> Option<f64> {
        self.rate_limit
    }

    /// The burst: the number of requests that may arrive at once.
    pub fn burst_limit(&self) -> Option<u32> {
        self.burst_limit
    }

    /// Whether the throttle refuses every request: its rate or its burst is 0.
    pub fn is_closed(&self) -> bool {
        self.rate_limit == Some(0.0) || self.burst_limit == Some(0)
    }

    /// The bucket that enforces this throttle; `None` if there is no rate and the throttle is not closed.
    ///
    /// Without a burst, the bucket holds the requests of one second at the rate, at least 1.
    pub fn bucket(&self) -> Option<Bucket> {
        if self.is_closed() {
            return Some(Bucket::closed());
        }
        let rate = self.rate_limit?;
        let burst = self
            .burst_limit
            .unwrap_or_else(|| whole(rate.ceil().max(1.0)));
        Some(Bucket::new(interval(rate), burst))
    }
}

/// The time per request in nanoseconds, rounded up: rounding down would admit more than the rate.
fn interval(rate: f64) -> Nanos {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "at most 1e18, by SLOWEST_RATE"
    )]
    let nanoseconds = (1e9 / rate).ceil() as Nanos;
    nanoseconds.max(1)
}

fn whole(value: f64) -> u32 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a float cast saturates, and a burst over u32::MAX is no limit at all"
    )]
    let value = value as u32;
    value
}

/// A number of requests per calendar period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", try_from = "RawQuota")]
pub struct Quota {
    limit: u64,
    period: PeriodKind,
    offset: u8,
}

#[derive(Deserialize)]
struct RawQuota {
    limit: u64,
    period: PeriodKind,
    #[serde(default)]
    offset: i64,
}

impl TryFrom<RawQuota> for Quota {
    type Error = InvalidLimit;

    fn try_from(raw: RawQuota) -> Result<Self, InvalidLimit> {
        Self::new(raw.limit, raw.period, raw.offset)
    }
}

impl Quota {
    /// A quota of `limit` requests per `period`. `offset` sets the day on which the period starts: 0 for DAY, 0-6 for WEEK (0
    /// is Sunday), 0-27 for MONTH (0 is the 1st).
    ///
    /// # Errors
    /// [`InvalidLimit::Offset`] if the period has no such offset.
    pub fn new(limit: u64, period: PeriodKind, offset: i64) -> Result<Self, InvalidLimit> {
        let max = period.max_offset();
        match u8::try_from(offset) {
            Ok(offset) if offset <= max => Ok(Self {
                limit,
                period,
                offset,
            }),
            _ => Err(InvalidLimit::Offset {
                kind: period,
                max,
                offset,
            }),
        }
    }

    /// The same quota with another limit.
    #[must_use]
    pub fn with_limit(self, limit: u64) -> Self {
        Self { limit, ..self }
    }

    /// The number of requests per period.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// The kind of period.
    pub fn period(&self) -> PeriodKind {
        self.period
    }

    /// The day on which the period starts.
    pub fn offset(&self) -> u8 {
        self.offset
    }

    /// The period that contains `day`.
    pub fn period_of(&self, day: Date) -> Period {
        calendar::period_of(day, self.period, self.offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(rate: Option<f64>, burst: Option<u32>) -> Option<Bucket> {
        Throttle::new(rate, burst).expect("valid").bucket()
    }

    #[test]
    fn the_interval_is_rounded_up_so_that_the_rate_is_never_exceeded() {
        assert_eq!(
            bucket(Some(3.0), Some(1)),
            Some(Bucket::new(333_333_334, 1))
        );
        assert_eq!(
            bucket(Some(0.1), Some(1)),
            Some(Bucket::new(10_000_000_000, 1))
        );
        assert_eq!(bucket(Some(5e9), Some(1)), Some(Bucket::new(1, 1)));
        assert_eq!(
            bucket(Some(SLOWEST_RATE), Some(1)),
            Some(Bucket::new(1_000_000_000_000_000_000, 1))
        );
    }

    #[test]
    fn a_rate_without_burst_holds_one_second_of_itself_and_at_least_one() {
        assert_eq!(bucket(Some(2.5), None).map(|b| b.burst()), Some(3));
        assert_eq!(bucket(Some(0.2), None).map(|b| b.burst()), Some(1));
        assert_eq!(bucket(Some(1e12), None).map(|b| b.burst()), Some(u32::MAX));
    }

    #[test]
    fn a_burst_without_rate_throttles_nothing_and_a_zero_of_either_refuses_all() {
        assert_eq!(bucket(None, Some(5)), None);
        assert_eq!(bucket(None, Some(0)).map(|b| b.burst()), Some(0));
        assert_eq!(bucket(Some(0.0), Some(5)).map(|b| b.burst()), Some(0));
        assert_eq!(bucket(Some(5.0), Some(0)).map(|b| b.burst()), Some(0));
    }

    #[test]
    fn a_limit_says_what_it_was_made_of() {
        let throttle = Throttle::new(Some(2.5), Some(7)).expect("valid");
        assert_eq!(
            (throttle.rate_limit(), throttle.burst_limit()),
            (Some(2.5), Some(7))
        );
        let raw = RawThrottle {
            rate_limit: Some(2.5),
            burst_limit: Some(7),
        };
        assert_eq!(Throttle::try_from(raw), Ok(throttle));
        let quota = Quota::new(9, PeriodKind::Week, 3).expect("valid");
        assert_eq!(
            (quota.limit(), quota.period(), quota.offset()),
            (9, PeriodKind::Week, 3)
        );
    }

    #[test]
    fn rates_that_are_no_rates_are_refused() {
        for rate in [-1.0, f64::NAN, f64::INFINITY, 1e-10, 1e13] {
            assert!(matches!(
                Throttle::new(Some(rate), None),
                Err(InvalidLimit::Rate(_))
            ));
        }
    }

    #[test]
    fn an_offset_must_be_a_day_of_its_period() {
        for (kind, max) in [
            (PeriodKind::Day, 0),
            (PeriodKind::Week, 6),
            (PeriodKind::Month, 27),
        ] {
            assert!(Quota::new(1, kind, max).is_ok());
            for offset in [-1, max + 1, 300] {
                assert_eq!(
                    Quota::new(1, kind, offset),
                    Err(InvalidLimit::Offset {
                        kind,
                        max: kind.max_offset(),
                        offset
                    })
                );
            }
        }
    }
}
