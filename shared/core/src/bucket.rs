//! GCRA (the generic cell rate algorithm) for throttles. A bucket is one number, the *theoretical arrival time* `tat`.
//!
//! A request of cost `c` at `now` is admitted iff `max(tat, now) - now <= (burst - c) * interval`; then `tat` becomes `max(tat,
//! now) + c * interval`. So within any time `t`, the bucket admits a cost of at most `burst + t / interval`.

use crate::moment::Nanos;

/// The size and pace of a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Bucket {
    interval: Nanos,
    burst: u32,
}

/// How full a bucket is: the part of it that is stored.
///
/// The interval is stored with `tat`, because `tat - now` corresponds to a number of requests only at the pace it was charged
/// at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level {
    /// The theoretical arrival time, in nanoseconds since the epoch.
    pub tat: Nanos,
    /// The pace at which `tat` was charged: the time per request, in nanoseconds.
    pub interval: Nanos,
}

impl Bucket {
    /// A bucket of `burst` requests that regains one every `interval` (at least 1 ns).
    pub fn new(interval: Nanos, burst: u32) -> Self {
        Self {
            interval: interval.max(1),
            burst,
        }
    }

    /// A bucket that refuses every request.
    pub fn closed() -> Self {
        Self::new(1, 0)
    }

    /// The time per request, in nanoseconds.
    pub fn interval(&self) -> Nanos {
        self.interval
    }

    /// The rate that the bucket sustains, in requests per second. A bucket with a burst of 0 sustains none.
    pub fn rate(&self) -> f64 {
        if self.burst == 0 {
            return 0.0;
        }
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let interval = self.interval as f64;
        1e9 / interval
    }

    /// The number of requests that a full bucket holds.
    pub fn burst(&self) -> u32 {
        self.burst
    }

    /// How far ahead of now `tat` may be if a request of this cost is to be admitted; `None` if the cost exceeds the burst.
    pub fn tolerance(&self, cost: u32) -> Option<Nanos> {
        let spare = self.burst.checked_sub(cost)?;
        Some(Nanos::from(spare) * self.interval)
    }

    /// The time that a request of this cost adds to `tat`.
    pub fn increment(&self, cost: u32) -> Nanos {
        Nanos::from(cost) * self.interval
    }

    /// Converts a level to this bucket's pace.
    ///
    /// A level that was charged at another pace keeps its debt in *requests*, up to a whole bucket. Keeping the debt in time
    /// instead would turn a spent burst of a fast plan into a nearly unspent one of a slow plan.
    pub fn convert(&self, level: Level, now: Nanos) -> Level {
        let ahead = level.tat - now;
        if level.interval == self.interval || ahead <= 0 {
            return Level {
                interval: self.interval,
                ..level
            };
        }
        let (whole, part) = (ahead / level.interval, ahead % level.interval);
        let part = (part * self.interval + level.interval - 1) / level.interval;
        let owed = (whole.min(Nanos::from(self.burst)) * self.interval + part)
            .min(Nanos::from(self.burst) * self.interval);
        Level {
            tat: now + owed,
            interval: self.interval,
        }
    }

    /// How many requests of cost 1 the bucket would admit at `now`, one after the other.
    pub fn remaining(&self, level: Option<Level>, now: Nanos) -> u32 {
        let ahead = level.map_or(0, |level| (level.tat - now).max(0));
        let spare = Nanos::from(self.burst) * self.interval - ahead;
        u32::try_from(spare.max(0) / self.interval).unwrap_or(self.burst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_pace_keeps_the_requests_owed() {
        let fast = Bucket::new(10, 100);
        let slow = Bucket::new(100, 100);
        let spent = Level {
            tat: 1_000 + 100 * 10,
            interval: 10,
        };
        assert_eq!(fast.remaining(Some(spent), 1_000), 0);
        assert_eq!(slow.remaining(Some(slow.convert(spent, 1_000)), 1_000), 0);
        let half = Level {
            tat: 1_000 + 50 * 10,
            interval: 10,
        };
        assert_eq!(slow.remaining(Some(slow.convert(half, 1_000)), 1_000), 50);
    }

    #[test]
    fn a_part_of_a_request_owed_is_kept_and_rounded_up() {
        let level = Level {
            tat: 1_005,
            interval: 10,
        };
        assert_eq!(Bucket::new(7, 9).convert(level, 1_000).tat, 1_004);
        assert_eq!(Bucket::new(1_000, 9).convert(level, 1_000).tat, 1_500);
    }

    #[test]
    fn a_debt_larger_than_the_new_bucket_becomes_a_whole_bucket() {
        let level = Level {
            tat: 1_000 + 100 * 10,
            interval: 10,
        };
        assert_eq!(Bucket::new(3, 5).convert(level, 1_000).tat, 1_015);
        let part = Level {
            tat: 1_000 + 5 * 10 + 1,
            interval: 10,
        };
        assert_eq!(Bucket::new(3, 5).convert(part, 1_000).tat, 1_015);
    }

    #[test]
    fn an_idle_level_and_one_at_the_same_pace_stay_as_they_are() {
        let idle = Level {
            tat: 900,
            interval: 10,
        };
        let same = Level {
            tat: 900,
            interval: 3,
        };
        assert_eq!(Bucket::new(3, 5).convert(idle, 1_000), same);
        assert_eq!(Bucket::new(3, 5).convert(idle, 900), same);
        let deep = Level {
            tat: 9_000,
            interval: 3,
        };
        assert_eq!(Bucket::new(3, 5).convert(deep, 1_000), deep);
    }

    #[test]
    fn the_extremes_do_not_overflow() {
        let slowest = 1_000_000_000_000_000_000;
        let bucket = Bucket::new(slowest, u32::MAX);
        let full = i128::from(u32::MAX) * slowest;
        let level = Level {
            tat: full,
            interval: slowest - 1,
        };
        assert_eq!(bucket.convert(level, 0).tat, full);
        assert_eq!(
            bucket.remaining(
                Some(Level {
                    tat: full,
                    interval: slowest
                }),
                0
            ),
            0
        );
        assert_eq!(bucket.remaining(None, 0), u32::MAX);
    }
}
