//! The lanes and sequence numbers with which an instance marks its writes.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

/// The lanes of one running engine.
pub(crate) struct Lanes {
    state: Mutex<State>,
}

struct State {
    /// Random, so that two instances do not share a lane.
    id: u64,
    /// The last sequence number used.
    last: u64,
    /// The numbers of the lanes in use. A Lambda instance decides one request at a time and uses one lane. A server uses one
    /// for each batch in progress, because two concurrent writes in one lane would make each other fail.
    used: BTreeSet<usize>,
}

/// How far sequence numbers may run ahead of the clock, in microseconds. Other instances read them as times.
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

    /// Claims a lane for one batch, and a sequence number larger than any earlier one in that lane: microseconds since the
    /// epoch if the clock allows it. If the clock was set back, the engine switches to new lanes.
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

/// A lane that one batch uses. Dropping the guard frees the lane.
pub(crate) struct LaneGuard {
    lane: String,
    number: usize,
    lanes: Arc<Lanes>,
}

impl LaneGuard {
    /// The lane's name in meters.
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
    // Six base62 digits are short and still give 56 billion ids.
    random % 62u64.pow(6)
}

fn base62(number: u64) -> String {
    format!("{:0>6}.", base62::encode(number))
}
