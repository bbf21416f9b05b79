//! Bringing all meters of a key in line with its record.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future;
use tollgate_core::id::PlanId;
use tollgate_core::meter::Meter;

use super::item::{enter_lists, fresh_meter, start_counters};
use super::{MeterPlacement, revision};
use crate::listing::by_time;
use crate::usage::total;
use crate::{Admin, Error};
use tollgate_dynamo::item::key::KeyRecord;
use tollgate_dynamo::item::plan::PlanRecord;

/// The plans of a key, as far as they exist, and all its meters.
#[derive(Debug, Default)]
pub(crate) struct PlansAndMeters {
    /// Its plans.
    pub(crate) active: Vec<PlanRecord>,
    /// Those of its plans that are being deleted or cannot be read.
    pub(crate) ending: BTreeSet<PlanId>,
    /// Its meters, by plan.
    pub(crate) meters: BTreeMap<PlanId, MeterPlacement>,
}

impl PlansAndMeters {
    /// The plans whose meters have to be retired: all that the record or a meter names, except those that the key is in.
    fn retired<'a>(&'a self, record: &'a KeyRecord) -> BTreeSet<&'a PlanId> {
        // Meters that do not exist count too: an interrupted link may still be about to make one.
        let mut named: BTreeSet<_> = self
            .meters
            .keys()
            .chain(&record.plans)
            .chain(&record.retired_plans)
            .chain(record.moving.iter().map(|moving| &moving.to))
            .collect();
        if !record.deleted {
            named.retain(|id| self.active.iter().all(|plan| plan.id != **id));
        }
        named
    }
}

impl Admin {
    /// Updates all meters of a key. Returns the latest revision of the key that a meter knows if it is later than the record's.
    pub(crate) async fn update_meters(
        &self,
        record: &KeyRecord,
        all: &PlansAndMeters,
    ) -> Result<Option<u64>, Error> {
        let retired = all.retired(record).into_iter().map(|plan| {
            let is_ending = all.ending.contains(plan) && !record.deleted;
            self.retire_meter(record, plan, is_ending)
        });
        let linked = all.active.iter().filter(|_| !record.deleted).map(|plan| {
            let placement = all.meters.get(&plan.id).cloned().unwrap_or_default();
            self.ensure_meter(record, plan, placement)
        });
        let (retired, linked) =
            future::try_join(future::try_join_all(retired), future::try_join_all(linked)).await?;
        Ok(retired.into_iter().chain(linked).flatten().max())
    }

    /// Makes or updates the meter of a key that is in the plan. A missing meter starts from the archived days, a retired one
    /// goes on. Returns the revision that the meter knows if it is later than the record's.
    pub(crate) async fn ensure_meter(
        &self,
        key: &KeyRecord,
        plan: &PlanRecord,
        placement: MeterPlacement,
    ) -> Result<Option<u64>, Error> {
        let now = self.now();
        let mut fresh = fresh_meter(key, plan, now);
        if !placement.has_counters {
            self.start_from_archive(key, plan, &mut fresh).await?;
        }
        let linked = placement.linked;
        let linked = linked.unwrap_or_else(|| by_time(now, key.id.as_str()));
        let mut update = revision(key);
        enter_lists(&mut update, key, plan, &linked);
        start_counters(&mut update, &fresh);
        let updated = self.update_meter(key, &plan.id, update).await?;
        Ok(updated.later_revision())
    }

    /// Sets the counters of a new meter to what the archived days of its period say.
    async fn start_from_archive(
        &self,
        key: &KeyRecord,
        plan: &PlanRecord,
        fresh: &mut Meter,
    ) -> Result<(), Error> {
        let start = fresh.period.map_or(fresh.day, |period| period.start);
        let range = (start, fresh.day);
        let days = self.closed_days(&key.id, &plan.id, range).await?;
        fresh.spent = total(&days);
        fresh.count = days.get(&fresh.day).map_or(0, |day| day.count);
        Ok(())
    }
}
