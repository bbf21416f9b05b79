//! The meters of a key. Each operation that changes a key's record brings them in line: those of its plans are made or
//! updated, the others are retired.
//!
//! - `placement`: what a meter's item says about its place: in lists, retired, and which revision it knows.
//! - `item`: the attributes that a meter starts with, and its index entries.
//! - `sync`: brings all meters of a key in line with its record.
//! - `retirement`: archives what a meter counted and retires it.

use std::collections::BTreeMap;

use tollgate_core::id::{KeyId, PlanId};
use tollgate_core::meter::Meter;

use crate::listing::string;
use crate::{Admin, Error};
use tollgate_dynamo::expression::Update;
use tollgate_dynamo::item::key::KeyRecord;
use tollgate_dynamo::item::meter::{self, KEY_REVISION};
use tollgate_dynamo::item::{Item, ItemKey};
use tollgate_dynamo::items::{Query, Range, Updated};
use tollgate_dynamo::schema::SK;

mod item;
mod placement;
mod retirement;
mod sync;

pub(crate) use item::new_meter;
pub(crate) use placement::{MeterPlacement, is_published};
pub(crate) use retirement::retire;
pub(crate) use sync::PlansAndMeters;

/// The outcome of an update of a meter.
pub(crate) enum MeterUpdate {
    /// It was applied; the meter's item after it.
    Applied(Item),
    /// The meter knows this later revision of the key.
    Outdated(u64),
    /// Another condition did not hold.
    ConditionFailed,
}

impl MeterUpdate {
    /// The later revision of the key that the meter knows.
    fn later_revision(&self) -> Option<u64> {
        match self {
            Self::Outdated(revision) => Some(*revision),
            Self::Applied(_) | Self::ConditionFailed => None,
        }
    }
}

impl Admin {
    /// The meter of a key under a plan; `None` if there is none, or none that can be charged.
    pub(crate) async fn meter(
        &self,
        key_id: &KeyId,
        plan_id: &PlanId,
    ) -> Result<Option<Meter>, Error> {
        let item = self.items.get(&ItemKey::meter(key_id, plan_id)).await?;
        Ok(item.as_ref().map(meter::read).transpose()?.flatten())
    }

    /// The placements of all meters of a key, retired or not, by plan.
    pub(crate) async fn meters_of(
        &self,
        key_id: &KeyId,
    ) -> Result<BTreeMap<PlanId, MeterPlacement>, Error> {
        let all = ItemKey::meter(key_id, &PlanId::default());
        let query = Query::table(all.pk, Range::Prefix(all.sk.clone()));
        let items = self
            .items
            .query(&query.only(MeterPlacement::ATTRIBUTES))
            .await?;
        let meters = items.iter().filter_map(|item| {
            let plan = string(item, SK)?.strip_prefix(&all.sk)?;
            Some((PlanId::from(plan), MeterPlacement::of(item)))
        });
        Ok(meters.collect())
    }

    /// Updates a meter. Each update contains [`revision`], and fails if the meter knows a later revision of the key. A meter
    /// whose revision is damaged cannot be updated any more; it is blocked instead.
    pub(crate) async fn update_meter(
        &self,
        key: &KeyRecord,
        plan_id: &PlanId,
        update: Update,
    ) -> Result<MeterUpdate, Error> {
        let item_key = ItemKey::meter(&key.id, plan_id);
        let current = match self.items.update(&item_key, update).await? {
            Updated::Applied(item) => return Ok(MeterUpdate::Applied(item)),
            Updated::ConditionFailed(current) => current,
        };
        let known = current.as_ref().and_then(|item| item.get(KEY_REVISION));
        let Some(known) = known else {
            return Ok(MeterUpdate::ConditionFailed);
        };
        match known.as_n().ok().and_then(|known| known.parse().ok()) {
            None | Some(u64::MAX) => {
                self.block_meter(&key.id, plan_id).await?;
                Ok(MeterUpdate::ConditionFailed)
            }
            Some(known) if known > key.revision => Ok(MeterUpdate::Outdated(known)),
            Some(_) => Ok(MeterUpdate::ConditionFailed),
        }
    }
}

/// An update that stores the key's revision in a meter, on the condition that the meter knows no later one.
pub(crate) fn revision(key: &KeyRecord) -> Update {
    let mut update = Update::default();
    let (known, revision) = (update.name(KEY_REVISION), update.number(key.revision));
    update.condition(format!(
        "(attribute_not_exists({known}) OR {known} <= {revision})"
    ));
    update.set(&known, revision);
    update
}
