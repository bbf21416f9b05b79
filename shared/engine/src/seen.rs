//! A meter as it was last seen, and its time.

use std::sync::Arc;

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;
use tollgate_core::charge::History;
use tollgate_core::meter::Meter;
use tollgate_core::sharing::Sharing;

use crate::cache::Cached;

/// A meter as it was last seen.
#[derive(Clone)]
pub(super) struct CachedMeter {
    pub(super) meter: Cached<Arc<Meter>>,
    /// The closed day that was written out from here.
    pub(super) flushed: Option<Date>,
    /// What was admitted before the meter's day in a period that the quota was changed to.
    pub(super) history: Option<History>,
    /// What others do at this meter.
    pub(super) sharing: Sharing,
    /// When it was seen; and what the meter's time was then, if it was ahead of ours.
    sighted: Instant,
    time: Option<i128>,
}

/// How far a meter's time must be ahead of ours to be followed. Sequence numbers run ahead of an instance's clock by a
/// microsecond for each decision in the same one.
const NEGLIGIBLE: i128 = 25_000_000;
/// A time that was once ahead of all clocks, because one was wrong, runs slower than they do by this part of itself.
const SLOWER_BY: i128 = 16;

impl CachedMeter {
    /// A meter that was just read, where clocks may be off by `tolerance`.
    pub(super) fn new(meter: Meter, read_at: Timestamp, tolerance: SignedDuration) -> Self {
        let time = latest_time(meter.times(), read_at, tolerance);
        Self {
            meter: Cached::new(Arc::new(meter), read_at),
            flushed: None,
            history: None,
            sharing: Sharing::default(),
            sighted: Instant::now(),
            time,
        }
    }

    /// Keeps what was learned before the meter was read again.
    pub(super) fn carry(&mut self, before: &Self, now: Timestamp, tolerance: SignedDuration) {
        self.sharing = before.sharing.clone();
        self.time = before.time_then(now, tolerance).max(self.time);
    }

    /// How far the meter's time is ahead of `now`, nanoseconds, where clocks may be off by `tolerance`.
    ///
    /// An instance whose clock is behind learns the time from the meter, and goes on by how much time has passed since. A time
    /// once reached is not left again, or requests would be refused until the clocks are there. A clock that is further ahead than
    /// clocks can be was wrong, and is not followed.
    pub(super) fn ahead(&self, now: Timestamp, tolerance: SignedDuration) -> i128 {
        let elapsed = i128::try_from(self.sighted.elapsed().as_nanos()).unwrap_or(i128::MAX);
        let gone_on = elapsed - elapsed / SLOWER_BY;
        let ahead = |time: i128| time.saturating_add(gone_on) - now.as_nanosecond();
        self.time
            .map_or(0, |time| ahead(time).clamp(0, tolerance.as_nanos()))
    }

    /// The meter's time at `now`, if it is ahead.
    fn time_then(&self, now: Timestamp, tolerance: SignedDuration) -> Option<i128> {
        let ahead = self.ahead(now, tolerance);
        (ahead > NEGLIGIBLE).then(|| now.as_nanosecond() + ahead)
    }

    /// Takes note of the meter as it is now.
    pub(super) fn see(&mut self, meter: Arc<Meter>, now: Timestamp, tolerance: SignedDuration) {
        // A lane that stands still says nothing of the time now.
        let news = meter.times_since(&self.meter.value);
        let witnessed = latest_time(news, now, tolerance);
        self.time = self.time_then(now, tolerance).max(witnessed);
        self.sighted = Instant::now();
        self.meter = Cached::new(meter, now);
    }

    /// How long ago it was seen, nanoseconds.
    pub(super) fn seen_ago(&self, now: Timestamp) -> i128 {
        self.meter.age(now).max(SignedDuration::ZERO).as_nanos()
    }
}

/// The latest of these times that is ahead of our clock, and by no more than clocks are off.
fn latest_time(
    times: impl Iterator<Item = i128>,
    now: Timestamp,
    tolerance: SignedDuration,
) -> Option<i128> {
    let now = now.as_nanosecond();
    let can_be = now + NEGLIGIBLE..=now.saturating_add(tolerance.as_nanos());
    times.filter(|time| can_be.contains(time)).max()
}
