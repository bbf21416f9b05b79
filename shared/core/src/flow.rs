//! The decision of a batch of requests, as a pure flow: names the next call to the store, given what is known.
//!
//! The driver calls [`Flow::next`], makes the call that it names and reports the reply to [`Flow::observe`], until the next
//! call is [`Next::Done`]. The flow itself does not wait, read a clock or draw random numbers, so the same code decides in a
//! Lambda function, in a server and in a simulation.
//!
//! A batch holds requests of one process for the same key and the same limits. One write charges all that there is room for, in
//! order of arrival. A single request is a batch of one.
//!
//! - `attempt`: the write that charges, and what its reply means. `refuse`: refusals, from memory or confirmed by the store.
//! - `call`: the calls that a flow names, the replies, and the outcome of each request.
//! - `batch`: the requests of a batch, and which of them one write charges.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use jiff::Timestamp;
use jiff::civil::Date;

use crate::charge::{ChargeRequest, History, Step, charge};
use crate::limits::{BucketId, Limits};
use crate::meter::{Meter, Revisions};
use crate::moment::{Moment, Nanos};
use crate::reason::Reason;
use crate::sharing::{Circumstances, Sharing};
use crate::tactic::Tactic;
use crate::terms::Terms;
use crate::verdict::Verdict;

mod attempt;
mod batch;
mod call;
mod refuse;

use batch::Batch;
pub use call::{Load, Next, Outcome, Reply, Write};

/// Maximum attempts of the write.
pub const MAX_ATTEMPTS: u32 = 4;
/// Maximum steps in all. A read is a step, but not an attempt of the write.
const MAX_STEPS: u32 = 10;

/// Everything that is known when the flow chooses a step.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// The time of the decision.
    pub moment: Moment,
    /// The meter as it was last seen.
    pub meter: &'a Meter,
    /// Time since the meter was seen, in nanoseconds; negative if our clock was set back since.
    pub age: Nanos,
    /// The revisions of the key and the plan that this instance knows.
    pub revisions: Revisions,
    /// What the key may do under the plan.
    pub terms: Terms<'a>,
    /// The limits that every request of the batch has to meet.
    pub limits: &'a Limits,
    /// A closed day that is known to be archived.
    pub archived: Option<Date>,
    /// The cost admitted in a period before the meter's day, if it was read.
    pub history: Option<History>,
    /// What this instance has learned about other instances that charge the meter.
    pub sharing: &'a Sharing,
    /// A random number from 0 to 1.
    pub draw: f64,
}

/// The state of one batch.
#[derive(Debug)]
pub struct Flow<E> {
    batch: Batch<E>,
    lane: String,
    sequence: u64,
    /// When the first attempt was made.
    began: Option<Timestamp>,
    attempts: u32,
    steps: u32,
    /// The requests of a write whose answer was lost. That write may still be applied.
    lost: Option<Vec<usize>>,
    tactics: BTreeMap<BucketId, Tactic>,
    queued: Option<Next>,
    pending: Option<Pending>,
}

/// The call whose reply is expected.
#[derive(Debug)]
enum Pending {
    Load(Load),
    Archive,
    /// A write that charges no request.
    Prepare,
    Charge {
        requests: Vec<usize>,
        is_stamped: bool,
    },
}

impl<E: Clone> Flow<E> {
    /// Creates the flow of a batch of requests with these costs, in order of arrival. `lane` and `sequence` mark its writes;
    /// see [`lane`](crate::lane).
    pub fn new(costs: impl IntoIterator<Item = NonZeroU32>, lane: &str, sequence: u64) -> Self {
        Self {
            batch: Batch::new(costs),
            lane: lane.to_owned(),
            sequence,
            began: None,
            attempts: 0,
            steps: 0,
            lost: None,
            tactics: BTreeMap::new(),
            queued: None,
            pending: None,
        }
    }

    /// Records which requests still wait for an outcome.
    pub fn keep_waiting(&mut self, waits: impl Fn(usize) -> bool) {
        self.batch.keep_waiting(waits);
    }

    /// Names the next call.
    pub fn next(&mut self, view: &View<'_>) -> Next {
        if let Some(next) = self.queued.take() {
            return next;
        }
        if self.batch.is_decided() {
            return Next::Done;
        }
        if self.attempts >= MAX_ATTEMPTS || self.steps >= MAX_STEPS {
            self.batch
                .rest(&decided(Verdict::because(Reason::Contended)));
            return Next::Done;
        }
        self.steps += 1;
        if let Some(made) = self.lost.clone().filter(|_| self.is_made(view.meter)) {
            // An earlier attempt was applied after all.
            self.admit(&made, view.meter, view);
            return Next::Done;
        }
        if self.batch.waiting().next().is_none() {
            self.batch.rest(&Outcome::TooLate);
            return Next::Done;
        }
        self.tactics = self.choose_tactics(view);
        let chosen = self.choose(view.meter, view);
        match charge(view.meter, &self.request(view, self.batch.cost(&chosen))) {
            Step::Refuse(_) => self.refuse(view),
            step => self.take(step, chosen, view),
        }
    }

    /// The key, plan or limits that the batch shares have changed, so each request has to be decided from the start.
    pub fn restart(&mut self) {
        if self.batch.is_decided() {
            // What is learned after the decision does not change it.
            return;
        }
        if let Some(lost) = self.lost.take() {
            // The lost write may still be applied, and the next one would be made under other limits.
            self.uncertain(&lost);
        }
        self.batch.again(false);
    }

    /// Takes the reply to the call that [`next`](Self::next) named. `view` must be the one that was passed to `next`.
    pub fn observe(&mut self, view: &View<'_>, reply: Reply<'_, E>) {
        match (self.pending.take(), reply) {
            (_, Reply::Failed(error)) => self.batch.rest(&Outcome::Failed(error)),
            (Some(Pending::Load(load)), _) => self.loaded(load),
            (Some(Pending::Archive) | None, _) => {}
            // The meter no longer exists, so neither does the link from key to plan.
            (_, Reply::ConditionFailed(None)) => self.queue(Load::Key),
            (Some(Pending::Prepare), reply) => self.prepared(reply),
            (
                Some(Pending::Charge {
                    requests,
                    is_stamped,
                }),
                reply,
            ) => {
                self.charged(&requests, is_stamped, view, reply);
            }
        }
    }

    /// Whether a request of the batch was admitted.
    pub fn admits(&self) -> bool {
        self.batch.admits()
    }

    /// The outcome of every request, in order of arrival.
    pub fn into_outcomes(mut self) -> Vec<Outcome<E>> {
        self.batch
            .rest(&decided(Verdict::because(Reason::Contended)));
        self.batch.into_outcomes()
    }

    /// Names the call for a step other than a refusal.
    fn take(&mut self, step: Step, chosen: Vec<usize>, view: &View<'_>) -> Next {
        match step {
            Step::KeyChanged => self.load(Load::Key),
            Step::PlanChanged => self.load(Load::Plan),
            Step::LoadHistory(period, before) => self.load(Load::History(period, before)),
            Step::ArchiveDay(closed) => {
                self.pending = Some(Pending::Archive);
                Next::Archive(closed)
            }
            Step::SyncRevisions(revisions) => self.prepare(Write::Sync(revisions)),
            Step::RebaseBuckets(charge) => self.prepare(Write::Rebase(charge)),
            Step::Charge(charge) => self.attempt(charge, chosen, view),
            Step::Refuse(_) => Next::Done,
        }
    }

    fn load(&mut self, load: Load) -> Next {
        self.pending = Some(Pending::Load(load));
        Next::Load(load)
    }

    fn queue(&mut self, load: Load) {
        self.queued = Some(self.load(load));
    }

    fn prepare(&mut self, write: Write) -> Next {
        self.attempts += 1;
        self.pending = Some(Pending::Prepare);
        Next::Write(write)
    }

    fn loaded(&mut self, load: Load) {
        match load {
            Load::Key => self.batch.again(true),
            Load::Plan => self.batch.again(false),
            Load::KeyAndPlan | Load::AgeingPlan | Load::History(..) => {}
        }
    }

    fn choose_tactics(&self, view: &View<'_>) -> BTreeMap<BucketId, Tactic> {
        let now = view.moment.now.as_nanosecond();
        let circumstances = Circumstances {
            seen_ago: view.age.max(0),
            retrying_for: self.began.map(|began| (now - began.as_nanosecond()).max(0)),
            draw: view.draw,
        };
        let tactic = |(id, bucket): (&str, _)| {
            let tactic = view.sharing.tactic(id, &bucket, circumstances);
            (id.to_owned(), tactic)
        };
        view.limits.buckets().map(tactic).collect()
    }

    /// The request to charge `cost`, as the view describes it.
    fn request<'a>(&'a self, view: &View<'a>, cost: NonZeroU32) -> ChargeRequest<'a> {
        ChargeRequest {
            moment: view.moment,
            cost,
            revisions: view.revisions,
            limits: view.limits,
            quota_before: view.terms.quota(view.meter.day),
            archived: view.archived,
            history: view.history,
            tactics: &self.tactics,
        }
    }
}

fn decided<E>(verdict: Verdict) -> Outcome<E> {
    Outcome::Decided(Box::new(verdict))
}
