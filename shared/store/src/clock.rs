//! The clock: ours, corrected by the store's where it is far off.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::SystemTime;

use jiff::{SignedDuration, Timestamp};

/// How far our clock may be off the store's before it is corrected. The `Date` header has whole seconds only, so
/// correcting less would add error.
const TOLERANCE: SignedDuration = SignedDuration::from_secs(2);

/// The system clock with a correction.
#[derive(Debug, Default)]
pub struct Clock {
    offset_nanoseconds: AtomicI64,
}

impl Clock {
    /// The time now.
    pub fn now(&self) -> Timestamp {
        let offset = SignedDuration::from_nanos(self.offset_nanoseconds.load(Ordering::Relaxed));
        Timestamp::now()
            .saturating_add(offset)
            .unwrap_or(Timestamp::MAX)
    }

    /// Takes note of a `Date` header that arrived just now. One that cannot be read changes nothing.
    pub(crate) fn observe(&self, date: &str) {
        let Ok(date) = httpdate::parse_http_date(date) else {
            return;
        };
        self.correct(date, SystemTime::now());
    }

    fn correct(&self, store: SystemTime, ours: SystemTime) {
        let (Ok(store), Ok(ours)) = (Timestamp::try_from(store), Timestamp::try_from(ours)) else {
            return;
        };
        // The header is cut to whole seconds: on average the store is half a second further.
        let offset = store.duration_since(ours) + SignedDuration::from_millis(500);
        let offset = if offset.abs() > TOLERANCE {
            i64::try_from(offset.as_nanos()).unwrap_or(0)
        } else {
            0
        };
        if self.offset_nanoseconds.swap(offset, Ordering::Relaxed) == 0 && offset != 0 {
            tracing::warn!(
                offset_seconds = offset / 1_000_000_000,
                "the system clock is off the store's; going by the store's"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    fn offset_after(store: u64, ours: u64) -> i64 {
        let clock = Clock::default();
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        clock.correct(at(store), at(ours));
        clock.offset_nanoseconds.load(Ordering::Relaxed)
    }

    #[test]
    fn a_clock_that_is_nearly_right_is_left_alone() {
        assert_eq!(offset_after(1_000, 1_000), 0);
        assert_eq!(offset_after(1_000, 1_002), 0);
        assert_eq!(offset_after(1_000, 999), 0);
    }

    #[test]
    fn a_clock_that_is_off_follows_the_store() {
        assert_eq!(offset_after(1_000, 4_600), -3_599_500_000_000);
        assert_eq!(offset_after(4_600, 1_000), 3_600_500_000_000);
    }
}
