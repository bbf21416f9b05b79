//! Who writes: the lanes of an instance, and its sequence numbers.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

/// The lanes of one running engine.
pub(crate) struct Lanes {
    state: Mutex<State>,
}

struct State {
    /// Random, so that no two instances share a lane.
    id: u64,
    /// The last sequence number.
    last: u64,
    /// The numbers of lanes in use. A Lambda instance decides one request at a time and uses one lane; a server uses one for each
    /// batch under way, because two writes of one lane would shut each other out.
    used: BTreeSet<usize>,
}

/// How far sequence numbers may run ahead of the clock, microseconds. Others take them for the time.
const FAR_AHEAD: u64 = 1_000_000;

impl Lanes {
    pub(crate) fn new() -> Self {
        let state = State {
            id: random_id(),
            last: 0,
            used: BTreeSet::new(),
        };
        Self {
            state: Mutex::new(state),
        }
    }

    /// A lane for one batch, and a number for it that is larger than any before on that lane: microseconds since the epoch where
    /// the clock allows. When the clock was set back, the lanes are others.
    pub(crate) fn claim(self: &Arc<Self>, now: Timestamp) -> (LaneGuard, u64) {
        let now = u64::try_from(now.as_microsecond()).unwrap_or(0);
        let mut state = self.lock();
        if state.last > now.saturating_add(FAR_AHEAD) {
            state.id = random_id();
            state.last = 0;
        }
        state.last = now.max(state.last + 1);
        let mut numbers = 0..=state.used.len();
        let number = numbers.find(|number| !state.used.contains(number));
        let number = number.unwrap_or(0);
        state.used.insert(number);
        let guard = LaneGuard {
            lane: format!("{}{number}", base62(state.id)),
            number,
            lanes: Arc::clone(self),
        };
        (guard, state.last)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long to wait before attempt `attempts + 1`: about 10, 20, 40 ms, spread so that instances do not march in step.
pub(crate) fn back_off(attempts: u32) -> Duration {
    let step = 10_000u64 << attempts.saturating_sub(1).min(4);
    Duration::from_micros(fastrand::u64(step / 2..step))
}

/// A lane in use by one batch.
pub(crate) struct LaneGuard {
    lane: String,
    number: usize,
    lanes: Arc<Lanes>,
}

impl LaneGuard {
    /// The lane's name on meters.
    pub(crate) fn name(&self) -> &str {
        &self.lane
    }
}

impl Drop for LaneGuard {
    fn drop(&mut self) {
        self.lanes.lock().used.remove(&self.number);
    }
}

fn random_id() -> u64 {
    let random = getrandom::u64().expect("the operating system gives random bytes");
    // Six base62 digits are short, and there are 56 billion of them.
    random % 62u64.pow(6)
}

fn base62(number: u64) -> String {
    format!("{:0>6}.", base62::encode(number))
}
