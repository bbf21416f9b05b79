//! One request decided: what is cached, the one write, its further tries.
//!
//! Everything remembered here only says which write to try, or for how long a refusal may be repeated without asking;
//! whether a request is admitted is always for the store to confirm.

use std::collections::{BTreeMap, BTreeSet};
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future;
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;
use tollgate_core::charge::{self, Ask, Refusal, Step};
use tollgate_core::key::{KeyHash, KeyValue};
use tollgate_core::lane::Stamp;
use tollgate_core::limit::Quota;
use tollgate_core::meter::Meter;
use tollgate_core::plan::{Limits, Target};
use tollgate_core::standing::Standing;
use tollgate_core::verdict::{Reason, Verdict};

use crate::cache::{Cache, Dated};
use crate::config::Config;
use crate::connection::Connection;
use crate::failure::Failure;
use crate::record::{ItemKey, KeyRecord, PlanRecord};
use crate::table::{Budget, Table, Written};

mod guesses;
pub mod inspect;
mod instance;
mod memory;
mod policy;

use instance::{Instance, Slot};
use memory::{Known, Seen};

/// A plan this old is read again beside the write; one [`PLAN_HARD_AGE`] old before it.
const PLAN_SOFT_AGE: SignedDuration = SignedDuration::from_secs(5);
/// The longest that an edit of a plan stays unknown here, and so the longest that a refusal may be repeated unasked.
const PLAN_HARD_AGE: SignedDuration = SignedDuration::from_secs(10);
/// The longest that a spent quota or an unknown key is taken for so without asking.
const NEGATIVE_AGE: SignedDuration = SignedDuration::from_secs(1);
/// Under [`OnStoreFailure::Allow`], how long ago a key must have been good.
const ALLOW_AGE: SignedDuration = SignedDuration::from_secs(60);
/// Tries of the write.
const MAX_TRIES: u32 = 4;
/// Turns of the loop in all: re-reading a key or a plan takes one, but is no try of the write.
const MAX_TURNS: u32 = 10;
/// Keys, and unknown values, that an instance keeps in mind.
const CACHED_KEYS: usize = 10_000;
/// Plans that an instance keeps in mind.
const CACHED_PLANS: usize = 1_000;

/// What to do when the store does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnStoreFailure {
    /// Refuse.
    #[default]
    Deny,
    /// Admit, unmetered, keys that were good in the last minute.
    Allow,
}

/// How an engine behaves.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// The time limit of each call to the store.
    pub attempt_timeout: Duration,
    /// The time limit of a whole decision.
    pub total_timeout: Duration,
    /// What to do when the store does not answer.
    pub on_store_failure: OnStoreFailure,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            attempt_timeout: Duration::from_millis(300),
            total_timeout: Duration::from_millis(1500),
            on_store_failure: OnStoreFailure::Deny,
        }
    }
}

/// A request to be decided.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// What it carries as its key.
    pub credential: Option<&'a str>,
    /// Where it goes.
    pub target: &'a Target,
    /// What it charges to every limit.
    pub cost: NonZeroU32,
    /// Tells the time. It is asked again for each try: a try that goes by the time of the first would find buckets that
    /// others have filled since fuller than they are.
    pub clock: &'a (dyn Fn() -> Timestamp + Sync),
    /// When an answer would come too late.
    pub deadline: Option<Instant>,
}

/// Decides requests against one table.
pub struct Engine {
    table: Table,
    settings: Settings,
    instance: Instance,
    keys: Cache<KeyHash, Known>,
    unknown: Cache<KeyHash, Dated<()>>,
    plans: Cache<String, Dated<Option<Arc<PlanRecord>>>>,
}

/// Where a decision stands.
struct Attempt<'a> {
    request: &'a Request<'a>,
    hash: KeyHash,
    now: Timestamp,
    budget: Budget,
    slot: Slot<'a>,
    sequence: u64,
    /// An answer was lost: the write it belonged to, to the meter under this plan, may still be made.
    lost: Option<String>,
    tries: u32,
    /// The key's record was read in this decision.
    fresh: bool,
}

/// The plan that a request is charged under.
struct Charged {
    plan: Arc<PlanRecord>,
    /// On the day that it is charged to.
    limits: Limits,
    /// The quota on the meter's day.
    quota_before: Option<Quota>,
    seen: Seen,
}

impl Engine {
    /// An engine on `table`.
    pub fn new(table: Table, settings: Settings) -> Self {
        let capacity = |entries| NonZeroUsize::new(entries).unwrap_or(NonZeroUsize::MIN);
        Self {
            table,
            settings,
            instance: Instance::new(),
            keys: Cache::new(capacity(CACHED_KEYS)),
            unknown: Cache::new(capacity(CACHED_KEYS)),
            plans: Cache::new(capacity(CACHED_PLANS)),
        }
    }

    /// An engine on the table that `config` names.
    pub fn from_config(config: &Config, connection: Connection) -> Self {
        let table = Table::new(connection, config.table.clone());
        Self::new(table, config.engine)
    }

    /// The table it decides against.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// Decides a request. Never takes longer than the time limit of a decision, and never fails: trouble is a refusal.
    pub async fn decide(&self, request: &Request<'_>) -> Verdict {
        let Some(credential) = request.credential else {
            return Verdict::because(Reason::MissingKey);
        };
        let Ok(value) = KeyValue::parse(credential) else {
            return Verdict::because(Reason::MalformedKey);
        };
        let mut attempt = self.attempt(request, value.hash());
        let verdict = match self.run(&mut attempt).await {
            Ok(verdict) => verdict,
            Err(failure) => self.on_failure(&attempt, &failure),
        };
        if let reason @ (Reason::Contended | Reason::Uncertain) = verdict.reason {
            tracing::warn!(%reason, key_id = verdict.key_id, "a request was refused");
        }
        verdict
    }

    fn attempt<'a>(&'a self, request: &'a Request<'a>, hash: KeyHash) -> Attempt<'a> {
        let end = Instant::now() + self.settings.total_timeout;
        let now = (request.clock)();
        Attempt {
            request,
            hash,
            now,
            budget: Budget {
                attempt: self.settings.attempt_timeout,
                end: request.deadline.map_or(end, |deadline| deadline.min(end)),
            },
            slot: self.instance.slot(),
            sequence: self.instance.sequence(now),
            lost: None,
            tries: 0,
            fresh: false,
        }
    }

    async fn run(&self, attempt: &mut Attempt<'_>) -> Result<Verdict, Failure> {
        for _ in 0..MAX_TURNS {
            let Some(known) = self.known(attempt).await? else {
                return Ok(Verdict::because(Reason::UnknownKey));
            };
            let charged = match self.charged(attempt, &known).await? {
                Ok(charged) => charged,
                Err(Reason::NotInPlan) if attempt.fresh && known.record.value.moving.is_some() => {
                    if !self.await_move(attempt, &known).await? {
                        break;
                    }
                    continue;
                }
                // What a call of management could end at any moment is not repeated from memory.
                Err(reason) if attempt.fresh => {
                    return Ok(about(Verdict::because(reason), &known.record.value));
                }
                Err(Reason::Expired) => {
                    // The value may be another key's by now: the next turn starts from it.
                    self.keys.remove(&attempt.hash);
                    continue;
                }
                Err(reason) => {
                    if matches!(reason, Reason::NotInPlan | Reason::MethodNotAllowed) {
                        // Perhaps a plan was given this stage, or method.
                        for plan in &known.record.value.plans {
                            self.plans.remove(plan);
                        }
                    }
                    self.reread(attempt, &known).await?;
                    continue;
                }
            };
            if let Some(verdict) = self.turn(attempt, &known, &charged).await? {
                return Ok(about(verdict, &known.record.value));
            }
            if attempt.tries >= MAX_TRIES {
                break;
            }
        }
        Ok(Verdict::because(Reason::Contended))
    }

    /// One turn on a known key and plan: a step and its outcome. `None` asks for another turn.
    async fn turn(
        &self,
        attempt: &mut Attempt<'_>,
        known: &Known,
        charged: &Charged,
    ) -> Result<Option<Verdict>, Failure> {
        let plan = charged.plan.id.as_str();
        let under = |verdict: Verdict| {
            Some(Verdict {
                plan_id: Some(plan.to_owned()),
                ..verdict
            })
        };
        if attempt.is_made(plan, &charged.seen.meter.value) {
            // Another request of this process has seen that an earlier try of this decision was made.
            let meter = Meter::clone(&charged.seen.meter.value);
            return Ok(under(self.admitted(attempt, charged, meter)));
        }
        let ask = Ask {
            now: attempt.now,
            cost: attempt.request.cost,
            key_revision: known.record.value.revision,
            plan_revision: charged.plan.revision,
            limits: &charged.limits,
            quota_before: charged.quota_before,
            flushed: charged.seen.flushed,
            history: charged.seen.history,
            // What was just read needs no guess.
            busy: &if attempt.is_first_try() {
                charged.seen.guesses.busy()
            } else {
                BTreeSet::new()
            },
        };
        let step = charge::charge(&charged.seen.meter.value, &ask);
        let step = match step {
            Step::Refuse(refusal) if !attempt.may_refuse(&charged.seen, &refusal) => {
                charge::charge(&doubted(&charged.seen.meter.value), &ask)
            }
            step => step,
        };
        match step {
            Step::Refuse(refusal) => {
                self.refresh_plan(attempt, charged).await;
                Ok(under(refused(attempt, charged, &refusal)))
            }
            Step::KeyChanged => self.reread(attempt, known).await.map(|()| None),
            Step::PlanChanged => self.read_plan(attempt, plan).await.map(|_| None),
            Step::Flush(closed) => {
                let key = known.record.value.id.as_str();
                self.read(|| self.table.flush(key, plan, &closed, &attempt.budget))
                    .await?;
                self.note_flushed(attempt, plan, closed.day);
                Ok(None)
            }
            Step::Recount(period, before) => {
                self.recount(attempt, known, charged, period, before)
                    .await?;
                Ok(None)
            }
            Step::Adopt(adopt) => {
                let key = ItemKey::meter(&known.record.value.id, plan);
                attempt.tries += 1;
                let written = self.table.adopt(&key, adopt, &attempt.budget).await;
                self.settled(attempt, known, plan, written).await
            }
            Step::Settle(charge) => {
                let key = ItemKey::meter(&known.record.value.id, plan);
                attempt.tries += 1;
                let written = self.table.charge(&key, &charge, None, &attempt.budget);
                self.settled(attempt, known, plan, written.await).await
            }
            Step::Charge(charge) => {
                let outcome = self.charge(attempt, known, charged, &charge).await?;
                Ok(outcome.and_then(under))
            }
        }
    }

    /// Tries the one write. Beside it, whatever else is due: an ageing plan is read, a closed day is written out.
    async fn charge(
        &self,
        attempt: &mut Attempt<'_>,
        known: &Known,
        charged: &Charged,
        charge: &charge::Charge,
    ) -> Result<Option<Verdict>, Failure> {
        let (key_id, plan) = (known.record.value.id.as_str(), charged.plan.id.as_str());
        let lanes = &charged.seen.meter.value.lanes;
        let stamp = Stamp::claim(lanes, attempt.slot.lane(), attempt.sequence);
        if attempt
            .lost
            .as_deref()
            .is_some_and(|lost| lost != plan || stamp.is_none())
        {
            // The lost write may still be made, and nothing would keep this one from being made as well.
            return Ok(Some(Verdict::because(Reason::Uncertain)));
        }
        let is_guess = attempt.is_first_try();
        attempt.tries += 1;
        let key = ItemKey::meter(key_id, plan);
        let (written, (), ()) = future::join3(
            self.table
                .charge(&key, charge, stamp.as_ref(), &attempt.budget),
            self.refresh_plan(attempt, charged),
            self.flush_beside(attempt, key_id, charged),
        )
        .await;
        if let (true, Ok(written)) = (is_guess, &written) {
            let seen = &charged.seen.meter.value;
            self.change_seen(attempt, plan, |known| {
                known.guesses.learn(seen, charge, written);
            });
        }
        match written {
            Err(Failure::Lost(what)) => {
                tracing::warn!(key_id, plan, what, "the answer to a charge was lost");
                attempt.lost = Some(plan.to_owned());
                match stamp {
                    None => Ok(Some(Verdict::because(Reason::Uncertain))),
                    Some(_) if attempt.tries < MAX_TRIES => Ok(None),
                    Some(_) => Err(Failure::Lost(what)),
                }
            }
            Ok(Written::Done(meter)) => Ok(Some(self.admitted(attempt, charged, meter))),
            // An earlier try of this very decision was made after all.
            Ok(Written::Refused(Some(meter))) if attempt.is_made(plan, &meter) => {
                Ok(Some(self.admitted(attempt, charged, meter)))
            }
            written => self.settled(attempt, known, plan, written).await,
        }
    }

    /// Takes note of what a write that did not admit has shown.
    async fn settled(
        &self,
        attempt: &mut Attempt<'_>,
        known: &Known,
        plan: &str,
        written: Result<Written, Failure>,
    ) -> Result<Option<Verdict>, Failure> {
        match written {
            Ok(Written::Done(meter) | Written::Refused(Some(meter))) => {
                self.note(attempt, plan, meter);
            }
            // The meter is gone, and so is the link.
            Ok(Written::Refused(None)) => self.reread(attempt, known).await?,
            Err(failure @ (Failure::Busy(_) | Failure::Lost(_))) if attempt.tries < MAX_TRIES => {
                tracing::warn!(%failure, "trying again");
                tokio::time::sleep(Instance::back_off(attempt.tries)).await;
            }
            Err(failure) => return Err(failure),
        }
        Ok(None)
    }

    fn admitted(&self, attempt: &Attempt<'_>, charged: &Charged, meter: Meter) -> Verdict {
        let now = attempt.now;
        let standing = Standing::of(&meter, &charged.limits, None, now);
        self.note(attempt, &charged.plan.id, meter);
        self.keys
            .update(&attempt.hash, |known| known.good_at = Some(now));
        Verdict {
            standing,
            ..Verdict::because(Reason::Ok)
        }
    }

    /// Writes out a closed day that waits. That it failed costs nothing: it goes on waiting.
    async fn flush_beside(&self, attempt: &Attempt<'_>, key_id: &str, charged: &Charged) {
        let Some(closed) = charged.seen.meter.value.closed else {
            return;
        };
        let plan = charged.plan.id.as_str();
        if charged.seen.flushed == Some(closed.day) {
            return;
        }
        match self
            .table
            .flush(key_id, plan, &closed, &attempt.budget)
            .await
        {
            Ok(()) => self.note_flushed(attempt, plan, closed.day),
            Err(failure) => {
                tracing::warn!(%failure, key_id, plan, "could not write out a closed day");
            }
        }
    }
}

impl Attempt<'_> {
    /// Whether all that is known was known before this decision.
    fn is_first_try(&self) -> bool {
        self.tries == 0 && !self.fresh
    }

    /// Whether a meter under `plan` has taken a write of this decision whose answer was lost.
    fn is_made(&self, plan: &str, meter: &Meter) -> bool {
        self.lost.as_deref() == Some(plan)
            && meter.lanes.get(self.slot.lane()) == Some(&self.sequence)
    }

    /// Whether a meter as it was seen is good enough to refuse by. A bucket stays full until its time, a quota can be
    /// raised at any moment; and neither outlives what else may have changed.
    fn may_refuse(&self, seen: &Seen, refusal: &Refusal) -> bool {
        let age = if refusal.reason == Reason::Quota {
            NEGATIVE_AGE
        } else {
            PLAN_HARD_AGE
        };
        seen.meter.is_within(age, self.now)
    }
}

/// The meter without what would refuse: the write that follows from it asks the store.
fn doubted(meter: &Meter) -> Meter {
    Meter {
        buckets: BTreeMap::new(),
        count: 0,
        spent: 0,
        ..meter.clone()
    }
}

fn refused(attempt: &Attempt<'_>, charged: &Charged, refusal: &Refusal) -> Verdict {
    let now = attempt.now;
    let wait = refusal.until.map(|until| until.duration_since(now));
    let seen = &charged.seen;
    Verdict {
        standing: Standing::of(&seen.meter.value, &charged.limits, seen.history, now),
        retry_after: wait.and_then(|wait| Duration::try_from(wait).ok()),
        ..Verdict::because(refusal.reason)
    }
}

fn about(verdict: Verdict, record: &KeyRecord) -> Verdict {
    Verdict {
        key_id: Some(record.id.clone()),
        customer_id: record.customer_id.clone(),
        ..verdict
    }
}
