//! Moving a key from one plan to another, with or without what it has used of the quota.
//!
//! First the record says that the key has left the one plan and is on its way to the other, and every meter is told: from then on
//! nothing is charged to either. Then the new meter is brought up: what was spent, and what is owed to buckets. Only then does
//! the record say that the key is in the other plan. In between, authorizers wait. What an interrupted move has left undone is
//! done by the next call that puts the key into a plan, unless that says the contrary: to take the key out of either plan, to
//! put it back into the one that it is leaving, or to move it from there to elsewhere calls the move off.

use jiff::Timestamp;
use tollgate_core::bucket::Level;
use tollgate_core::calendar::{day_of, start_of};
use tollgate_core::charge;
use tollgate_core::id::{KeyId, PlanId};
use tollgate_core::limit::Quota;
use tollgate_core::meter::Meter;

use super::meters::revision;
use super::unpublished::Unpublished;
use super::{Admin, Error, MAX_TRIES, back_off};
use tollgate_dynamo::item::key::{KeyRecord, Moving};
use tollgate_dynamo::item::meter::{BUCKETS, level_value};
use tollgate_dynamo::item::plan::PlanRecord;

/// Buckets that one write carries along: an expression has 4 KB at most.
const BUCKETS_AT_ONCE: usize = 25;

impl Admin {
    /// Moves a key from one plan to another. With `carries`, as much counts as used in the other plan's current period as was used
    /// in the one that it leaves, or in the other before, whichever is more; without, the period begins anew. What is owed to
    /// throttles always goes along. When this returns, it holds everywhere.
    ///
    /// # Errors
    /// [`Error::NoSuchKey`], [`Error::NoSuchPlan`], [`Error::NotLinked`], [`Error::AlreadyLinked`], [`Error::StageTaken`].
    pub async fn move_key(
        &self,
        id: &KeyId,
        from: &PlanId,
        to: &PlanId,
        carries: bool,
    ) -> Result<KeyRecord, Error> {
        for tries in 0..MAX_TRIES {
            back_off(tries).await;
            let before = self.key(id).await?;
            let is_this =
                |moving: &Moving| (&moving.from, &moving.to, moving.carries) == (from, to, carries);
            let mut leaves_elsewhere = false;
            if let Some(moving) = &before.moving {
                if is_this(moving) {
                    return self.arrive(Unpublished::again(before)).await;
                }
                leaves_elsewhere = moving.from == *from;
                if !leaves_elsewhere {
                    Box::pin(self.arrive_anywhere(before)).await?;
                    continue;
                }
            }
            if before.moved.as_ref().is_some_and(is_this) {
                // An earlier call got at least that far.
                let record = self.sync_meters(Unpublished::again(before)).await?;
                self.update_lookup(&record).await?;
                return Ok(record);
            }
            let plan = self.plan(to).await?;
            if before.plans.contains(&plan.id) {
                return Err(Error::AlreadyLinked);
            }
            if !leaves_elsewhere && !before.plans.iter().any(|linked| *linked == *from) {
                return Err(Error::NotLinked);
            }
            self.check_stages(&before, &plan, Some(from)).await?;
            let moving = Moving {
                from: from.to_owned(),
                to: to.to_owned(),
                carries,
                since: before.revision.saturating_add(1),
            };
            let leave = |record: &mut KeyRecord| {
                record.leave(from);
                record.moving = Some(moving.clone());
                Ok::<_, Error>(())
            };
            if let Some(change) = self.replace_key(before, leave).await? {
                return self.arrive(change).await;
            }
        }
        Err(Error::Contended)
    }

    /// Ends the move that a key is on, whether or not its plan is still there.
    pub(super) async fn arrive_anywhere(&self, record: KeyRecord) -> Result<(), Error> {
        match self.arrive(Unpublished::again(record)).await {
            Ok(_) | Err(Error::NoSuchPlan | Error::MoveCalledOff) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Ends the move that a key is on. Where the plan is gone that it was to be in, it stays in the one that it was leaving.
    async fn arrive(&self, mut change: Unpublished) -> Result<KeyRecord, Error> {
        let mut wanted = None;
        for tries in 0..MAX_TRIES {
            back_off(tries).await;
            let record = self.sync_meters(change).await?;
            let id = record.id.clone();
            let Some(moving) = record.moving.clone() else {
                return match wanted {
                    Some(to) if !record.plans.contains(&to) => Err(Error::MoveCalledOff),
                    _ => Ok(record),
                };
            };
            wanted = Some(moving.to.clone());
            let plan = self.any_plan(&moving.to).await?;
            let plan = plan.filter(|plan| !plan.deleted);
            // Where it was put into the plan otherwise, it is charged there already.
            let brings = plan.as_ref().filter(|it| !record.plans.contains(&it.id));
            if let Some(plan) = brings {
                match self.bring_up(&record, plan, &moving).await {
                    Err(Error::Contended) => {
                        change = Unpublished::again(self.key(&id).await?);
                        continue;
                    }
                    brought => brought?,
                }
            }
            let entered = if plan.is_some() {
                &moving.to
            } else {
                &moving.from
            };
            let arrive = |record: &mut KeyRecord| {
                record.moving = None;
                record.enter(entered);
                record.moved = plan.as_ref().map(|_| moving.clone());
                record.updated = self.now();
                Ok::<_, Error>(())
            };
            if let Some(arrived) = self.replace_key(record, arrive).await? {
                let arrived = self.sync_meters(arrived).await?;
                self.update_lookup(&arrived).await?;
                return self.unless_gone(&moving.to, arrived).await;
            }
            change = Unpublished::again(self.key(&id).await?);
        }
        Err(Error::Contended)
    }

    /// Makes the meter that a key is going to be charged to, and makes it say what goes along. Nothing can be charged to it yet.
    async fn bring_up(
        &self,
        key: &KeyRecord,
        plan: &PlanRecord,
        moving: &Moving,
    ) -> Result<(), Error> {
        let places = self.meters_of(&key.id).await?;
        let place = places.get(&plan.id).cloned().unwrap_or_default();
        self.ensure_meter(key, plan, place).await?;
        let left = self.meter(&key.id, &moving.from).await?;
        if let Some(left) = &left {
            self.carry_buckets(key, plan, left).await?;
        }
        let Some(entered) = self.meter(&key.id, &plan.id).await? else {
            return Err(Error::Contended);
        };
        // Both go by one day: the later one.
        let known = left.as_ref().map_or(entered.day, |left| left.day);
        let now = self.now().max(start_of(known.max(entered.day)));
        let terms = key.terms(plan);
        let Some(quota) = terms.quota(charge::today(&entered, now)) else {
            return Ok(());
        };
        let mut spent = 0;
        if moving.carries {
            spent = self.spent(key, &plan.id, &entered, &quota, now).await?;
            // Not the sum: what was used here may have been carried there before.
            let there = match &left {
                Some(left) => self.spent(key, &moving.from, left, &quota, now).await?,
                None => self.written_out(key, &moving.from, &quota, now).await?,
            };
            spent = spent.max(there);
        }
        let set = self.set_spent(plan, key, &entered, spent, now, moving.since);
        if set.await? {
            Ok(())
        } else {
            Err(Error::Contended)
        }
    }

    /// What a meter says is spent in the current period of `quota`, which may not be the one that it was charged under.
    async fn spent(
        &self,
        key: &KeyRecord,
        plan_id: &PlanId,
        meter: &Meter,
        quota: &Quota,
        now: Timestamp,
    ) -> Result<i64, Error> {
        let history = self.history_at(&key.id, plan_id, meter, quota, now).await?;
        Ok(charge::spent(meter, quota, history, now).1)
    }

    /// What was used in the current period of `quota` under a plan whose meter is gone by its time to live.
    async fn written_out(
        &self,
        key: &KeyRecord,
        plan_id: &PlanId,
        quota: &Quota,
        now: Timestamp,
    ) -> Result<i64, Error> {
        let today = day_of(now);
        let range = (quota.period_of(today).start, today);
        let used = self.admitted(&key.id, plan_id, range).await?;
        Ok(i64::try_from(used).unwrap_or(i64::MAX))
    }

    /// Makes a meter owe its buckets at least what the one that was left owed to those of the same name. The pace stays the
    /// one that the debt came about at: the next charge converts it.
    async fn carry_buckets(
        &self,
        key: &KeyRecord,
        plan: &PlanRecord,
        left: &Meter,
    ) -> Result<(), Error> {
        let Some(entered) = self.meter(&key.id, &plan.id).await? else {
            return Ok(());
        };
        let now = self.now().as_nanosecond();
        #[expect(clippy::cast_precision_loss, reason = "of two debts the larger")]
        let owed = |level: &Level| (level.tat - now).max(0) as f64 / level.interval as f64;
        let heavier = left.buckets.iter().filter(|(id, level)| {
            let known = entered.buckets.get(*id);
            owed(level) > known.map_or(0.0, owed)
        });
        for some in heavier.collect::<Vec<_>>().chunks(BUCKETS_AT_ONCE) {
            let mut update = revision(key);
            for (id, level) in some {
                let bucket = format!("{}.{}", update.name(BUCKETS), update.name(id));
                // A try that arrives late must not take back what was charged since.
                match entered.buckets.get(*id) {
                    Some(known) => {
                        let known = update.value(level_value(*known));
                        update.condition(format!("{bucket} = {known}"));
                    }
                    None => update.condition(format!("attribute_not_exists({bucket})")),
                }
                let level = update.value(level_value(**level));
                update.set(&bucket, level);
            }
            self.update_meter(key, &plan.id, update).await?;
        }
        Ok(())
    }
}
