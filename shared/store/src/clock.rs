//! The clock: ours, corrected by the store's where it is far off.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::{SignedDuration, Timestamp};

/// How far our clock may be off the store's before it is corrected. The `Date` header has whole seconds only, so
/// correcting less would add error.
const TOLERANCE: SignedDuration = SignedDuration::from_secs(2);

/// A clock with a correction.
pub struct Clock {
    ours: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    offset_nanoseconds: AtomicI64,
}

impl std::fmt::Debug for Clock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Clock")
            .field("offset_nanoseconds", &self.offset_nanoseconds)
            .finish_non_exhaustive()
    }
}

impl Clock {
    pub(crate) fn new(ours: Arc<dyn Fn() -> Timestamp + Send + Sync>) -> Self {
        Self {
            ours,
            offset_nanoseconds: AtomicI64::new(0),
        }
    }

    /// The time now.
    pub fn now(&self) -> Timestamp {
        let offset = SignedDuration::from_nanos(self.offset_nanoseconds.load(Ordering::Relaxed));
        (self.ours)()
            .saturating_add(offset)
            .unwrap_or(Timestamp::MAX)
    }

    /// Takes note of a `Date` header that arrived just now. One that cannot be read changes nothing.
    pub(crate) fn observe(&self, date: &str) {
        let date = httpdate::parse_http_date(date).map(Timestamp::try_from);
        let Ok(Ok(store)) = date else {
            return;
        };
        // The header is cut to whole seconds: on average the store is half a second further.
        let offset = store.duration_since((self.ours)()) + SignedDuration::from_millis(500);
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

    fn offset_after(store: u64, ours: i64) -> i64 {
        let ours = Timestamp::from_second(ours).expect("in range");
        let clock = Clock::new(Arc::new(move || ours));
        clock.observe(&httpdate::fmt_http_date(
            UNIX_EPOCH + Duration::from_secs(store),
        ));
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
