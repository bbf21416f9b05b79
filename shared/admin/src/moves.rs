//! Moving a key from one plan to another, with or without what it has spent of the quota.
//!
//! First the record says that the key has left the one plan and is on its way to the other, and every meter learns it: from
//! then on neither meter is charged, and authorizers wait. Then the new meter is prepared: what is spent, and what its buckets
//! owe. Only then does the record say that the key is in the other plan.
//!
//! The next call that puts the key into a plan completes an interrupted move, unless it contradicts the move: taking the key
//! out of either plan, putting it back into the one that it leaves, or moving it from there to a third plan cancels the move.

use tollgate_core::id::{KeyId, PlanId};

use crate::unpublished::Unpublished;
use crate::{Admin, Error, until_settled};
use tollgate_dynamo::item::key::{KeyRecord, Moving};
use tollgate_dynamo::retry::{MAX_ATTEMPTS, back_off};

mod carry;

/// A move that a caller asks for.
#[derive(Debug, Clone, Copy)]
struct Move<'a> {
    from: &'a PlanId,
    to: &'a PlanId,
    carries: bool,
}

/// What has to be done for a move, given the key's record.
#[derive(Debug, PartialEq, Eq)]
enum MoveStep {
    /// The key is on this very move: finish it.
    Finish,
    /// The key is on another move, which has to finish first.
    FinishOther,
    /// This move is over, but the call that made it may have been interrupted: sync the meters once more.
    SyncAgain,
    /// Begin it. This cancels another move from the same plan.
    Begin,
}

impl Move<'_> {
    fn is(&self, moving: &Moving) -> bool {
        (&moving.from, &moving.to, moving.carries) == (self.from, self.to, self.carries)
    }

    fn step(&self, record: &KeyRecord) -> MoveStep {
        match (&record.moving, &record.moved) {
            (Some(moving), _) if self.is(moving) => MoveStep::Finish,
            (Some(moving), _) if moving.from != *self.from => MoveStep::FinishOther,
            (_, Some(moved)) if self.is(moved) => MoveStep::SyncAgain,
            _ => MoveStep::Begin,
        }
    }

    /// Whether it can begin: the key is in the plan that it leaves, or just left it, and is not in the other.
    fn check(&self, record: &KeyRecord) -> Result<(), Error> {
        let moving = record.moving.as_ref();
        let has_just_left = moving.is_some_and(|moving| moving.from == *self.from);
        if record.plans.contains(self.to) {
            Err(Error::AlreadyLinked)
        } else if has_just_left || record.plans.contains(self.from) {
            Ok(())
        } else {
            Err(Error::NotLinked)
        }
    }
}

impl Admin {
    /// Moves a key from one plan to another. With `carries`, the other plan's current period counts as spent what the key has
    /// spent under either plan, whichever is more; without, the period starts at zero. Debts to throttles always go along. When
    /// this returns, the move holds everywhere.
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
        let wanted = Move { from, to, carries };
        until_settled(|| Box::pin(self.try_move(id, wanted))).await
    }

    async fn try_move(&self, id: &KeyId, wanted: Move<'_>) -> Result<Option<KeyRecord>, Error> {
        let record = self.key(id).await?;
        match wanted.step(&record) {
            MoveStep::Finish => {
                let moved = Box::pin(self.finish_move(Unpublished::again(record))).await?;
                Ok(Some(moved))
            }
            MoveStep::FinishOther => {
                Box::pin(self.finish_pending_move(record)).await?;
                Ok(None)
            }
            MoveStep::SyncAgain => {
                let record = self.sync_meters(Unpublished::again(record)).await?;
                self.update_lookup(&record).await?;
                Ok(Some(record))
            }
            MoveStep::Begin => Box::pin(self.begin_move(record, wanted)).await,
        }
    }

    async fn begin_move(
        &self,
        record: KeyRecord,
        wanted: Move<'_>,
    ) -> Result<Option<KeyRecord>, Error> {
        let plan = self.plan(wanted.to).await?;
        wanted.check(&record)?;
        self.check_stages(&record, &plan, Some(wanted.from)).await?;
        let moving = Moving {
            from: wanted.from.clone(),
            to: wanted.to.clone(),
            carries: wanted.carries,
            since: record.revision.saturating_add(1),
        };
        let leave = |record: &mut KeyRecord| {
            record.leave(wanted.from);
            record.moving = Some(moving.clone());
            Ok::<_, Error>(())
        };
        match self.replace_key(record, leave).await? {
            Some(change) => Ok(Some(Box::pin(self.finish_move(change)).await?)),
            None => Ok(None),
        }
    }

    /// Finishes the move that a key is on, if it can be finished.
    pub(crate) async fn finish_pending_move(&self, record: KeyRecord) -> Result<(), Error> {
        match Box::pin(self.finish_move(Unpublished::again(record))).await {
            Ok(_) | Err(Error::NoSuchPlan | Error::MoveCalledOff) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Finishes the move that a key is on. If its plan is gone, the key returns to the plan that it left.
    async fn finish_move(&self, mut change: Unpublished) -> Result<KeyRecord, Error> {
        let mut target: Option<PlanId> = None;
        for attempts in 0..MAX_ATTEMPTS {
            back_off(attempts).await;
            let record = self.sync_meters(change).await?;
            let id = record.id.clone();
            let Some(moving) = record.moving.clone() else {
                return match target {
                    Some(to) if !record.plans.contains(&to) => Err(Error::MoveCalledOff),
                    _ => Ok(record),
                };
            };
            target = Some(moving.to.clone());
            if let Some(moved) = Box::pin(self.arrive(record, &moving)).await? {
                return Ok(moved);
            }
            change = Unpublished::again(self.key(&id).await?);
        }
        Err(Error::Contended)
    }

    /// Prepares the meter of the plan that a key moves to, and puts the key into the plan. `None` if the record or the meter
    /// changed meanwhile.
    async fn arrive(&self, record: KeyRecord, moving: &Moving) -> Result<Option<KeyRecord>, Error> {
        let plan = self.any_plan(&moving.to).await?;
        let plan = plan.filter(|plan| !plan.deleted);
        // If another call put the key into the plan, its meter there is being charged already.
        let unprepared = plan
            .as_ref()
            .filter(|plan| !record.plans.contains(&plan.id));
        if let Some(plan) = unprepared
            && !self.prepare_meter(&record, plan, moving).await?
        {
            return Ok(None);
        }
        let entered = plan.as_ref().map_or(&moving.from, |_| &moving.to);
        let enter = |record: &mut KeyRecord| {
            record.moving = None;
            record.enter(entered);
            record.moved = plan.as_ref().map(|_| moving.clone());
            record.updated = self.now();
            Ok::<_, Error>(())
        };
        let Some(arrived) = self.replace_key(record, enter).await? else {
            return Ok(None);
        };
        let arrived = self.sync_meters(arrived).await?;
        self.update_lookup(&arrived).await?;
        let arrived = self.unlink_if_plan_gone(&moving.to, arrived).await?;
        Ok(Some(arrived))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moving(from: &str, to: &str) -> Moving {
        Moving {
            from: from.into(),
            to: to.into(),
            carries: true,
            since: 3,
        }
    }

    #[test]
    fn a_move_is_begun_finished_or_waits_for_another() {
        let (from, to) = (PlanId::from("a"), PlanId::from("b"));
        let wanted = Move {
            from: &from,
            to: &to,
            carries: true,
        };
        let step = |moving, moved| {
            wanted.step(&KeyRecord {
                moving,
                moved,
                ..KeyRecord::default()
            })
        };
        assert_eq!(step(None, None), MoveStep::Begin);
        assert_eq!(step(Some(moving("a", "b")), None), MoveStep::Finish);
        assert_eq!(step(Some(moving("c", "b")), None), MoveStep::FinishOther);
        // Leaving the same plan for a third one cancels that move.
        assert_eq!(step(Some(moving("a", "c")), None), MoveStep::Begin);
        assert_eq!(step(None, Some(moving("a", "b"))), MoveStep::SyncAgain);
        assert_eq!(step(None, Some(moving("b", "a"))), MoveStep::Begin);
        let other = Moving {
            carries: false,
            ..moving("a", "b")
        };
        assert_eq!(step(Some(other), None), MoveStep::Begin);
    }

    #[test]
    fn a_move_begins_in_the_plan_it_leaves_and_not_in_the_other() {
        let (from, to) = (PlanId::from("a"), PlanId::from("b"));
        let wanted = Move {
            from: &from,
            to: &to,
            carries: false,
        };
        let check = |plans: &[&PlanId], moving| {
            wanted.check(&KeyRecord {
                plans: plans.iter().copied().cloned().collect(),
                moving,
                ..KeyRecord::default()
            })
        };
        assert!(check(&[&from], None).is_ok());
        assert!(check(&[], Some(moving("a", "c"))).is_ok());
        assert!(matches!(check(&[], None), Err(Error::NotLinked)));
        let both = check(&[&from, &to], None);
        assert!(matches!(both, Err(Error::AlreadyLinked)));
    }
}
