//! Whether a bucket that looks idle has been filled by others meanwhile. A wrong guess costs a call, never a wrong answer.
//!
//! Two-bit saturating counters, as processors predict branches with: one surprise changes nothing, two in a row do. An
//! instance that has a key for itself is never surprised and keeps none.

use std::collections::{BTreeMap, BTreeSet};

use tollgate_core::charge::{Charge, Fill};
use tollgate_core::meter::Meter;
use tollgate_core::plan::BucketId;

use crate::table::Written;

/// From here on a bucket is taken for busy.
const BUSY: u8 = 2;
const MOST: u8 = 3;

/// What surprises have taught of a meter's buckets.
#[derive(Debug, Clone, Default)]
pub(super) struct Guesses {
    counters: BTreeMap<BucketId, u8>,
}

impl Guesses {
    /// The buckets to be taken for busy.
    pub(super) fn busy(&self) -> BTreeSet<BucketId> {
        let busy = self.counters.iter().filter(|(_, count)| **count >= BUSY);
        busy.map(|(id, _)| id.clone()).collect()
    }

    /// Learns from what became of a charge by a meter as it was seen before.
    pub(super) fn learn(&mut self, seen: &Meter, charge: &Charge, written: &Written) {
        for (id, fill) in &charge.buckets {
            let looked_idle = |meter: &Meter| {
                let level = meter.buckets.get(id);
                level.is_none_or(|level| level.tat <= charge.now)
            };
            if !looked_idle(seen) {
                continue;
            }
            match written {
                Written::Done(_) => self.count(id, matches!(fill, Fill::Busy { .. })),
                Written::Refused(Some(meter)) => self.count(id, !looked_idle(meter)),
                Written::Refused(None) => {}
            }
        }
    }

    fn count(&mut self, id: &BucketId, was_busy: bool) {
        let count = self.counters.get(id).copied().unwrap_or(0);
        let count = if was_busy {
            (count + 1).min(MOST)
        } else {
            count.saturating_sub(1)
        };
        if count == 0 {
            self.counters.remove(id);
        } else {
            self.counters.insert(id.clone(), count);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_surprises_in_a_row_turn_a_guess_and_one_does_not() {
        let mut guesses = Guesses::default();
        let mut after = |outcomes: &[bool]| {
            for was_busy in outcomes {
                guesses.count(&"*".to_owned(), *was_busy);
            }
            !guesses.busy().is_empty()
        };
        assert!(!after(&[true]));
        assert!(!after(&[false, true]));
        assert!(after(&[true]));
        assert!(after(&[true, true, false]));
        assert!(!after(&[false]));
    }

    #[test]
    fn a_bucket_that_is_what_it_looks_like_takes_no_room() {
        let mut guesses = Guesses::default();
        for was_busy in [false, true, false, false] {
            guesses.count(&"*".to_owned(), was_busy);
        }
        assert!(guesses.counters.is_empty());
    }
}
