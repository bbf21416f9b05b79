//! Refusals by what is known, and when that has to be asked for first.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future;
use jiff::SignedDuration;
use tollgate_core::charge::{self, Refusal, Step};
use tollgate_core::meter::Meter;
use tollgate_core::verdict::{Reason, Verdict};

use super::members::decided;
use super::{Batch, Turn, View};
use crate::{NEGATIVE_AGE, PLAN_HARD_AGE};
use tollgate_dynamo::failure::Failure;

impl Batch {
    /// Refuses all, by the meter as it is known: if that is known well enough. Otherwise it asks.
    pub(super) async fn refuse(&mut self, view: &View<'_>) -> Result<Turn, Failure> {
        let seen = view.seen;
        if let Some(lost) = self.lost.take() {
            self.refuse_lost(&lost, view);
            // The others start anew, under a number of their own.
            return Ok(self.again(false));
        }
        let refusals: Vec<_> = self
            .waiting()
            .filter_map(|(position, cost)| {
                let refusal = charge::refusal(&seen.meter.value, &self.ask(view, cost))?;
                Some((position, refusal))
            })
            .collect();
        let may_repeat = |refusal: &Refusal| seen.meter.is_within(age_of(refusal), view.now);
        if refusals.iter().all(|(_, refusal)| may_repeat(refusal)) {
            let (decider, scope) = (Arc::clone(&self.of.decider), self.of.scope);
            decider.refresh_plan(scope, &self.of.plan.id).await;
            for (position, refusal) in refusals {
                self.outcomes[position] = Some(self.refused(&seen.meter.value, view, &refusal));
            }
            return Ok(Turn::Done);
        }
        let without_refusals = without_refusals(&seen.meter.value);
        let chosen = self.choose(&without_refusals, view);
        match charge::charge(&without_refusals, &self.ask(view, self.cost(&chosen))) {
            // Whatever the meter says: the key or the plan would have to have changed.
            Step::Refuse(_) => {
                let (decider, scope) = (Arc::clone(&self.of.decider), self.of.scope);
                let (record, plan) = (&self.of.record, &self.of.plan.id);
                let read_plan = decider.read_plan(scope, plan);
                let (record, plan) = future::join(decider.reread(scope, record), read_plan).await;
                record.and(plan)?;
                Ok(Turn::Next)
            }
            step => self.take(step, view, &chosen).await,
        }
    }

    /// Members whose lost write has no room now. Each is refused by what refuses it alone, or else for not being told apart.
    fn refuse_lost(&mut self, lost: &[usize], view: &View<'_>) {
        let meter = &view.seen.meter.value;
        for &position in lost {
            let cost = self.members[position].cost;
            let refusal = charge::refusal(meter, &self.ask(view, cost));
            let uncertain = || decided(Verdict::because(Reason::Uncertain));
            let outcome =
                refusal.map_or_else(uncertain, |refusal| self.refused(meter, view, &refusal));
            self.outcomes[position] = Some(outcome);
        }
    }
}

/// How old a meter may be for a refusal by it to be repeated without asking. A bucket stays full until its time; a quota can
/// be raised at any moment, and a limit that admits nothing never ends by itself.
fn age_of(refusal: &Refusal) -> SignedDuration {
    if refusal.reason == Reason::Quota || refusal.until.is_none() {
        NEGATIVE_AGE
    } else {
        PLAN_HARD_AGE
    }
}

/// The meter without what would refuse: the write that follows from it asks the store.
fn without_refusals(meter: &Meter) -> Meter {
    Meter {
        buckets: BTreeMap::new(),
        count: 0,
        spent: 0,
        ..meter.clone()
    }
}
