//! Who of a batch is charged, and what becomes of each.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use tollgate_core::charge::{self, Refusal};
use tollgate_core::meter::Meter;
use tollgate_core::status::LimitStatus;
use tollgate_core::verdict::{Reason, Verdict};

use super::{Batch, Turn, View};
use crate::combine::Outcome;

impl Batch {
    /// The members that still wait and are not decided.
    pub(super) fn waiting(&self) -> impl Iterator<Item = (usize, NonZeroU32)> {
        let members = self.members.iter().enumerate();
        let undecided = members.filter(|(position, _)| self.outcomes[*position].is_none());
        let waiting = undecided.filter(|(_, member)| member.is_waiting());
        waiting.map(|(position, member)| (position, member.cost))
    }

    /// The members that a meter has room for, in order of arrival. After a lost answer they are those of the lost write: only
    /// one of two writes with the same number can be made, and which one it was must not matter.
    pub(super) fn choose(&self, meter: &Meter, view: &View<'_>) -> Vec<usize> {
        if let Some(lost) = &self.lost {
            return lost.clone();
        }
        let mut chosen = Vec::new();
        let mut sum = 0u32;
        for (position, cost) in self.waiting() {
            let more = cost.saturating_add(sum);
            let is_exact = more.get() - sum == cost.get();
            if is_exact && charge::refusal(meter, &self.ask(view, more)).is_none() {
                sum = more.get();
                chosen.push(position);
            }
        }
        // Others that ask for all there is make each other fail: after each failure ask for half as much.
        let most = sum >> self.tries;
        let mut sum = 0;
        let mut is_within = |position: &usize| {
            sum += self.members[*position].cost.get();
            sum <= most
        };
        let within = chosen
            .iter()
            .skip(1)
            .take_while(|position| is_within(position))
            .count();
        chosen.truncate(1 + within);
        chosen
    }

    /// What members cost together; if there are none, what the first that waits would.
    pub(super) fn cost(&self, members: &[usize]) -> NonZeroU32 {
        let costs = members.iter().map(|position| self.members[*position].cost);
        let sum = costs.map(NonZeroU32::get).sum();
        let first = || {
            self.waiting()
                .next()
                .map_or(NonZeroU32::MIN, |(_, cost)| cost)
        };
        NonZeroU32::new(sum).unwrap_or_else(first)
    }

    /// Admits members that the meter has been charged for. The others are refused by it, or decided again.
    pub(super) fn admit(&mut self, members: &[usize], meter: &Meter, view: &View<'_>) -> Turn {
        let standing = LimitStatus::of(meter, &self.of.limits, None, view.now, view.ahead);
        for &position in members {
            self.outcomes[position] = Some(decided(Verdict {
                standing: standing.clone(),
                ..Verdict::because(Reason::Ok)
            }));
        }
        let scope = self.of.scope;
        self.of.decider.keys.update(&scope.hash, |known| {
            Arc::make_mut(known).good_at = Some(view.now);
        });
        let others: Vec<_> = self.waiting().map(|(position, _)| position).collect();
        self.refuse_full(&others, meter, view);
        self.again(false)
    }

    /// After the last try: refuses whoever has no room. Of the others only one that was tried alone has met other writes each time;
    /// those that were not, or only together with others, are decided again.
    pub(super) fn give_up(&mut self, chosen: &[usize], meter: &Meter, view: &View<'_>) {
        let waiting: Vec<_> = self.waiting().map(|(position, _)| position).collect();
        self.refuse_full(&waiting, meter, view);
        for position in waiting {
            if chosen != [position] {
                self.outcomes[position].get_or_insert(Outcome::Again { reread: false });
            }
        }
    }

    /// Refuses those members that the store has just shown to have no room on a meter.
    pub(super) fn refuse_full(&mut self, members: &[usize], meter: &Meter, view: &View<'_>) {
        for &position in members {
            let ask = self.ask(view, self.members[position].cost);
            if let Some(refusal) = charge::refusal(meter, &ask) {
                self.outcomes[position] = Some(self.refused(meter, view, &refusal));
            }
        }
    }

    pub(super) fn refused(&self, meter: &Meter, view: &View<'_>, refusal: &Refusal) -> Outcome {
        let history = view.seen.history;
        let wait = refusal.until.map(|until| until.duration_since(view.now));
        decided(Verdict {
            standing: LimitStatus::of(meter, &self.of.limits, history, view.now, view.ahead),
            retry_after: wait.and_then(|wait| Duration::try_from(wait).ok()),
            ..Verdict::because(refusal.reason)
        })
    }

    pub(super) fn uncertain(&mut self, members: &[usize]) -> Turn {
        for &position in members {
            self.outcomes[position] = Some(decided(Verdict::because(Reason::Uncertain)));
        }
        self.again(false)
    }

    /// Whoever is not decided yet is decided again from the start.
    pub(super) fn again(&mut self, reread: bool) -> Turn {
        self.rest(&Outcome::Again { reread });
        Turn::Done
    }

    /// The outcome of all who have none yet.
    pub(super) fn rest(&mut self, outcome: &Outcome) {
        for missing in self.outcomes.iter_mut().filter(|outcome| outcome.is_none()) {
            *missing = Some(outcome.clone());
        }
    }
}

pub(super) fn decided(verdict: Verdict) -> Outcome {
    Outcome::Decided(Box::new(verdict))
}
