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
use jiff::civil::Date;
use tokio::time::{Instant, timeout_at};
use tollgate_core::id::PlanId;
use tollgate_core::key::KeyHash;
use tollgate_core::plan::Limits;
use tollgate_core::verdict::Verdict;

use tollgate_dynamo::failure::Failure;

/// What requests have in common that can be charged by one write: nothing that decides one of them could decide another
/// differently, but its cost.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Group {
    pub(super) hash: KeyHash,
    pub(super) plan: PlanId,
    pub(super) key_revision: u64,
    pub(super) plan_revision: u64,
    pub(super) limits: Limits,
    /// The day for which these limits hold.
    pub(super) day: Date,
}

/// A request in a batch.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) cost: NonZeroU32,
    /// When an answer would come too late.
    pub(super) end: Instant,
    /// It no longer waits.
    has_left: Arc<AtomicBool>,
}

/// What becomes of a member.
#[derive(Debug, Clone)]
pub(super) enum Outcome {
    Decided(Box<Verdict>),
    /// What the group has in common has changed, or there was room for others only: decide from the start. `reread` tells
    /// that the key was read again meanwhile.
    Again {
        reread: bool,
    },
    Failed(Failure),
}

/// One for each member, in order of arrival.
pub(super) type Outcomes = Arc<[Outcome]>;

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
pub(super) struct Combiner {
    latest: Arc<Mutex<HashMap<Group, Latest>>>,
}

impl Combiner {
    /// Joins the group's next batch. If there is none yet, it is made: `charge` will be called with all who have joined by
    /// the time that it leaves.
    pub(super) fn join<F>(
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
        let membership = |batch, position| Membership {
            batch,
            position,
            end,
            _leaving: Leaving(has_left),
        };
        let mut latest = lock(&self.latest);
        let under_way = latest.get(&group).and_then(|latest| {
            let batch = latest.batch.upgrade()?;
            Some((batch, Arc::clone(&latest.gathering)))
        });
        let before = match under_way {
            Some((batch, gathering)) => {
                if let Some(members) = &mut *lock(&gathering) {
                    members.push(member);
                    return membership(batch, members.len() - 1);
                }
                Some(batch)
            }
            None => None,
        };
        let gathering = Arc::new(Mutex::new(Some(vec![member])));
        let registration = Registration {
            latest: Arc::clone(&self.latest),
            group: group.clone(),
            gathering: Arc::clone(&gathering),
        };
        let batch = async move {
            if let Some(before) = before {
                before.await;
            }
            let members = lock(&registration.gathering).take().unwrap_or_default();
            let number = members.len();
            // A panic in here would be everybody's.
            let charged = AssertUnwindSafe(async { charge(members).await }).catch_unwind();
            charged.await.unwrap_or_else(|_| {
                let failure =
                    Failure::Indeterminate("the charge of a batch has panicked".to_owned());
                vec![Outcome::Failed(failure); number].into()
            })
        };
        let batch = batch.boxed().shared();
        if let Some(weak) = batch.downgrade() {
            let new = Latest {
                batch: weak,
                gathering,
            };
            latest.insert(group, new);
        }
        membership(batch, 0)
    }
}

/// Takes a batch off the list when it is over, or dropped.
struct Registration {
    latest: Arc<Mutex<HashMap<Group, Latest>>>,
    group: Group,
    gathering: Arc<Gathering>,
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
    pub(super) fn is_waiting(&self) -> bool {
        !self.has_left.load(Ordering::Relaxed) && self.end > Instant::now()
    }
}

/// A request's part in a batch.
pub(super) struct Membership {
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
    pub(super) async fn outcome(self) -> Outcome {
        match timeout_at(self.end, self.batch).await {
            Ok(outcomes) => outcomes[self.position].clone(),
            Err(_) => Outcome::Failed(Failure::OutOfTime),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
