//! Refusals: repeated from memory if they cannot have changed, otherwise confirmed by the store.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Flow, Load, Next, Outcome, View, decided};
use crate::age;
use crate::charge::{self, Refusal, Step, charge};
use crate::meter::Meter;
use crate::moment::Nanos;
use crate::reason::Reason;
use crate::status::LimitStatus;
use crate::verdict::Verdict;

impl<E: Clone> Flow<E> {
    /// Refuses every request that waits, if the meter was seen recently enough. Otherwise confirms the refusal with the store.
    pub(super) fn refuse(&mut self, view: &View<'_>) -> Next {
        if let Some(lost) = self.lost.take() {
            self.refuse_lost(&lost, view);
            // The other requests start again, with a sequence number of their own.
            self.batch.again(false);
            return Next::Done;
        }
        let waiting = self.batch.waiting();
        let refusals = waiting.filter_map(|(position, cost)| {
            let refusal = charge::refusal(view.meter, &self.request(view, cost))?;
            Some((position, refusal))
        });
        let refusals: Vec<_> = refusals.collect();
        if refusals
            .iter()
            .any(|(_, refusal)| !may_repeat(refusal, view.age))
        {
            return self.confirm(view);
        }
        for (position, refusal) in refusals {
            let outcome = refused(view.meter, view, &refusal);
            self.batch.decide(position, outcome);
        }
        self.batch.rest(&Outcome::TooLate);
        self.load(Load::AgeingPlan)
    }

    /// Makes the write that would succeed if the meter had room again.
    fn confirm(&mut self, view: &View<'_>) -> Next {
        let meter = without_refusals(view.meter);
        let chosen = self.choose(&meter, view);
        match charge(&meter, &self.request(view, self.batch.cost(&chosen))) {
            // The meter does not matter to this refusal; only a change of the key or the plan could lift it.
            Step::Refuse(_) => self.load(Load::KeyAndPlan),
            step => self.take(step, chosen, view),
        }
    }

    /// Refuses the requests of a lost write, for which there is no room now. A request that has room by itself may have been
    /// charged, so its outcome is uncertain.
    fn refuse_lost(&mut self, lost: &[usize], view: &View<'_>) {
        for &position in lost {
            let request = self.request(view, self.batch.cost_of(position));
            let outcome = match charge::refusal(view.meter, &request) {
                Some(refusal) => refused(view.meter, view, &refusal),
                None => decided(Verdict::because(Reason::Uncertain)),
            };
            self.batch.decide(position, outcome);
        }
    }

    /// Refuses the waiting requests that have no room on a meter the store has just returned.
    pub(super) fn refuse_full(&mut self, meter: &Meter, view: &View<'_>) {
        let waiting: Vec<_> = self.batch.waiting().collect();
        for (position, cost) in waiting {
            if let Some(refusal) = charge::refusal(meter, &self.request(view, cost)) {
                self.batch.decide(position, refused(meter, view, &refusal));
            }
        }
    }
}

fn refused<E>(meter: &Meter, view: &View<'_>, refusal: &Refusal) -> Outcome<E> {
    let wait = refusal
        .until
        .map(|until| until.duration_since(view.moment.now));
    decided(Verdict {
        limit_status: LimitStatus::of(meter, view.limits, view.history, view.moment),
        retry_after: wait.and_then(|wait| Duration::try_from(wait).ok()),
        ..Verdict::because(refusal.reason)
    })
}

/// Whether a refusal by a meter seen this long ago may be repeated without calling the store. A bucket stays full until a known
/// time. A quota can be raised at any moment, and a limit that admits nothing has no time at which it ends.
fn may_repeat(refusal: &Refusal, seen_ago: Nanos) -> bool {
    let longest = if refusal.reason == Reason::Quota || refusal.until.is_none() {
        age::NEGATIVE
    } else {
        age::PLAN_HARD
    };
    age::is_within(seen_ago, longest)
}

/// The meter without anything that would refuse, so that the resulting write makes the store check.
fn without_refusals(meter: &Meter) -> Meter {
    Meter {
        buckets: BTreeMap::new(),
        count: 0,
        spent: 0,
        ..meter.clone()
    }
}
