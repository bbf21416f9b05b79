//! A meter as this instance last saw it, and the time by that meter.

use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::Date;
use tokio::time::Instant;
use tollgate_core::charge::History;
use tollgate_core::meter::Meter;
use tollgate_core::moment::{MILLISECOND, Moment, Nanos};
use tollgate_core::sharing::Sharing;

use crate::cache::Cached;

/// A meter as this instance last saw it.
#[derive(Clone)]
pub(crate) struct CachedMeter {
    pub(crate) meter: Cached<Arc<Meter>>,
    /// A closed day that this instance has archived.
    pub(crate) archived: Option<Date>,
    /// The cost admitted before the meter's day, in a period that an edit of the quota introduced.
    pub(crate) history: Option<History>,
    /// What this instance has learned about other instances that charge this meter.
    pub(crate) sharing: Sharing,
    /// When the meter was last seen and, if the meter's time was ahead of our clock, that time.
    sighted: Instant,
    time: Option<Nanos>,
}

/// The smallest lead of the meter's time over our clock that is corrected. Smaller leads are normal, because sequence numbers
/// run ahead of an instance's clock by a microsecond for each decision made within the same microsecond.
const NEGLIGIBLE: Nanos = 25 * MILLISECOND;
/// If a wrong clock once pushed the meter's time ahead of all clocks, that time advances more slowly than real time, by this
/// fraction (one part in 16), until the clocks catch up.
const SLOWER_BY: Nanos = 16;

impl CachedMeter {
    /// Wraps a meter that was just read. `tolerance` is the largest difference expected between clocks.
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

    /// Keeps what this instance had learned before it read the meter again.
    pub(crate) fn carry(&mut self, before: &Self, now: Timestamp, tolerance: Nanos) {
        self.sharing = before.sharing.clone();
        self.time = before.time_at(now, tolerance).max(self.time);
    }

    /// The time to use for a decision on this meter. `tolerance` is the largest difference expected between clocks.
    pub(crate) fn moment(&self, now: Timestamp, tolerance: Nanos) -> Moment {
        Moment {
            now,
            ahead: self.ahead(now, tolerance),
            tolerance,
        }
    }

    /// How far the meter's time is ahead of `now`.
    ///
    /// An instance whose clock is behind learns the time from the meter and counts on from there. It never goes back to an
    /// earlier time: its requests would be refused until its own clock caught up. If the lead is larger than clocks can differ,
    /// the other clock was wrong, and the instance does not follow it.
    fn ahead(&self, now: Timestamp, tolerance: Nanos) -> Nanos {
        let elapsed = Nanos::try_from(self.sighted.elapsed().as_nanos()).unwrap_or(Nanos::MAX);
        let gone_on = elapsed - elapsed / SLOWER_BY;
        let ahead = |time: Nanos| time.saturating_add(gone_on) - now.as_nanosecond();
        self.time.map_or(0, |time| ahead(time).clamp(0, tolerance))
    }

    /// The meter's time at `now`, if that is ahead of our clock.
    fn time_at(&self, now: Timestamp, tolerance: Nanos) -> Option<Nanos> {
        let ahead = self.ahead(now, tolerance);
        (ahead > NEGLIGIBLE).then(|| now.as_nanosecond() + ahead)
    }

    /// Records the meter's current state.
    pub(crate) fn see(&mut self, meter: Arc<Meter>, now: Timestamp, tolerance: Nanos) {
        // A lane that has not changed says nothing about the current time.
        let news = meter.times_since(&self.meter.value);
        let witnessed = latest_time(news, now, tolerance);
        self.time = self.time_at(now, tolerance).max(witnessed);
        self.sighted = Instant::now();
        self.meter = Cached::new(meter, now);
    }
}

/// The latest of these times that is ahead of our clock by no more than clocks can differ.
fn latest_time(
    times: impl Iterator<Item = Nanos>,
    now: Timestamp,
    tolerance: Nanos,
) -> Option<Nanos> {
    let now = now.as_nanosecond();
    let possible = now + NEGLIGIBLE..=now.saturating_add(tolerance);
    times.filter(|time| possible.contains(time)).max()
}
