//! A store with one meter and its archived days, and instances that remember the meter as they last saw it.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use jiff::Timestamp;
use jiff::civil::Date;
use tollgate_core::charge::{ChargeRequest, History, Refusal, Step, charge};
use tollgate_core::limits::{BucketId, PLAN_BUCKET};
use tollgate_core::meter::{Meter, Revisions};
use tollgate_core::moment::Moment;
use tollgate_core::tactic::Tactic;

use super::model::date;
use super::{Agreed, Plan, support};

/// A store with one meter and its archived days, and instances that remember the meter as they last saw it.
#[derive(Debug, Clone)]
pub struct World {
    pub stored: Meter,
    days: BTreeMap<Date, u64>,
    seen: Vec<(Meter, Option<Date>, Option<History>)>,
    pub writes: usize,
}

impl World {
    pub fn new(day: Date, instances: usize) -> Self {
        let meter = Meter::new(1, 0, day, None);
        Self {
            seen: vec![(meter.clone(), None, None); instances],
            stored: meter,
            days: BTreeMap::new(),
            writes: 0,
        }
    }

    /// Decides a request as instance `who` does under revision `revision` of the plan; `None` if the instance would have to
    /// reread the plan.
    pub fn decide(
        &mut self,
        who: usize,
        (plan, revision): (&Plan, u64),
        method: usize,
        cost: u32,
        now: i128,
    ) -> Option<Result<(), Refusal>> {
        let agreed = Agreed {
            first: plan.clone(),
            then: None,
        };
        self.decide_by(who, (&agreed, revision), method, cost, now)
    }

    pub fn decide_by(
        &mut self,
        who: usize,
        (agreed, revision): (&Agreed, u64),
        method: usize,
        cost: u32,
        now: i128,
    ) -> Option<Result<(), Refusal>> {
        for turn in 0..8 {
            if let Some(decided) = self.turn(who, (agreed, revision), (method, cost), now, turn) {
                return match decided {
                    Decided::Admitted => Some(Ok(())),
                    Decided::Refused(refusal) => Some(Err(refusal)),
                    Decided::Outdated => None,
                };
            }
        }
        panic!("no decision in 8 turns");
    }

    /// Makes one step of a decision; `None` if another step has to follow.
    fn turn(
        &mut self,
        who: usize,
        (agreed, revision): (&Agreed, u64),
        (method, cost): (usize, u32),
        now: i128,
        turn: usize,
    ) -> Option<Decided> {
        let (meter, archived, history) = self.seen[who].clone();
        let limits = agreed.on(date(now).max(meter.day)).limits(method);
        let guesses = guesses(turn == 0 && who > 0 && now % 3 == 0);
        let (key, plan) = (1, revision);
        let request = ChargeRequest {
            moment: moment(now),
            cost: NonZeroU32::new(cost).unwrap(),
            revisions: Revisions { key, plan },
            limits: &limits,
            quota_before: agreed.on(meter.day).limits(method).quota(),
            archived,
            history,
            tactics: &guesses,
        };
        self.take(who, meter == self.stored, charge(&meter, &request))
    }

    /// Takes a step. `is_current` says whether it is by the meter as it is stored.
    fn take(&mut self, who: usize, is_current: bool, step: Step) -> Option<Decided> {
        match step {
            Step::Charge(charge) => {
                self.writes += 1;
                if let Some(after) = support::charged(&self.stored, &charge, None) {
                    self.stored = after.clone();
                    self.seen[who].0 = after;
                    return Some(Decided::Admitted);
                }
                self.see(who, None);
            }
            Step::RebaseBuckets(rebase) => {
                self.see(who, support::charged(&self.stored, &rebase, None));
            }
            Step::SyncRevisions(ours) => self.see(who, support::synced(&self.stored, ours)),
            Step::ArchiveDay(closed) => {
                self.days.insert(closed.day, closed.count);
                self.seen[who].1 = Some(closed.day);
            }
            Step::LoadHistory(period, before) => {
                let admitted = self.between(period.start, before);
                self.seen[who].2 = Some(History {
                    period,
                    before,
                    admitted,
                });
            }
            Step::Refuse(refusal) if is_current => return Some(Decided::Refused(refusal)),
            // The refusal is from memory: see what is there.
            Step::Refuse(_) => self.see(who, None),
            Step::PlanChanged => return Some(Decided::Outdated),
            Step::KeyChanged => panic!("there is one revision of the key"),
        }
        None
    }

    /// Applies a write, if it succeeded, and shows an instance the current meter.
    fn see(&mut self, who: usize, written: Option<Meter>) {
        self.stored = written.unwrap_or_else(|| self.stored.clone());
        self.seen[who].0 = self.stored.clone();
    }

    fn between(&self, start: Date, before: Date) -> u64 {
        let mut days = self.days.clone();
        if let Some(closed) = self.stored.closed {
            days.insert(closed.day, closed.count);
        }
        days.range(start..before).map(|(_, count)| count).sum()
    }

    pub fn usage(&self) -> BTreeMap<Date, u64> {
        let mut days = self.days.clone();
        let closed = self.stored.closed.map(|closed| (closed.day, closed.count));
        days.extend(closed);
        days.insert(self.stored.day, self.stored.count);
        days.retain(|_, count| *count > 0);
        days
    }
}

/// How a decision ends.
enum Decided {
    Admitted,
    Refused(Refusal),
    /// The plan has to be read again.
    Outdated,
}

fn moment(now: i128) -> Moment {
    Moment {
        now: Timestamp::from_nanosecond(now).unwrap(),
        ahead: 0,
        tolerance: i128::MAX,
    }
}

/// The guesses of several instances may be as wrong as they like.
fn guesses(guesses: bool) -> BTreeMap<BucketId, Tactic> {
    let guess = Tactic {
        assume_busy: true,
        ..Tactic::default()
    };
    let guess = guesses.then(|| (PLAN_BUCKET.to_owned(), guess));
    guess.into_iter().collect()
}
