//! Who writes: an instance's lanes and sequence numbers.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

/// One running engine.
pub(super) struct Instance {
    /// Random, so that no two instances share a lane.
    id: u64,
    last: AtomicU64,
    /// Slots in use. A Lambda instance decides one request at a time and uses one; a server uses one per batch under way,
    /// because two writes of one lane would shut each other out.
    slots: Mutex<BTreeSet<usize>>,
}

impl Instance {
    pub(super) fn new() -> Self {
        let random = getrandom::u64().expect("the operating system gives random bytes");
        Self {
            // Six base62 digits: short, and still one in 56 thousand million.
            id: random % 62u64.pow(6),
            last: AtomicU64::new(0),
            slots: Mutex::default(),
        }
    }

    /// A number larger than any before: microseconds since the epoch where the clock allows.
    pub(super) fn sequence(&self, now: Timestamp) -> u64 {
        let now = u64::try_from(now.as_microsecond()).unwrap_or(0);
        let next = |last: u64| Some(now.max(last + 1));
        self.last
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, next)
            .map_or(now, |last| now.max(last + 1))
    }

    /// A lane for one batch.
    pub(super) fn slot(self: &Arc<Self>) -> Slot {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let mut numbers = 0..=slots.len();
        let number = numbers.find(|number| !slots.contains(number)).unwrap_or(0);
        slots.insert(number);
        Slot {
            lane: format!("{}{number}", base62(self.id)),
            number,
            instance: Arc::clone(self),
        }
    }

    /// How long to wait before try `tries + 1`: about 10, 20, 40 ms, spread so that instances do not march in step.
    pub(super) fn back_off(tries: u32) -> Duration {
        let step = 10_000u64 << tries.saturating_sub(1).min(4);
        Duration::from_micros(fastrand::u64(step / 2..step))
    }
}

/// A lane in use by one batch.
pub(super) struct Slot {
    lane: String,
    number: usize,
    instance: Arc<Instance>,
}

impl Slot {
    pub(super) fn lane(&self) -> &str {
        &self.lane
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.instance
            .slots
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.number);
    }
}

fn base62(number: u64) -> String {
    format!("{:0>6}.", base62::encode(number))
}
