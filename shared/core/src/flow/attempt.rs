//! The write that charges, and what its reply means.

use super::{Flow, MAX_ATTEMPTS, Next, Outcome, Pending, Reply, View, Write, decided};
use crate::charge::{self, Charge};
use crate::lane::{Place, Stamp};
use crate::meter::Meter;
use crate::reason::Reason;
use crate::status::LimitStatus;
use crate::verdict::Verdict;

/// Number of attempts that may claim a new lane. If many instances race for the last free lanes, the race alone could use up
/// all attempts.
const ATTEMPTS_WITH_A_NEW_LANE: u32 = 2;

impl<E: Clone> Flow<E> {
    /// Chooses the requests that a meter has room for, in order of arrival. After a lost answer, chooses those of the lost
    /// write: only one of two writes with the same sequence number can be applied, and both must charge the same requests.
    pub(super) fn choose(&self, meter: &Meter, view: &View<'_>) -> Vec<usize> {
        if let Some(lost) = &self.lost {
            return lost.clone();
        }
        let mut fitting = Vec::new();
        let mut sum = 0u32;
        for (position, cost) in self.batch.waiting() {
            let more = cost.saturating_add(sum);
            let is_exact = more.get() - sum == cost.get();
            if is_exact && charge::refusal(meter, &self.request(view, more)).is_none() {
                sum = more.get();
                fitting.push(position);
            }
        }
        self.fewer(fitting, sum)
    }

    /// Halves the amount to charge after each failure. Instances that each take all the room there is make each other fail.
    fn fewer(&self, mut fitting: Vec<usize>, sum: u32) -> Vec<usize> {
        let most = sum >> self.attempts;
        let mut asked = 0;
        let mut is_within = |position: &usize| {
            asked += self.batch.cost_of(*position).get();
            asked <= most
        };
        let others = fitting.iter().skip(1);
        let within = others.take_while(|position| is_within(position)).count();
        fitting.truncate(1 + within);
        fitting
    }

    /// Attempts a charge of these requests.
    pub(super) fn attempt(
        &mut self,
        charge: Charge,
        requests: Vec<usize>,
        view: &View<'_>,
    ) -> Next {
        let stamp = self.stamp(view.meter);
        if self.lost.is_some() && stamp.is_none() {
            // The lost write may still be applied, and without a lane nothing would prevent both from being applied.
            self.uncertain(&requests);
            self.batch.again(false);
            return Next::Done;
        }
        self.began.get_or_insert(view.moment.now);
        self.attempts += 1;
        self.pending = Some(Pending::Charge {
            requests,
            is_stamped: stamp.is_some(),
        });
        Next::Write(Write::Charge(charge, stamp))
    }

    /// The stamp of this batch for a meter, if a lane is free.
    fn stamp(&self, meter: &Meter) -> Option<Stamp> {
        let stamp = Stamp::claim(&meter.lanes, &self.lane, self.sequence)?;
        let may_race = self.attempts < ATTEMPTS_WITH_A_NEW_LANE || self.lost.is_some();
        (may_race || stamp.place == Place::Own).then_some(stamp)
    }

    /// Whether a write of this batch was applied to a meter.
    pub(super) fn is_made(&self, meter: &Meter) -> bool {
        meter.lanes.get(&self.lane) == Some(&self.sequence)
    }

    /// Handles the reply to a write that charges no request. The next step depends only on the current meter.
    pub(super) fn prepared(&mut self, reply: Reply<'_, E>) {
        if let Reply::Throttled(error) | Reply::Indeterminate(error) = reply {
            self.wait(error);
        }
    }

    /// Handles the reply to an attempt.
    pub(super) fn charged(
        &mut self,
        requests: &[usize],
        is_stamped: bool,
        view: &View<'_>,
        reply: Reply<'_, E>,
    ) {
        match reply {
            Reply::Applied(meter) => self.admit(requests, meter, view),
            Reply::ConditionFailed(Some(meter)) if self.lost.is_some() && self.is_made(meter) => {
                // An earlier attempt was applied after all.
                self.admit(requests, meter, view);
            }
            Reply::ConditionFailed(Some(meter)) if self.attempts >= MAX_ATTEMPTS => {
                self.give_up(requests, meter, view);
            }
            Reply::Indeterminate(error) => self.lose(requests, is_stamped, error),
            Reply::Throttled(error) => self.wait(error),
            Reply::Done | Reply::ConditionFailed(_) | Reply::Failed(_) => {}
        }
    }

    /// Admits the requests that were charged to the meter. The others are refused by it, or decided again.
    pub(super) fn admit(&mut self, requests: &[usize], meter: &Meter, view: &View<'_>) {
        let limit_status = LimitStatus::of(meter, view.limits, None, view.moment);
        for &position in requests {
            let verdict = Verdict {
                limit_status: limit_status.clone(),
                ..Verdict::because(Reason::Ok)
            };
            self.batch.decide(position, decided(verdict));
        }
        self.refuse_full(meter, view);
        self.batch.again(false);
    }

    /// Handles the end of the last attempt: refuses the requests without room. Of the others, only a request that was attempted
    /// alone counts as contended, having lost to other writes each time. Requests that were not attempted, or only together
    /// with others, are decided again.
    fn give_up(&mut self, tried: &[usize], meter: &Meter, view: &View<'_>) {
        let waiting: Vec<_> = self.batch.waiting().map(|(position, _)| position).collect();
        self.refuse_full(meter, view);
        for position in waiting {
            if tried != [position] && !self.batch.has_outcome(position) {
                self.batch
                    .decide(position, Outcome::Again { reread: false });
            }
        }
    }

    /// Handles a lost answer. A stamped write can be repeated safely under the same sequence number.
    fn lose(&mut self, requests: &[usize], is_stamped: bool, error: E) {
        if !is_stamped {
            self.uncertain(requests);
            self.batch.again(false);
            return;
        }
        self.lost = Some(requests.to_vec());
        if self.attempts >= MAX_ATTEMPTS {
            for &position in requests {
                self.batch.decide(position, Outcome::Failed(error.clone()));
            }
            self.batch.again(false);
        }
    }

    /// Gives these requests the outcome uncertain: they may or may not have been charged.
    pub(super) fn uncertain(&mut self, requests: &[usize]) {
        for &position in requests {
            let verdict = Verdict::because(Reason::Uncertain);
            self.batch.decide(position, decided(verdict));
        }
    }

    /// Waits before the next attempt, if there is one.
    fn wait(&mut self, error: E) {
        if self.attempts >= MAX_ATTEMPTS {
            self.batch.rest(&Outcome::Failed(error));
        } else {
            self.queued = Some(Next::Wait {
                attempts: self.attempts,
            });
        }
    }
}
