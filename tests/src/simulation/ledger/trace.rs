//! A decision, as far as the network sees it.

use std::sync::{Mutex, MutexGuard};

use jiff::Timestamp;
use tollgate_core::verdict::Verdict;
use tollgate_engine::TimeSource;

/// A decision, as far as the network sees it.
pub(in crate::simulation) struct Trace {
    pub(in crate::simulation) key: String,
    pub(in crate::simulation) cost: u32,
    /// The key's value that it came with.
    pub(in crate::simulation) value: String,
    /// Its instance, and whether that decides one request at a time.
    pub(in crate::simulation) instance: Instance,
    /// When it came, by the true time.
    pub(in crate::simulation) came: Timestamp,
    state: Mutex<State>,
}

/// Who decides.
#[derive(Clone)]
pub(in crate::simulation) struct Instance {
    pub(in crate::simulation) number: usize,
    /// The clock that it goes by.
    pub(in crate::simulation) clock: TimeSource,
    /// Whether it decides one request at a time. Otherwise several may be charged by one write, which is then one of them's.
    pub(in crate::simulation) is_alone: bool,
}

#[derive(Debug, Clone, Default)]
pub(in crate::simulation) struct State {
    pub(in crate::simulation) calls: usize,
    /// Of these, tries to charge.
    pub(in crate::simulation) charges: usize,
    /// Whether an answer to a call of it will not come, or not in time.
    pub(in crate::simulation) lost: bool,
    /// What it was charged, and how often.
    pub(in crate::simulation) charged: Vec<u64>,
    /// What became of it, and when that was by its instance's clock and by the true time.
    pub(in crate::simulation) verdict: Option<(Verdict, Timestamp, Timestamp)>,
}

impl Trace {
    pub(in crate::simulation) fn new(
        key: &str,
        cost: u32,
        value: &str,
        instance: &Instance,
        came: Timestamp,
    ) -> Self {
        Self {
            key: key.to_owned(),
            cost,
            value: value.to_owned(),
            instance: instance.clone(),
            came,
            state: Mutex::default(),
        }
    }

    pub(in crate::simulation) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("not poisoned")
    }

    /// The time by its instance's clock.
    pub(in crate::simulation) fn now(&self) -> Timestamp {
        (self.instance.clock)()
    }

    /// How often it was tried to charge it.
    pub(in crate::simulation) fn tries(&self) -> usize {
        self.state().charges
    }

    /// It was frozen, and may have missed an answer.
    pub(in crate::simulation) fn froze(&self) {
        self.state().lost = true;
    }

    pub(in crate::simulation) fn called(&self, operation: &str, lost: bool) {
        let mut state = self.state();
        state.calls += 1;
        state.charges += usize::from(operation == "UpdateItem");
        state.lost |= lost;
    }
}
