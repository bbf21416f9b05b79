//! Accounts: what is known of a key and its meters. All values of a key share one account.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use tollgate_core::id::PlanId;
use tollgate_dynamo::failure::Corrupt;
use tollgate_dynamo::item::key::KeyRecord;

use crate::cache::Cached;
use crate::cached_meter::CachedMeter;

/// A key with its meters.
#[derive(Clone)]
pub(crate) struct Account {
    pub(crate) record: Cached<Arc<KeyRecord>>,
    pub(crate) meters: HashMap<PlanId, CachedMeter>,
    /// Meters that could not be parsed, by plan.
    pub(crate) corrupt: HashMap<PlanId, Corrupt>,
    /// When the store last throttled a call for this key.
    pub(crate) throttled_at: Option<Timestamp>,
    /// When the store last confirmed a charge to this key.
    pub(crate) confirmed_at: Option<Timestamp>,
}

/// A meter that was read, or why it could not be understood.
pub(crate) type ReadMeter = (PlanId, Result<CachedMeter, Corrupt>);

impl Account {
    pub(crate) fn new(record: KeyRecord, now: Timestamp) -> Self {
        Self {
            record: Cached::new(Arc::new(record), now),
            meters: HashMap::new(),
            corrupt: HashMap::new(),
            throttled_at: None,
            confirmed_at: None,
        }
    }

    pub(crate) fn add(&mut self, (plan, meter): ReadMeter) {
        match meter {
            Ok(meter) => drop(self.meters.insert(plan, meter)),
            Err(corrupt) => drop(self.corrupt.insert(plan, corrupt)),
        }
    }

    /// The meter under a plan, unless the key was unlinked from that plan.
    pub(crate) fn meter(&self, plan: &PlanId) -> Option<&CachedMeter> {
        let meter = self.meters.get(plan);
        meter.filter(|meter| !meter.meter.value.retired)
    }
}
