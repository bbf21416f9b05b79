//! Requests of one process that are charged together.
//!
//! Two writes of one process to one meter would only wait for each other at the store. So requests that arrive while a write
//! is under way wait for it, and the next write charges all of them: a *batch*. A request that meets no write is a batch of its
//! own and leaves at once.
//!
//! A batch is driven by those who wait for it, any of them: that one of them gives up, or is dropped together with its
//! client's connection, does not stop it for the others. Nothing is spawned, because a frozen function does nothing in
//! between.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared, WeakShared};
use jiff::Timestamp;
use jiff::civil::Date;
use tokio::time::{Instant, timeout_at};
use tollgate_core::flow::Outcome;
use tollgate_core::id::{KeyId, PlanId};
use tollgate_core::limits::Limits;
use tollgate_core::meter::Revisions;
use tollgate_dynamo::failure::Failure;

/// What requests have in common that can be charged by one write: nothing that decides one of them could decide another
/// differently, except its cost.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Group {
    pub(crate) key: KeyId,
    pub(crate) plan: PlanId,
    pub(crate) revisions: Revisions,
    pub(crate) limits: Limits,
    /// The day on which these are the limits.
    pub(crate) day: Date,
    /// Until when the value that was sent is good.
    pub(crate) good_until: Option<Timestamp>,
}

/// A request in a batch.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) cost: NonZeroU32,
    /// When an answer would come too late.
    pub(crate) end: Instant,
    /// It no longer waits.
    has_left: Arc<AtomicBool>,
}

/// The outcome of each member, in order of arrival.
pub(crate) type Outcomes = Arc<[Outcome<Failure>]>;

type Batch = Shared<BoxFuture<'static, Outcomes>>;

/// The members of a batch until it leaves; then `None`.
type Gathering = Mutex<Option<Vec<Member>>>;

/// The latest batch of a group.
struct Latest {
    /// Weak: when nobody waits for a batch any more, it is dropped with all it holds.
    batch: WeakShared<BoxFuture<'static, Outcomes>>,
    gathering: Arc<Gathering>,
}

/// The batches that gather or are under way.
#[derive(Default)]
pub(crate) struct Combiner {
    latest: Arc<Mutex<HashMap<Group, Latest>>>,
}

impl Combiner {
    /// Joins the group's next batch. If none gathers, a new one is made: `charge` will be called with all who have joined by the
    /// time that it leaves.
    pub(crate) fn join<F>(
        &self,
        group: Group,
        cost: NonZeroU32,
        end: Instant,
        charge: impl FnOnce(Vec<Member>) -> F + Send + 'static,
    ) -> Membership
    where
        F: Future<Output = Outcomes> + Send + 'static,
    {
        let has_left = Arc::<AtomicBool>::default();
        let member = Member {
            cost,
            end,
            has_left: Arc::clone(&has_left),
        };
        let mut latest = lock(&self.latest);
        let (batch, position) = match joined(&latest, &group, member) {
            Ok(joined) => joined,
            Err((member, before)) => {
                let gathering = Arc::new(Mutex::new(Some(vec![member])));
                let registration = Registration {
                    latest: Arc::clone(&self.latest),
                    group: group.clone(),
                    gathering: Arc::clone(&gathering),
                };
                let batch = registration.leave(before, charge).boxed().shared();
                let weak = batch.downgrade();
                let new = weak.map(|batch| Latest { batch, gathering });
                latest.extend(new.map(|new| (group, new)));
                (batch, 0)
            }
        };
        Membership {
            batch,
            position,
            end,
            _leaving: Leaving(has_left),
        }
    }
}

/// Adds a member to the batch that its group gathers, and gives its position there. If none gathers, the member comes back with
/// the batch that is under way, for which the next has to wait.
fn joined(
    latest: &HashMap<Group, Latest>,
    group: &Group,
    member: Member,
) -> Result<(Batch, usize), (Member, Option<Batch>)> {
    let Some(latest) = latest.get(group) else {
        return Err((member, None));
    };
    let Some(batch) = latest.batch.upgrade() else {
        return Err((member, None));
    };
    match &mut *lock(&latest.gathering) {
        Some(members) => {
            members.push(member);
            Ok((batch, members.len() - 1))
        }
        None => Err((member, Some(batch))),
    }
}

/// Takes a batch off the list when it is over, or dropped.
struct Registration {
    latest: Arc<Mutex<HashMap<Group, Latest>>>,
    group: Group,
    gathering: Arc<Gathering>,
}

impl Registration {
    /// Waits for the batch before, then charges all who have gathered.
    async fn leave<F>(
        self,
        before: Option<Batch>,
        charge: impl FnOnce(Vec<Member>) -> F + Send + 'static,
    ) -> Outcomes
    where
        F: Future<Output = Outcomes> + Send + 'static,
    {
        if let Some(before) = before {
            before.await;
        }
        let members = lock(&self.gathering).take().unwrap_or_default();
        let number = members.len();
        // A panic in here would be everybody's.
        let charged = AssertUnwindSafe(async { charge(members).await }).catch_unwind();
        charged.await.unwrap_or_else(|_| {
            let panicked = "the charge of a batch has panicked".to_owned();
            let failure = Failure::Indeterminate(panicked);
            vec![Outcome::Failed(failure); number].into()
        })
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut latest = lock(&self.latest);
        let is_latest = latest
            .get(&self.group)
            .is_some_and(|latest| Arc::ptr_eq(&latest.gathering, &self.gathering));
        if is_latest {
            latest.remove(&self.group);
        }
    }
}

impl Member {
    /// Whether it waits for an answer that can still come in time.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.has_left.load(Ordering::Relaxed) && self.end > Instant::now()
    }
}

/// A request's part in a batch.
pub(crate) struct Membership {
    batch: Batch,
    position: usize,
    end: Instant,
    _leaving: Leaving,
}

/// Tells the batch that a member no longer waits.
struct Leaving(Arc<AtomicBool>);

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Membership {
    /// Waits for the outcome, but not for longer than the request can.
    pub(crate) async fn outcome(self) -> Outcome<Failure> {
        match timeout_at(self.end, self.batch).await {
            Ok(outcomes) => outcomes[self.position].clone(),
            Err(_) => Outcome::TooLate,
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
