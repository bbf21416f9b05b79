//! Who writes: an instance's lanes and sequence numbers.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

/// One running engine.
pub(super) struct Instance {
    state: Mutex<State>,
}

struct State {
    /// Random, so that no two instances share a lane.
    id: u64,
    /// The last sequence number.
    last: u64,
    /// Slots in use. A Lambda instance decides one request at a time and uses one; a server uses one per batch under way,
    /// because two writes of one lane would shut each other out.
    slots: BTreeSet<usize>,
}

/// How far sequence numbers may run ahead of the clock, microseconds. They are taken for the time.
const FAR_AHEAD: u64 = 1_000_000;

impl Instance {
    pub(super) fn new() -> Self {
        let state = State {
            id: random_id(),
            last: 0,
            slots: BTreeSet::new(),
        };
        Self {
            state: Mutex::new(state),
        }
    }

    /// A lane for one batch, and a number for it that is larger than any before on that lane: microseconds since the epoch where
    /// the clock allows. When the clock was set back, the lanes are others.
    pub(super) fn slot(self: &Arc<Self>, now: Timestamp) -> (LaneGuard, u64) {
        let now = u64::try_from(now.as_microsecond()).unwrap_or(0);
        let mut state = self.lock();
        if state.last > now.saturating_add(FAR_AHEAD) {
            state.id = random_id();
            state.last = 0;
        }
        state.last = now.max(state.last + 1);
        let mut numbers = 0..=state.slots.len();
        let number = numbers.find(|number| !state.slots.contains(number));
        let number = number.unwrap_or(0);
        state.slots.insert(number);
        let slot = LaneGuard {
            lane: format!("{}{number}", base62(state.id)),
            number,
            instance: Arc::clone(self),
        };
        (slot, state.last)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long to wait before try `tries + 1`: about 10, 20, 40 ms, spread so that instances do not march in step.
    pub(super) fn back_off(tries: u32) -> Duration {
        let step = 10_000u64 << tries.saturating_sub(1).min(4);
        Duration::from_micros(fastrand::u64(step / 2..step))
    }
}

/// A lane in use by one batch.
pub(super) struct LaneGuard {
    lane: String,
    number: usize,
    instance: Arc<Instance>,
}

impl LaneGuard {
    pub(super) fn lane(&self) -> &str {
        &self.lane
    }
}

impl Drop for LaneGuard {
    fn drop(&mut self) {
        self.instance.lock().slots.remove(&self.number);
    }
}

fn random_id() -> u64 {
    let random = getrandom::u64().expect("the operating system gives random bytes");
    // Six base62 digits: short, and still one in 56 billion.
    random % 62u64.pow(6)
}

fn base62(number: u64) -> String {
    format!("{:0>6}.", base62::encode(number))
}
