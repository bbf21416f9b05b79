//! The time of a decision. Bucket times all have one unit: nanoseconds.

use jiff::Timestamp;
use jiff::civil::Date;

use crate::calendar::day_of;

/// Nanoseconds: an instant since the Unix epoch, or a span. 128 bits wide, because the bucket of a slow plan can reach
/// thousands of years ahead.
pub type Nanos = i128;

/// One second.
pub const SECOND: Nanos = 1_000_000_000;
/// One millisecond.
pub const MILLISECOND: Nanos = 1_000_000;
/// One microsecond, the unit of sequence numbers; see [`lane`](crate::lane).
pub const MICROSECOND: Nanos = 1_000;

/// The time of a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// The time by our clock. Days and quota periods follow it.
    pub now: Timestamp,
    /// How far the meter's time is ahead of our clock; see [`Meter::times`](crate::meter::Meter::times). Buckets follow the
    /// meter's time.
    pub ahead: Nanos,
    /// The largest difference expected between clocks. If a bucket is filled further ahead than its burst plus this tolerance,
    /// a wrong clock filled it, and the bucket is corrected.
    pub tolerance: Nanos,
}

impl Moment {
    /// The time to use for buckets.
    pub fn bucket_time(&self) -> Nanos {
        self.now.as_nanosecond() + self.ahead
    }

    /// The time by our clock at which buckets reach `time`.
    pub fn when(&self, time: Nanos) -> Timestamp {
        Timestamp::from_nanosecond(time - self.ahead).unwrap_or(Timestamp::MAX)
    }

    /// The UTC day by our clock.
    pub fn day(&self) -> Date {
        day_of(self.now)
    }
}
