//! Combines requests of one process into batches that one write charges.
//!
//! If one process made two writes to one meter at the same time, the second would only wait for the first at the store. So
//! requests that arrive during a write wait for it, and the next write charges all of them: a *batch*. A request that arrives
//! while no write is in progress forms a batch of its own and starts at once.
//!
//! Every request that waits for a batch also drives it, so the batch continues for the others if one of them gives up or is
//! dropped because its client disconnected. No task is spawned, because a frozen Lambda function does not run tasks between
//! invocations.

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

/// What requests must have in common to be charged by one write. Apart from its cost, a request has no other property that
/// could change its outcome.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Group {
    pub(crate) key: KeyId,
    pub(crate) plan: PlanId,
    pub(crate) revisions: Revisions,
    pub(crate) limits: Limits,
    /// The day whose limits apply.
    pub(crate) day: Date,
    /// When the value that the client sent stops being valid.
    pub(crate) good_until: Option<Timestamp>,
}

/// A request in a batch.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) cost: NonZeroU32,
    /// The time after which an answer is too late.
    pub(crate) end: Instant,
    /// Whether the request has stopped waiting.
    has_left: Arc<AtomicBool>,
}

/// The outcome of each member, in order of arrival.
pub(crate) type Outcomes = Arc<[Outcome<Failure>]>;

type Batch = Shared<BoxFuture<'static, Outcomes>>;

/// The members of a batch; `None` once the batch has started its write.
type Gathering = Mutex<Option<Vec<Member>>>;

/// The latest batch of a group.
struct Latest {
    /// Weak, so that a batch is dropped with everything it holds once no request waits for it.
    batch: WeakShared<BoxFuture<'static, Outcomes>>,
    gathering: Arc<Gathering>,
}

/// The batches that are collecting members or being charged.
#[derive(Default)]
pub(crate) struct Combiner {
    latest: Arc<Mutex<HashMap<Group, Latest>>>,
}

impl Combiner {
    /// Joins the group's next batch, or creates it if there is none. A new batch calls `charge` with all members that have
    /// joined by the time it starts.
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

/// Adds a member to the batch that its group is collecting, and returns its position there. If there is no such batch, returns
/// the member, together with the batch in progress that the next one has to wait for.
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

/// Removes a batch from the list when it is complete or dropped.
struct Registration {
    latest: Arc<Mutex<HashMap<Group, Latest>>>,
    group: Group,
    gathering: Arc<Gathering>,
}

impl Registration {
    /// Waits for the previous batch, then charges all members that have joined.
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
        // A panic in the charge would otherwise reach every request of the batch.
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
    /// Whether the request still waits and an answer can still arrive in time.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.has_left.load(Ordering::Relaxed) && self.end > Instant::now()
    }
}

/// One request's place in a batch.
pub(crate) struct Membership {
    batch: Batch,
    position: usize,
    end: Instant,
    _leaving: Leaving,
}

/// Marks a member as no longer waiting when it is dropped.
struct Leaving(Arc<AtomicBool>);

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Membership {
    /// Waits for the outcome, but not past the request's deadline.
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
