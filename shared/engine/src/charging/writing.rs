//! The write itself, and what its answer teaches.

use std::sync::Arc;

use futures_util::future;
use tokio::time::sleep;
use tollgate_core::charge::Charge;
use tollgate_core::lane::{Place, Stamp};
use tollgate_core::meter::Meter;

use super::{Batch, Turn, View};
use crate::MAX_TRIES;
use crate::combine::Outcome;
use crate::instance::Instance;
use crate::seen::CachedMeter;
use tollgate_dynamo::failure::Failure;
use tollgate_dynamo::item::ItemKey;
use tollgate_dynamo::table::Written;

/// From this try on no new lane is claimed: with the last free ones raced for, the race alone could cost all tries.
const TRIES_WITH_A_NEW_LANE: u32 = 2;

impl Batch {
    /// Tries the one write. Beside it, whatever else is due: an ageing plan is read, a closed day is written out.
    pub(super) async fn charge(
        &mut self,
        view: &View<'_>,
        charge: &Charge,
        chosen: &[usize],
    ) -> Result<Turn, Failure> {
        let (decider, scope) = (Arc::clone(&self.of.decider), self.of.scope);
        let (key, plan) = (self.of.record.id.clone(), self.of.plan.id.clone());
        let stamp = self.stamp(&view.seen.meter.value);
        if self.lost.is_some() && stamp.is_none() {
            // The lost write may still be made, and nothing would keep this one from being made as well.
            return Ok(self.uncertain(chosen));
        }
        self.started.get_or_insert(view.now);
        self.tries += 1;
        let item = ItemKey::meter(&key, &plan);
        let (written, (), (), ()) = future::join4(
            decider
                .table
                .charge(&item, charge, stamp.as_ref(), &scope.budget),
            decider.refresh_plan(scope, &plan),
            decider.refresh_record(scope),
            self.flush_beside(view.seen),
        )
        .await;
        self.learn(view, charge, &written);
        match written {
            Ok(Written::Applied(meter)) => {
                let turn = self.admit(chosen, &meter, view);
                self.see(meter, view.now);
                Ok(turn)
            }
            Err(Failure::Indeterminate(what)) => {
                tracing::warn!(key_id = %key, %plan, what, "the answer to a charge was lost");
                if stamp.is_none() {
                    return Ok(self.uncertain(chosen));
                }
                self.lost = Some(chosen.to_vec());
                if self.tries < MAX_TRIES {
                    return Ok(Turn::Next);
                }
                for &position in chosen {
                    let failure = Failure::Indeterminate(what.clone());
                    self.outcomes[position] = Some(Outcome::Failed(failure));
                }
                Ok(self.again(false))
            }
            Ok(Written::ConditionFailed(Some(meter)))
                if self.lost.is_some() && self.is_made(&meter) =>
            {
                // An earlier try was made after all.
                let turn = self.admit(chosen, &meter, view);
                self.see(meter, view.now);
                Ok(turn)
            }
            written => {
                if let (Ok(Written::ConditionFailed(Some(meter))), true) =
                    (&written, self.tries >= MAX_TRIES)
                {
                    self.give_up(chosen, meter, view);
                }
                self.record_outcome(written).await
            }
        }
    }

    /// The mark of this batch on a meter, if there is a lane for it.
    fn stamp(&self, meter: &Meter) -> Option<Stamp> {
        let stamp = Stamp::claim(&meter.lanes, self.slot.lane(), self.sequence)?;
        let may_race = self.tries < TRIES_WITH_A_NEW_LANE || self.lost.is_some();
        (may_race || stamp.place == Place::Own).then_some(stamp)
    }

    fn learn(&self, view: &View<'_>, charge: &Charge, written: &Result<Written, Failure>) {
        let (after, applied) = match written {
            Ok(Written::Applied(meter)) => (meter, true),
            Ok(Written::ConditionFailed(Some(meter))) => (meter, false),
            _ => return,
        };
        let (before, now) = (&view.seen.meter.value, (self.of.clock)().as_nanosecond());
        self.change_seen(|seen| seen.sharing.learn(before, charge, after, applied, now));
    }

    /// Takes note of what became of a write that has admitted nobody.
    pub(super) async fn record_outcome(
        &mut self,
        written: Result<Written, Failure>,
    ) -> Result<Turn, Failure> {
        match written {
            Ok(Written::Applied(meter) | Written::ConditionFailed(Some(meter))) => {
                self.see(meter, self.of.scope.now);
            }
            // The meter is gone, and so is the link.
            Ok(Written::ConditionFailed(None)) => {
                let decider = Arc::clone(&self.of.decider);
                decider.reread(self.of.scope, &self.of.record).await?;
                return Ok(self.again(true));
            }
            Err(failure) => {
                if matches!(failure, Failure::Throttled(_)) {
                    self.of.decider.throttled(self.of.scope);
                }
                let passes = matches!(failure, Failure::Throttled(_) | Failure::Indeterminate(_));
                if !passes || self.tries >= MAX_TRIES {
                    return Err(failure);
                }
                tracing::warn!(%failure, "trying again");
                sleep(Instance::back_off(self.tries)).await;
            }
        }
        Ok(Turn::Next)
    }

    /// Writes out a closed day that waits. That it failed costs nothing: it goes on waiting.
    async fn flush_beside(&self, seen: &CachedMeter) {
        let Some(closed) = seen.meter.value.closed else {
            return;
        };
        if seen.flushed == Some(closed.day) {
            return;
        }
        let (key_id, plan) = (&self.of.record.id, &self.of.plan.id);
        let budget = &self.of.scope.budget;
        match self
            .of
            .decider
            .table
            .flush(key_id, plan, &closed, budget)
            .await
        {
            Ok(()) => self.change_seen(|seen| seen.flushed = Some(closed.day)),
            Err(failure) => {
                tracing::warn!(%failure, %key_id, %plan, "could not write out a closed day");
            }
        }
    }

    /// Whether a meter has taken a write of this batch.
    pub(super) fn is_made(&self, meter: &Meter) -> bool {
        meter.lanes.get(self.slot.lane()) == Some(&self.sequence)
    }
}
