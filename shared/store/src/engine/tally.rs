//! Trouble, counted.

use std::sync::atomic::{AtomicU64, Ordering};

use tollgate_core::verdict::{Reason, Verdict};

/// How often each kind of trouble was met since the start.
#[derive(Debug, Default)]
pub struct Tally {
    contended: AtomicU64,
    uncertain: AtomicU64,
    store_failures: AtomicU64,
}

impl Tally {
    /// Decisions refused because every try of the write met another change.
    pub fn contended(&self) -> u64 {
        self.contended.load(Ordering::Relaxed)
    }

    /// Decisions refused because an answer was lost.
    pub fn uncertain(&self) -> u64 {
        self.uncertain.load(Ordering::Relaxed)
    }

    /// Calls to the store that failed.
    pub fn store_failures(&self) -> u64 {
        self.store_failures.load(Ordering::Relaxed)
    }

    pub(super) fn store_failure(&self) {
        self.store_failures.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count(&self, verdict: &Verdict) {
        let (counter, what) = match verdict.reason {
            Reason::Contended => (&self.contended, "contended"),
            Reason::Uncertain => (&self.uncertain, "uncertain"),
            _ => return,
        };
        let total = counter.fetch_add(1, Ordering::Relaxed) + 1;
        tracing::warn!(
            what,
            total,
            key_id = verdict.key_id,
            "a request was refused"
        );
    }
}
