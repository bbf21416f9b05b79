//! A meter as it was last seen, and its time.

use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::Date;
use tokio::time::Instant;
use tollgate_core::charge::History;
use tollgate_core::meter::Meter;
use tollgate_core::moment::{MILLISECOND, Moment, Nanos};
use tollgate_core::sharing::Sharing;

use crate::cache::Cached;

/// A meter as it was last seen.
#[derive(Clone)]
pub(crate) struct CachedMeter {
    pub(crate) meter: Cached<Arc<Meter>>,
    /// The closed day that was archived from here.
    pub(crate) archived: Option<Date>,
    /// What was admitted before the meter's day in a period that the quota was changed to.
    pub(crate) history: Option<History>,
    /// What others do to this meter.
    pub(crate) sharing: Sharing,
    /// When it was seen, and the meter's time then if that was ahead of ours.
    sighted: Instant,
    time: Option<Nanos>,
}

/// How far a meter's time must be ahead of ours to be followed. Sequence numbers run ahead of an instance's clock by a
/// microsecond for each decision in the same one.
const NEGLIGIBLE: Nanos = 25 * MILLISECOND;
/// A time that was once ahead of all clocks, because one was wrong, runs slower than they do by this part of itself.
const SLOWER_BY: Nanos = 16;

impl CachedMeter {
    /// A meter that was just read, if clocks may be apart by `tolerance`.
    pub(crate) fn new(meter: Meter, read_at: Timestamp, tolerance: Nanos) -> Self {
        let time = latest_time(meter.times(), read_at, tolerance);
        Self {
            meter: Cached::new(Arc::new(meter), read_at),
            archived: None,
            history: None,
            sharing: Sharing::default(),
            sighted: Instant::now(),
            time,
        }
    }

    /// Keeps what was learned before the meter was read again.
    pub(crate) fn carry(&mut self, before: &Self, now: Timestamp, tolerance: Nanos) {
        self.sharing = before.sharing.clone();
        self.time = before.time_at(now, tolerance).max(self.time);
    }

    /// The time of a decision on this meter, if clocks may be apart by `tolerance`.
    pub(crate) fn moment(&self, now: Timestamp, tolerance: Nanos) -> Moment {
        Moment {
            now,
            ahead: self.ahead(now, tolerance),
            tolerance,
        }
    }

    /// How far the meter's time is ahead of `now`.
    ///
    /// An instance whose clock is behind learns the time from the meter, and counts on from there. A time once reached is not left
    /// again, or requests would be refused until the clocks get there. A clock that is further ahead than clocks can be was
    /// wrong, and is not followed.
    fn ahead(&self, now: Timestamp, tolerance: Nanos) -> Nanos {
        let elapsed = Nanos::try_from(self.sighted.elapsed().as_nanos()).unwrap_or(Nanos::MAX);
        let gone_on = elapsed - elapsed / SLOWER_BY;
        let ahead = |time: Nanos| time.saturating_add(gone_on) - now.as_nanosecond();
        self.time.map_or(0, |time| ahead(time).clamp(0, tolerance))
    }

    /// The meter's time at `now`, if it is ahead.
    fn time_at(&self, now: Timestamp, tolerance: Nanos) -> Option<Nanos> {
        let ahead = self.ahead(now, tolerance);
        (ahead > NEGLIGIBLE).then(|| now.as_nanosecond() + ahead)
    }

    /// Takes note of the meter as it is now.
    pub(crate) fn see(&mut self, meter: Arc<Meter>, now: Timestamp, tolerance: Nanos) {
        // A lane that stands still says nothing of the time now.
        let news = meter.times_since(&self.meter.value);
        let witnessed = latest_time(news, now, tolerance);
        self.time = self.time_at(now, tolerance).max(witnessed);
        self.sighted = Instant::now();
        self.meter = Cached::new(meter, now);
    }
}

/// The latest of these times that is ahead of our clock, and by no more than clocks are apart.
fn latest_time(
    times: impl Iterator<Item = Nanos>,
    now: Timestamp,
    tolerance: Nanos,
) -> Option<Nanos> {
    let now = now.as_nanosecond();
    let possible = now + NEGLIGIBLE..=now.saturating_add(tolerance);
    times.filter(|time| possible.contains(time)).max()
}
