//! A clock that corrects the machine's clock by the store's if they differ.
//!
//! Every answer of the store has a `Date` header in whole seconds. One date shows the difference between the clocks to within a
//! second plus the duration of the call. Several dates show it more exactly, because each narrows the range of offsets that
//! agree with all of them.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};

/// The smallest difference that is corrected after only a few dates.
const TOLERANCE: SignedDuration = SignedDuration::from_secs(2);
/// The number of consistent dates after which any difference is corrected.
const ENOUGH_DATES: u32 = 4;
/// The largest contradiction between dates that does not mean a clock was set: clocks drift, and the store's hosts differ.
const DRIFT: SignedDuration = SignedDuration::from_millis(50);
/// The error to expect of a clock that was corrected by one date, or by several.
const UNCERTAIN: SignedDuration = SignedDuration::from_secs(5);
const CERTAIN: SignedDuration = SignedDuration::from_secs(1);
/// The precision of a `Date`.
const SECOND: SignedDuration = SignedDuration::from_secs(1);

/// A clock with a correction.
pub struct Clock {
    ours: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    known: Mutex<Known>,
    offset_nanoseconds: AtomicI64,
}

/// What the dates so far have shown.
#[derive(Debug, Default)]
struct Known {
    window: Option<Window>,
    /// The window of the last date, if it contradicted earlier ones.
    contradiction: Option<Window>,
}

/// The range of offsets from our clock to the store's that agree with every date since our clock was last set.
#[derive(Debug, Clone, Copy)]
struct Window {
    least: SignedDuration,
    most: SignedDuration,
    dates: u32,
}

impl Window {
    /// The offsets that agree with one date, from the answer to one call.
    fn of(date: Timestamp, sent: Timestamp, received: Timestamp) -> Self {
        Self {
            least: date.duration_since(received),
            most: date.duration_since(sent) + SECOND,
            dates: 1,
        }
    }

    fn is_possible(&self) -> bool {
        self.least <= self.most
    }

    /// Swaps the ends if they are out of order. Two dates that barely contradict each other then leave the range between them.
    fn in_order(self) -> Self {
        Self {
            least: self.least.min(self.most),
            most: self.least.max(self.most),
            ..self
        }
    }

    /// The offsets that agree with both windows.
    fn and(self, other: Self) -> Self {
        Self {
            least: self.least.max(other.least),
            most: self.most.min(other.most),
            dates: self.dates.saturating_add(other.dates),
        }
    }

    fn offset(&self) -> SignedDuration {
        let middle = self.least + (self.most - self.least) / 2;
        let may_be_right = self.least <= SignedDuration::ZERO && SignedDuration::ZERO <= self.most;
        let is_clear = self.dates >= ENOUGH_DATES || middle.abs() > TOLERANCE;
        if may_be_right || !is_clear {
            SignedDuration::ZERO
        } else {
            middle
        }
    }
}

impl Known {
    /// Narrows the window by another date; `None` if the date contradicts earlier ones. A single contradiction may be an
    /// outlier. Two in a row that agree show that a clock was set, and the earlier dates are discarded.
    fn learn(&mut self, news: Window) -> Option<Window> {
        let Some(window) = self.window else {
            self.window = Some(news);
            return self.window;
        };
        let both = window.and(news);
        if both.is_possible() || both.least - both.most <= DRIFT {
            self.contradiction = None;
            self.window = Some(both.in_order());
            return self.window;
        }
        let again = self.contradiction.map(|before| before.and(news));
        if let Some(again) = again.filter(Window::is_possible) {
            *self = Self {
                window: Some(again),
                contradiction: None,
            };
            return self.window;
        }
        self.contradiction = Some(news);
        None
    }
}

impl std::fmt::Debug for Clock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Clock")
            .field("offset_nanoseconds", &self.offset_nanoseconds)
            .finish_non_exhaustive()
    }
}

impl Clock {
    /// Creates a clock that corrects `ours`.
    pub fn new(ours: Arc<dyn Fn() -> Timestamp + Send + Sync>) -> Self {
        Self {
            ours,
            known: Mutex::default(),
            offset_nanoseconds: AtomicI64::new(0),
        }
    }

    /// The corrected time.
    pub fn now(&self) -> Timestamp {
        let offset = SignedDuration::from_nanos(self.offset_nanoseconds.load(Ordering::Relaxed));
        self.uncorrected()
            .saturating_add(offset)
            .unwrap_or(Timestamp::MAX)
    }

    /// How far the corrected time may be off.
    pub fn uncertainty(&self) -> SignedDuration {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        match known.window {
            None => SignedDuration::MAX,
            Some(window) if window.dates < ENOUGH_DATES => UNCERTAIN,
            Some(_) => CERTAIN,
        }
    }

    /// The time by our own clock.
    pub fn uncorrected(&self) -> Timestamp {
        (self.ours)()
    }

    /// Learns from the `Date` of an answer that has just arrived. `sent` is the time by our own clock at which the call was
    /// sent. A date that cannot be parsed changes nothing.
    pub fn observe(&self, date: &str, sent: Timestamp) {
        let date = httpdate::parse_http_date(date).map(Timestamp::try_from);
        let Ok(Ok(date)) = date else {
            return;
        };
        let news = Window::of(date, sent, self.uncorrected());
        if !news.is_possible() {
            // Our clock was set back during the call.
            return;
        }
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(now) = known.learn(news) else {
            return;
        };
        let offset = i64::try_from(now.offset().as_nanos()).unwrap_or(0);
        if self.offset_nanoseconds.swap(offset, Ordering::Relaxed) == 0 && offset != 0 {
            tracing::warn!(
                offset_milliseconds = offset / 1_000_000,
                "the system clock differs from DynamoDB's; using DynamoDB's"
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
        let date = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(store));
        clock.observe(&date, ours);
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

    /// The offset in milliseconds learned from `calls` calls, 137 ms apart, that each take `took` milliseconds, if our clock is
    /// off by `off`.
    fn offset_after_calls(calls: u32, off: i64, took: i64) -> i64 {
        use std::sync::atomic::AtomicI64;
        let store = Arc::new(AtomicI64::new(1_000_000));
        let ours = Arc::clone(&store);
        let clock = Clock::new(Arc::new(move || {
            Timestamp::from_millisecond(ours.load(Ordering::Relaxed) + off).expect("in range")
        }));
        for _ in 0..calls {
            let sent = clock.uncorrected();
            let answered = store.fetch_add(took / 2, Ordering::Relaxed) + took / 2;
            let date = Duration::from_millis(u64::try_from(answered).expect("positive"));
            store.fetch_add(took - took / 2, Ordering::Relaxed);
            clock.observe(&httpdate::fmt_http_date(UNIX_EPOCH + date), sent);
            store.fetch_add(137 - took, Ordering::Relaxed);
        }
        clock.offset_nanoseconds.load(Ordering::Relaxed) / 1_000_000
    }

    #[test]
    fn several_dates_tell_the_difference_to_a_few_milliseconds() {
        for off in [-1_900, -300, 300, 1_100] {
            let offset = offset_after_calls(60, off, 4);
            assert!((offset + off).abs() <= 40, "{off}: {offset}");
        }
    }

    #[test]
    fn a_clock_that_is_right_stays_as_it_is_however_slow_calls_are() {
        for took in [1, 20, 130] {
            assert_eq!(offset_after_calls(200, 0, took), 0, "{took} ms");
        }
    }

    #[test]
    fn a_clock_that_is_set_is_followed_from_the_second_date_on_and_one_odd_date_is_not() {
        let ours = Arc::new(AtomicI64::new(1_000));
        let reading = Arc::clone(&ours);
        let now =
            move || Timestamp::from_second(reading.load(Ordering::Relaxed)).expect("in range");
        let clock = Clock::new(Arc::new(now));
        let date = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(1_000));
        for _ in 0..10 {
            clock.observe(&date, clock.uncorrected());
        }
        assert_eq!(clock.now().as_second(), 1_000);
        let odd = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_hours(2));
        clock.observe(&odd, clock.uncorrected());
        clock.observe(&date, clock.uncorrected());
        assert_eq!(clock.now().as_second(), 1_000);
        ours.store(1_008, Ordering::Relaxed);
        clock.observe(&date, clock.uncorrected());
        clock.observe(&date, clock.uncorrected());
        assert_eq!(clock.now().as_second(), 1_000);
    }
}
