//! The writes of a batch, and what their answers say.

use std::sync::Arc;

use futures_util::future;
use tollgate_core::charge::Charge;
use tollgate_core::flow::{Reply, Write};
use tollgate_core::lane::Stamp;
use tollgate_dynamo::failure::Failure;
use tollgate_dynamo::item::ItemKey;
use tollgate_dynamo::table::Written;

use super::Charging;
use crate::account::Account;
use crate::cached_meter::CachedMeter;

impl Charging {
    /// Makes a write.
    pub(super) async fn write(
        &self,
        cached: &CachedMeter,
        write: &Write,
    ) -> Result<Written, Failure> {
        let table = &self.memory.table;
        let meter = ItemKey::meter(&self.record.id, &self.plan.id);
        let budget = &self.scope.budget;
        match write {
            Write::Sync(revisions) => table.sync(&meter, *revisions, budget).await,
            Write::Rebase(charge) => table.charge(&meter, charge, None, budget).await,
            Write::Charge(charge, stamp) => {
                let stamp = stamp.as_ref();
                let written = self
                    .charge_beside_refreshing(&meter, cached, charge, stamp)
                    .await;
                self.learn(cached, charge, &written);
                written
            }
        }
    }

    /// Makes the write that charges the batch. At the same time it does the work that is due but that no request waits for:
    /// rereads an ageing plan or key, and archives a closed day.
    async fn charge_beside_refreshing(
        &self,
        meter: &ItemKey,
        cached: &CachedMeter,
        charge: &Charge,
        stamp: Option<&Stamp>,
    ) -> Result<Written, Failure> {
        let (memory, scope, plan) = (&self.memory, self.scope, &self.plan.id);
        let (written, (), (), ()) = future::join4(
            memory.table.charge(meter, charge, stamp, &scope.budget),
            memory.refresh_plan(scope, plan),
            memory.refresh_account(scope, &self.record.id),
            self.archive_waiting(cached),
        )
        .await;
        written
    }

    /// Archives the meter's closed day, if one waits. A failure is ignored, because the day stays in the meter until it is
    /// archived.
    async fn archive_waiting(&self, cached: &CachedMeter) {
        let Some(closed) = cached.meter.value.closed else {
            return;
        };
        if cached.archived == Some(closed.day) {
            return;
        }
        let (key_id, plan) = (&self.record.id, &self.plan.id);
        let budget = &self.scope.budget;
        let archived = self.memory.table.archive(key_id, plan, &closed, budget);
        match archived.await {
            Ok(()) => self.change(|meter| meter.archived = Some(closed.day)),
            Err(failure) => {
                tracing::warn!(%failure, %key_id, %plan, "could not archive a closed day");
            }
        }
    }

    /// Learns from the reply to a charge how other instances use the meter.
    fn learn(&self, cached: &CachedMeter, charge: &Charge, written: &Result<Written, Failure>) {
        let (after, applied) = match written {
            Ok(Written::Applied(meter)) => (meter, true),
            Ok(Written::ConditionFailed(Some(meter))) => (meter, false),
            _ => return,
        };
        let (before, now) = (&cached.meter.value, (self.clock)().as_nanosecond());
        self.change(|meter| meter.sharing.learn(before, charge, after, applied, now));
    }

    /// Caches what a reply says about the meter and the key.
    pub(super) fn note(&self, written: Result<Written, Failure>) {
        let (now, key_id, plan) = (self.scope.now, &self.record.id, &self.plan.id);
        match written {
            Ok(Written::Applied(meter) | Written::ConditionFailed(Some(meter))) => {
                let (meter, tolerance) = (Arc::new(meter), self.memory.tolerance());
                self.change(|cached| cached.see(meter, now, tolerance));
            }
            Ok(Written::ConditionFailed(None)) => {}
            Err(failure) => {
                tracing::warn!(%failure, %key_id, %plan, "a charge was not confirmed");
                if matches!(failure, Failure::Throttled(_)) {
                    let throttled = |account: &mut Account| account.throttled_at = Some(now);
                    self.memory.change_account(key_id, throttled);
                }
            }
        }
    }
}

/// The reply that a flow observes.
pub(super) fn reply(written: &Result<Written, Failure>) -> Reply<'_, Failure> {
    match written {
        Ok(Written::Applied(meter)) => Reply::Applied(meter),
        Ok(Written::ConditionFailed(meter)) => Reply::ConditionFailed(meter.as_ref()),
        Err(failure) => match failure {
            Failure::Throttled(_) => Reply::Throttled(failure.clone()),
            Failure::Indeterminate(_) => Reply::Indeterminate(failure.clone()),
            _ => Reply::Failed(failure.clone()),
        },
    }
}
