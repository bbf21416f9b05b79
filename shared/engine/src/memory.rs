//! What an instance remembers, and how it calls the store for the rest.
//!
//! - [`principal`](crate::principal), [`accounts`](crate::accounts), [`plans`](crate::plans): how each comes to be known.

use std::num::NonZeroUsize;
use std::sync::Arc;

use tollgate_core::id::{KeyId, PlanId};
use tollgate_core::key::KeyHash;
use tollgate_core::moment::Nanos;
use tollgate_dynamo::failure::Failure;
use tollgate_dynamo::item::plan::PlanRecord;
use tollgate_dynamo::retry::back_off;
use tollgate_dynamo::table::Table;

use crate::account::Account;
use crate::cache::{Cache, Cached};
use crate::cached_meter::CachedMeter;

/// Attempts of a call.
const MAX_ATTEMPTS: u32 = 4;
/// Keys, values and unknown values that an instance remembers.
const CACHED_KEYS: usize = 10_000;
/// Plans that an instance remembers.
const CACHED_PLANS: usize = 1_000;
/// The bytes that keys may take beyond a few hundred each, and plans likewise: the smallest function has 128 MB for everything.
const CACHED_BYTES: usize = 16 << 20;

/// A plan that was read; `None` if there is none.
pub(crate) type ReadPlan = Result<Option<Arc<PlanRecord>>, Failure>;

/// What an instance remembers of one table.
pub(crate) struct Memory {
    pub(crate) table: Table,
    /// Whose each value is.
    pub(crate) principals: Cache<KeyHash, KeyId>,
    pub(crate) unknown: Cache<KeyHash, Cached<()>>,
    pub(crate) accounts: Cache<KeyId, Arc<Account>>,
    pub(crate) plans: Cache<PlanId, Cached<Option<Arc<PlanRecord>>>>,
}

impl Memory {
    pub(crate) fn of(table: Table) -> Self {
        let keys = NonZeroUsize::new(CACHED_KEYS).unwrap_or(NonZeroUsize::MIN);
        let plans = NonZeroUsize::new(CACHED_PLANS).unwrap_or(NonZeroUsize::MIN);
        Self {
            table,
            principals: Cache::new(keys, CACHED_BYTES),
            unknown: Cache::new(keys, CACHED_BYTES),
            accounts: Cache::new(keys, CACHED_BYTES),
            plans: Cache::new(plans, CACHED_BYTES),
        }
    }

    pub(crate) fn change_account(&self, key_id: &KeyId, change: impl FnOnce(&mut Account)) {
        self.accounts
            .update(key_id, |account| change(Arc::make_mut(account)));
    }

    /// Changes a cached meter, if it is still cached.
    pub(crate) fn change_meter(
        &self,
        key_id: &KeyId,
        plan: &PlanId,
        change: impl FnOnce(&mut CachedMeter),
    ) {
        self.change_account(key_id, |account| {
            if let Some(meter) = account.meters.get_mut(plan) {
                change(meter);
            }
        });
    }

    /// How far clocks may be apart.
    pub(crate) fn tolerance(&self) -> Nanos {
        self.table.connection().clock().uncertainty().as_nanos()
    }

    /// Makes a call until it is answered or time is up: a read, or a write that does no harm twice.
    pub(crate) async fn retrying<T, F>(&self, call: impl Fn() -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let mut before = None;
        for attempts in 1.. {
            match call().await {
                Err(failure @ (Failure::Throttled(_) | Failure::Indeterminate(_)))
                    if attempts < MAX_ATTEMPTS =>
                {
                    tracing::warn!(%failure, "calling again");
                    before = Some(failure);
                    back_off(attempts).await;
                }
                // The failure before is what has taken the time.
                Err(Failure::OutOfTime) => return Err(before.unwrap_or(Failure::OutOfTime)),
                outcome => return outcome,
            }
        }
        unreachable!("the last attempt is returned")
    }
}
