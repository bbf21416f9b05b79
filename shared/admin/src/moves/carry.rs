//! Preparing the meter of the plan that a key moves to: what it has spent there, and what its buckets owe.

use jiff::Timestamp;
use tollgate_core::bucket::Level;
use tollgate_core::calendar::{day_of, start_of};
use tollgate_core::charge;
use tollgate_core::id::PlanId;
use tollgate_core::limit::Quota;
use tollgate_core::limits::BucketId;
use tollgate_core::meter::Meter;

use crate::grants::SpentUpdate;
use crate::meters::revision;
use crate::usage::total;
use crate::{Admin, Error};
use tollgate_dynamo::expression::Update;
use tollgate_dynamo::item::key::{KeyRecord, Moving};
use tollgate_dynamo::item::meter::{BUCKETS, level_value};
use tollgate_dynamo::item::plan::PlanRecord;

/// Buckets that one write carries over: an expression has 4 KB at most.
const BUCKETS_PER_WRITE: usize = 25;

impl Admin {
    /// Makes the meter under the plan that a key moves to, and carries over what goes along. Nothing can be charged to it yet.
    /// False if the meter changed meanwhile.
    pub(super) async fn prepare_meter(
        &self,
        key: &KeyRecord,
        plan: &PlanRecord,
        moving: &Moving,
    ) -> Result<bool, Error> {
        let mut placements = self.meters_of(&key.id).await?;
        let placement = placements.remove(&plan.id).unwrap_or_default();
        self.ensure_meter(key, plan, placement).await?;
        let source = self.meter(&key.id, &moving.from).await?;
        if let Some(source) = &source {
            self.carry_buckets(key, plan, source).await?;
        }
        let Some(target) = self.meter(&key.id, &plan.id).await? else {
            return Ok(false);
        };
        // The later day of the two meters counts for both.
        let latest = source
            .iter()
            .map(|source| source.day)
            .fold(target.day, Ord::max);
        let now = self.now().max(start_of(latest));
        let Some(quota) = key.terms(plan).quota(charge::today(&target, now)) else {
            return Ok(true);
        };
        let mut spent = 0;
        if moving.carries {
            let here = self.spent(key, &plan.id, Some(&target), &quota, now);
            let there = self.spent(key, &moving.from, source.as_ref(), &quota, now);
            // The maximum and not the sum: an earlier move may have carried the one to the other.
            spent = here.await?.max(there.await?);
        }
        let update = SpentUpdate {
            plan,
            key,
            meter: &target,
            spent,
            now,
            mark: moving.since,
        };
        self.set_spent(&update).await
    }

    /// What the key has spent under a plan in the current period of `quota`, which need not be the quota that the meter was
    /// charged under. Once the meter has expired, the archived days tell it.
    async fn spent(
        &self,
        key: &KeyRecord,
        plan_id: &PlanId,
        meter: Option<&Meter>,
        quota: &Quota,
        now: Timestamp,
    ) -> Result<i64, Error> {
        if let Some(meter) = meter {
            let history = self.history_at(&key.id, plan_id, meter, quota, now).await?;
            return Ok(charge::spent(meter, quota, history, now).1);
        }
        let today = day_of(now);
        let range = (quota.period_of(today).start, today);
        let days = self.closed_days(&key.id, plan_id, range).await?;
        Ok(total(&days))
    }

    /// Raises the levels of a meter's buckets to those of the buckets of the same name in `source`. Each keeps the pace at which
    /// its debt arose; the next charge converts it.
    async fn carry_buckets(
        &self,
        key: &KeyRecord,
        plan: &PlanRecord,
        source: &Meter,
    ) -> Result<(), Error> {
        let Some(target) = self.meter(&key.id, &plan.id).await? else {
            return Ok(());
        };
        let heavier = heavier_buckets(source, &target, self.now());
        for buckets in heavier.chunks(BUCKETS_PER_WRITE) {
            let update = raise_levels(revision(key), &target, buckets);
            self.update_meter(key, &plan.id, update).await?;
        }
        Ok(())
    }
}

/// The buckets of `source` that owe more than those of the same name in `target`.
fn heavier_buckets<'a>(
    source: &'a Meter,
    target: &Meter,
    now: Timestamp,
) -> Vec<(&'a BucketId, &'a Level)> {
    let now = now.as_nanosecond();
    #[expect(
        clippy::cast_precision_loss,
        reason = "the result is only compared to another one"
    )]
    let owed = |level: &Level| (level.tat - now).max(0) as f64 / level.interval as f64;
    let heavier = source.buckets.iter().filter(|(id, level)| {
        let known = target.buckets.get(*id);
        owed(level) > known.map_or(0.0, owed)
    });
    heavier.collect()
}

/// Sets buckets to these levels, on the condition that they are as in `target`: an attempt that DynamoDB applies late must not
/// undo later charges.
fn raise_levels(mut update: Update, target: &Meter, buckets: &[(&BucketId, &Level)]) -> Update {
    for (id, level) in buckets {
        let bucket = format!("{}.{}", update.name(BUCKETS), update.name(id));
        match target.buckets.get(*id) {
            Some(known) => {
                let known = update.value(level_value(*known));
                update.condition(format!("{bucket} = {known}"));
            }
            None => update.condition(format!("attribute_not_exists({bucket})")),
        }
        let level = update.value(level_value(**level));
        update.set(&bucket, level);
    }
    update
}
