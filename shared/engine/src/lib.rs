//! One request decided: whose key it carries, which plan it is charged under, and the write that charges it.
//!
//! - `memory`: what is remembered of keys and plans, and how it comes to be known; `seen`: of meters, and their time.
//! - `combine`: requests that are charged together; `charging`: the write, and its further tries.
//! - `instance`: lanes and sequence numbers; `policy`: what is answered if the store gives no answer.
//! - [`inspect`]: what a key has left; [`report`]: decisions, counted.
//!
//! Everything remembered here only says which write to try, or for how long a refusal may be repeated without asking;
//! whether a request is admitted is always for the store to confirm.

use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;
use tollgate_core::charge;
use tollgate_core::id::{KeyId, PlanId};
use tollgate_core::key::{KeyHash, KeyValue};
use tollgate_core::plan::Target;
use tollgate_core::status::LimitStatus;
use tollgate_core::terms::{Reach, Terms};
use tollgate_core::verdict::{Reason, Verdict};

use crate::cache::{Cache, Cached};
use crate::config::Config;
use tollgate_dynamo::connection::Connection;
use tollgate_dynamo::failure::Failure;
use tollgate_dynamo::item::key::KeyRecord;
use tollgate_dynamo::item::plan::PlanRecord;
use tollgate_dynamo::table::{Budget, Table};

mod cache;
mod charging;
mod combine;
pub mod config;
pub mod inspect;
mod instance;
mod memory;
mod policy;
pub mod report;
mod seen;
mod weight;

use charging::Charging;
use combine::{Combiner, Outcome};
use instance::Instance;
use memory::Account;
use seen::CachedMeter;

/// A plan this old is read again beside the write; one [`PLAN_HARD_AGE`] old before it.
const PLAN_SOFT_AGE: SignedDuration = SignedDuration::from_secs(5);
/// The longest that an edit of a plan stays unknown here, and so the longest that a refusal is repeated without asking.
const PLAN_HARD_AGE: SignedDuration = SignedDuration::from_secs(10);
/// The longest that a spent quota, a limit that admits nothing or an unknown key is taken for so without asking.
const NEGATIVE_AGE: SignedDuration = SignedDuration::from_secs(1);
/// Under [`OnStoreFailure::Allow`], how long ago a key must have been good.
const ALLOW_AGE: SignedDuration = SignedDuration::from_secs(60);
/// Tries of the write.
const MAX_TRIES: u32 = 4;
/// Turns of a loop in all: re-reading a key or a plan takes one, but is no try of the write.
const MAX_TURNS: u32 = 10;
/// A key's record this old is read again beside the write; one [`RECORD_HARD_AGE`] old before it. Each write confirms it, and
/// needs no more; this is for records that something else than a call of management has changed.
const RECORD_SOFT_AGE: SignedDuration = SignedDuration::from_secs(60);
const RECORD_HARD_AGE: SignedDuration = SignedDuration::from_mins(5);
/// Keys, and unknown values, that an instance keeps in mind.
const CACHED_KEYS: usize = 10_000;
/// Plans that an instance keeps in mind.
const CACHED_PLANS: usize = 1_000;
/// What keys may take beyond a few hundred bytes each, and plans likewise: with the smallest function there are 128 MB for all.
const CACHED_BYTES: usize = 16 << 20;

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
    /// Whether verdicts say what else the key may call.
    pub tells_reach: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            attempt_timeout: Duration::from_millis(300),
            total_timeout: Duration::from_millis(1500),
            on_store_failure: OnStoreFailure::Deny,
            tells_reach: false,
        }
    }
}

/// Tells the time.
pub type TimeSource = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// A request to be decided.
#[derive(Clone)]
pub struct Request<'a> {
    /// What it carries as its key.
    pub credential: Option<&'a str>,
    /// Where it goes.
    pub target: &'a Target,
    /// What it charges to every limit.
    pub cost: NonZeroU32,
    /// Tells the time. It is asked again for each try: a try that goes by the time of the first would find buckets that
    /// others have filled since fuller than they are.
    pub clock: TimeSource,
    /// When an answer would come too late.
    pub deadline: Option<Instant>,
}

/// Decides requests against one table. Clones are the same engine.
#[derive(Clone)]
pub struct Engine {
    decider: Arc<Decider>,
}

/// What decides, and what it remembers.
struct Decider {
    table: Table,
    settings: Settings,
    instance: Arc<Instance>,
    keys: Cache<KeyHash, Arc<Account>>,
    unknown: Cache<KeyHash, Cached<()>>,
    plans: Cache<PlanId, Cached<Option<Arc<PlanRecord>>>>,
    combiner: Combiner,
}

/// Whose key is looked at, when, and for how long.
#[derive(Debug, Clone, Copy)]
struct Scope {
    hash: KeyHash,
    now: Timestamp,
    budget: Budget,
}

/// Where a decision stands.
struct Attempt<'a> {
    request: &'a Request<'a>,
    scope: Scope,
    /// When it began.
    began: Timestamp,
    /// The key's record was read in this decision.
    fresh: bool,
    about: About,
}

/// Whom a verdict is about, as far as is known.
#[derive(Debug, Clone, Default)]
struct About {
    key: Option<Arc<KeyRecord>>,
    plan: Option<Arc<PlanRecord>>,
    reach: Option<Reach>,
    /// What is left beside that, where the verdict itself does not say.
    standing: Option<LimitStatus>,
}

impl About {
    fn tell(&self, verdict: Verdict) -> Verdict {
        Verdict {
            key_id: self.key.as_ref().map(|key| key.id.clone()),
            customer_id: self.key.as_ref().and_then(|key| key.customer_id.clone()),
            plan_id: self.plan.as_ref().map(|plan| plan.id.clone()),
            reach: self.reach.clone(),
            standing: match &self.standing {
                Some(standing) if verdict.standing == LimitStatus::default() => standing.clone(),
                _ => verdict.standing,
            },
            ..verdict
        }
    }
}

impl Engine {
    /// An engine on `table`.
    pub fn new(table: Table, settings: Settings) -> Self {
        let capacity = |entries| NonZeroUsize::new(entries).unwrap_or(NonZeroUsize::MIN);
        let decider = Decider {
            table,
            settings,
            instance: Arc::new(Instance::new()),
            keys: Cache::new(capacity(CACHED_KEYS), CACHED_BYTES),
            unknown: Cache::new(capacity(CACHED_KEYS), CACHED_BYTES),
            plans: Cache::new(capacity(CACHED_PLANS), CACHED_BYTES),
            combiner: Combiner::default(),
        };
        Self {
            decider: Arc::new(decider),
        }
    }

    /// An engine on the table that `config` names.
    pub fn from_config(config: &Config, connection: Connection) -> Self {
        let table = Table::new(connection, config.table.clone());
        Self::new(table, config.engine)
    }

    /// The table it decides against.
    pub fn table(&self) -> &Table {
        &self.decider.table
    }

    /// The clock of its connection to the store.
    pub fn time(&self) -> TimeSource {
        let clock = Arc::clone(self.table().connection().clock());
        Arc::new(move || clock.now())
    }

    /// Decides a request, and counts the decision. Never takes longer than the time limit of a decision, and never fails:
    /// trouble is a refusal.
    pub async fn decide(&self, request: &Request<'_>) -> Verdict {
        let verdict = self.verdict(request).await;
        report::count(&verdict);
        verdict
    }

    async fn verdict(&self, request: &Request<'_>) -> Verdict {
        let Some(credential) = request.credential else {
            return Verdict::because(Reason::MissingKey);
        };
        let Ok(value) = KeyValue::parse(credential) else {
            return Verdict::because(Reason::MalformedKey);
        };
        let mut attempt = self.decider.attempt(request, value.hash());
        let verdict = match self.decider.run(&mut attempt).await {
            Ok(verdict) => verdict,
            Err(failure) => self.decider.on_failure(&attempt, &failure),
        };
        let verdict = attempt.about.tell(verdict);
        if let reason @ (Reason::Contended | Reason::Uncertain) = verdict.reason {
            let key_id = verdict.key_id.as_ref().map(KeyId::as_str);
            let plan_id = verdict.plan_id.as_ref().map(PlanId::as_str);
            tracing::warn!(%reason, key_id, plan_id, "a request was refused");
        }
        verdict
    }
}

impl Decider {
    fn attempt<'a>(&self, request: &'a Request<'a>, hash: KeyHash) -> Attempt<'a> {
        let end = Instant::now() + self.settings.total_timeout;
        let budget = Budget {
            attempt: self.settings.attempt_timeout,
            end: request.deadline.map_or(end, |deadline| deadline.min(end)),
        };
        let now = (request.clock)();
        Attempt {
            request,
            scope: Scope { hash, now, budget },
            began: now,
            fresh: false,
            about: About::default(),
        }
    }

    async fn run(self: &Arc<Self>, attempt: &mut Attempt<'_>) -> Result<Verdict, Failure> {
        for _ in 0..MAX_TURNS {
            attempt.about = About::default();
            let Some(known) = self.known(attempt).await? else {
                return Ok(Verdict::because(Reason::UnknownKey));
            };
            attempt.about.key = Some(Arc::clone(&known.record.value));
            let charging = match self.charging(attempt, &known).await? {
                Ok(charging) => charging,
                Err(Reason::NotInPlan) if attempt.fresh && known.record.value.moving.is_some() => {
                    if !self.await_move(attempt, &known).await? {
                        break;
                    }
                    continue;
                }
                // What a call of management could end at any moment is not repeated from memory.
                Err(reason) if attempt.fresh => return Ok(Verdict::because(reason)),
                Err(Reason::Expired) => {
                    // The value may be another key's by now: the next turn starts from it.
                    self.keys.remove(&attempt.scope.hash);
                    continue;
                }
                Err(reason) => {
                    if reason.is_by_plan() {
                        // Perhaps a plan was given this stage, or method.
                        for plan in &known.record.value.plans {
                            self.plans.remove(plan);
                        }
                    }
                    attempt.fresh = true;
                    self.reread(attempt.scope, &known.record.value).await?;
                    continue;
                }
            };
            drop(known);
            let (cost, end) = (attempt.request.cost, attempt.scope.budget.end);
            let group = charging.group();
            let charge = |members| charging.run(members);
            match self.combiner.join(group, cost, end, charge).outcome().await {
                Outcome::Decided(verdict) => return Ok(*verdict),
                Outcome::Again { reread } => attempt.fresh |= reread,
                Outcome::Failed(failure) => return Err(failure),
            }
        }
        Ok(Verdict::because(Reason::Contended))
    }

    /// What a key has left of its plan's rate and quota.
    fn standing(&self, seen: &CachedMeter, terms: &Terms<'_>, now: Timestamp) -> LimitStatus {
        let meter = &seen.meter.value;
        let whole = terms.whole(charge::today(meter, now));
        let ahead = seen.ahead(now, self.uncertainty());
        LimitStatus::of(meter, &whole, seen.history, now, ahead)
    }

    /// The charge of a request, under the plan it is charged under: of the key's plans that open its stage, the one linked
    /// first. Otherwise why there is none. From here on it is the time that it is then.
    async fn charging(
        self: &Arc<Self>,
        attempt: &mut Attempt<'_>,
        known: &Account,
    ) -> Result<Result<Charging, Reason>, Failure> {
        let record = &known.record.value;
        attempt.scope.now = (attempt.request.clock)();
        if !record.enabled {
            return Ok(Err(Reason::Disabled));
        }
        if record.is_expired(&attempt.scope.hash, attempt.scope.now) {
            return Ok(Err(Reason::Expired));
        }
        let plans = self.plans_of(attempt.scope, record).await;
        // Reading may have taken a while.
        attempt.scope.now = (attempt.request.clock)();
        let target = attempt.request.target;
        let mut unread = None;
        for plan in plans {
            let plan = match plan {
                Ok(Some(plan)) => plan,
                Ok(None) => continue,
                // Another may open the stage.
                Err(failure) => {
                    unread.get_or_insert(failure);
                    continue;
                }
            };
            let damage = known.damaged.get(&plan.id);
            let seen = known.meters.get(&plan.id);
            let seen = seen.filter(|seen| !seen.meter.value.retired);
            if seen.is_none() && damage.is_none() {
                continue;
            }
            let terms = record.terms(&plan);
            if let Some(seen) = seen.filter(|_| self.settings.tells_reach) {
                attempt.about.reach = plan.limits.stage(target).map(|stage| terms.reach(stage));
                attempt.about.standing = Some(self.standing(seen, &terms, attempt.scope.now));
            }
            let stage = match terms.opens(target) {
                Ok(stage) => stage,
                Err(Reason::NotInPlan) => continue,
                Err(reason) => {
                    attempt.about.plan = Some(plan);
                    return Ok(Err(reason));
                }
            };
            let Some(seen) = seen else {
                // It is looked at again by the next request.
                self.keys.remove(&attempt.scope.hash);
                attempt.about.plan = Some(plan);
                let damage = damage.cloned().map(Failure::Corrupt);
                return damage.map_or(Ok(Err(Reason::NotInPlan)), Err);
            };
            let day = charge::today(&seen.meter.value, attempt.scope.now);
            let limits = terms.limits(stage, target, day);
            attempt.about.plan = Some(Arc::clone(&plan));
            return Ok(Ok(Charging::new(self, attempt, record, plan, limits, day)));
        }
        unread.map_or(Ok(Err(Reason::NotInPlan)), Err)
    }
}
