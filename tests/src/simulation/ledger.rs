//! What was charged, as the store has seen it, and what must hold of it.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tollgate_core::bucket::Bucket;
use tollgate_core::calendar::day_of;
use tollgate_core::limit::Throttle;
use tollgate_core::plan::{PLAN_BUCKET, Plan};
use tollgate_core::sharing::hold_of;
use tollgate_core::verdict::{Reason, Verdict};
use tollgate_store::engine::TimeSource;

/// A decision, as far as the network sees it.
pub(super) struct Trace {
    pub(super) key: String,
    pub(super) cost: u32,
    /// The key's value that it came with.
    value: String,
    /// Its instance, and whether that decides one request at a time.
    pub(super) instance: Instance,
    /// When it came, by the true time.
    pub(super) came: Timestamp,
    state: Mutex<State>,
}

/// Who decides.
#[derive(Clone)]
pub(super) struct Instance {
    pub(super) number: usize,
    /// The clock that it goes by.
    pub(super) clock: TimeSource,
    /// Whether it decides one request at a time. Otherwise several may be charged by one write, which is then one of them's.
    pub(super) is_alone: bool,
}

#[derive(Debug, Clone, Default)]
struct State {
    calls: usize,
    /// Of these, tries to charge.
    charges: usize,
    /// Whether an answer to a call of it will not come, or not in time.
    lost: bool,
    /// What it was charged, and how often.
    charged: Vec<u64>,
    /// What became of it, and when that was by its instance's clock and by the true time.
    verdict: Option<(Verdict, Timestamp, Timestamp)>,
}

impl Trace {
    pub(super) fn new(
        key: &str,
        cost: u32,
        value: &str,
        instance: &Instance,
        came: Timestamp,
    ) -> Self {
        Self {
            key: key.to_owned(),
            cost,
            value: value.to_owned(),
            instance: instance.clone(),
            came,
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("not poisoned")
    }

    /// The time by its instance's clock.
    pub(super) fn now(&self) -> Timestamp {
        (self.instance.clock)()
    }

    /// How often it was tried to charge it.
    pub(super) fn tries(&self) -> usize {
        self.state().charges
    }

    /// It was frozen, and may have missed an answer.
    pub(super) fn froze(&self) {
        self.state().lost = true;
    }

    pub(super) fn called(&self, operation: &str, lost: bool) {
        let mut state = self.state();
        state.calls += 1;
        state.charges += usize::from(operation == "UpdateItem");
        state.lost |= lost;
    }
}

/// When a call was sent: by its instance's clock, and by the true time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sent {
    pub(super) reading: Timestamp,
    pub(super) sent: Timestamp,
}

/// What management has said of a key, or of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    Good,
    /// A call about it is under way.
    Unsure,
    /// The call that revoked it has answered.
    Revoked,
}

/// A charge that was made.
struct Charge {
    key: String,
    plan: String,
    cost: u64,
    /// The instance's time when it sent it, and the true time.
    reading: Timestamp,
    sent: Timestamp,
    revision: u64,
    period: String,
    buckets: Vec<String>,
    /// Buckets that were idle by the instance's time, and were cleared away.
    pruned: Vec<String>,
}

/// What a bucket holds.
struct Owed {
    /// When all of it is paid for, nanoseconds since the epoch.
    paid: i128,
    /// The time of the last charge to it.
    at: i128,
    revision: u64,
    bucket: Bucket,
}

/// Everything that was charged and decided.
#[derive(Default)]
pub(super) struct Ledger {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    charges: Vec<Charge>,
    standing: HashMap<String, Standing>,
    /// The limits of a plan by its revision.
    limits: HashMap<(String, u64), Plan>,
    traces: Vec<Arc<Trace>>,
    /// How far clocks were ahead of the true time at least and at most when they mattered, in nanoseconds.
    ahead: Option<(i128, i128)>,
    /// When management last did something about a key or a plan.
    disturbed: HashMap<String, Timestamp>,
    broken: Vec<String>,
}

/// What a run came to.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Decisions made.
    pub decisions: usize,
    /// Of these, admitted ones.
    pub admitted: usize,
    /// Calls made for them.
    pub calls: usize,
    /// Decisions by reason.
    pub reasons: BTreeMap<&'static str, usize>,
    /// Charges that were made for requests which were refused: their answers were lost.
    pub charged_in_vain: usize,
    /// Of everything decided, in order: the same for the same run only.
    pub digest: u64,
}

impl Ledger {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("not poisoned")
    }

    pub(super) fn stands(&self, key: &str, standing: Standing) {
        self.inner().standing.insert(key.to_owned(), standing);
    }

    /// A call was sent by a clock that is ahead of the true time by this, nanoseconds.
    pub(super) fn sent(&self, ahead: i128) {
        let mut inner = self.inner();
        let (least, most) = inner.ahead.unwrap_or((ahead, ahead));
        inner.ahead = Some((least.min(ahead), most.max(ahead)));
    }

    /// Management does something about a key or a plan.
    pub(super) fn disturbed(&self, what: &str, now: Timestamp) {
        self.inner().disturbed.insert(what.to_owned(), now);
    }

    pub(super) fn limits(&self, plan: &str, revision: u64, limits: &Plan) {
        let key = (plan.to_owned(), revision);
        self.inner().limits.insert(key, limits.clone());
    }

    /// A meter was written.
    pub(super) fn written(
        &self,
        key: &str,
        plan: &str,
        before: &Value,
        after: &Value,
        now: Timestamp,
        decision: Option<(&Trace, Sent)>,
    ) {
        let same_day = before["day"] == after["day"];
        let counted = number(&after["count"])
            - if same_day {
                number(&before["count"])
            } else {
                0
            };
        let Ok(cost @ 1..) = u64::try_from(counted) else {
            return;
        };
        let mut inner = self.inner();
        let Some((decision, Sent { reading, sent })) = decision else {
            // A move or a link may carry counts over, but then it is no request's.
            return;
        };
        for revoked in [key, decision.value.as_str()] {
            if inner.standing.get(revoked) == Some(&Standing::Revoked) {
                inner
                    .broken
                    .push(format!("{now}: {revoked} is revoked, and was charged"));
            }
        }
        let levels = |item: &Value| item["b"]["M"].as_object().cloned().unwrap_or_default();
        let (was, is) = (levels(before), levels(after));
        let filled = is.iter().filter(|(id, level)| was.get(*id) != Some(level));
        inner.charges.push(Charge {
            key: key.to_owned(),
            plan: plan.to_owned(),
            cost,
            reading,
            sent,
            revision: number(&after["pr"]).try_into().unwrap_or(0),
            period: after["period"]["S"].as_str().unwrap_or_default().to_owned(),
            buckets: filled.map(|(id, _)| id.clone()).collect(),
            pruned: was
                .keys()
                .filter(|id| !is.contains_key(*id))
                .cloned()
                .collect(),
        });
        decision.state().charged.push(cost);
    }

    pub(super) fn decided(&self, trace: Arc<Trace>, verdict: Verdict, now: Timestamp) {
        trace.state().verdict = Some((verdict, trace.now(), now));
        self.inner().traces.push(trace);
    }

    /// What a key was charged under a plan.
    pub(super) fn charged(&self, key: &str, plan: &str) -> u64 {
        let inner = self.inner();
        let charges = inner.charges.iter();
        let of_meter = charges.filter(|charge| charge.key == key && charge.plan == plan);
        of_meter.map(|charge| charge.cost).sum()
    }

    /// When charges were sent, nanoseconds since the epoch, in order.
    pub(super) fn sent_charges(&self) -> Vec<i128> {
        let inner = self.inner();
        let mut sent: Vec<_> = inner
            .charges
            .iter()
            .map(|charge| charge.sent.as_nanosecond())
            .collect();
        sent.sort_unstable();
        sent
    }

    pub(super) fn breaks(&self, what: String) {
        self.inner().broken.push(what);
    }

    /// Checks what can be checked when nothing is under way any more. `is_calm` tells that nothing went wrong on the way to the
    /// store, and that all clocks were right: then everything that has room must have been admitted.
    pub(super) fn close(&self, is_calm: bool) -> Result<Summary, Vec<String>> {
        let mut inner = self.inner();
        let mut broken = std::mem::take(&mut inner.broken);
        let (summary, charges) = inner.sum_up();
        broken.extend(charges);
        broken.extend(inner.over_quota());
        broken.extend(inner.over_rate());
        if is_calm {
            broken.extend(inner.refused_without_cause());
        }
        if broken.is_empty() {
            Ok(summary)
        } else {
            Err(broken)
        }
    }
}

/// What the requests with one key came to on an instance that decides several at once.
#[derive(Debug, Default)]
struct Together {
    admitted: u64,
    refused: u64,
    charged: u64,
    lost: bool,
}

impl Inner {
    /// What was decided, and charges that are not those of what was admitted.
    fn sum_up(&self) -> (Summary, Vec<String>) {
        let mut summary = Summary::default();
        let mut broken = Vec::new();
        let mut digest = DefaultHasher::new();
        let mut together: BTreeMap<_, Together> = BTreeMap::new();
        for trace in &self.traces {
            let state = trace.state();
            let (verdict, reading, _) = state.verdict.as_ref().expect("it is decided");
            let reason = verdict.reason;
            summary.decisions += 1;
            summary.admitted += usize::from(verdict.is_allowed());
            summary.calls += state.calls;
            *summary.reasons.entry(reason.as_str()).or_default() += 1;
            (reason.as_str(), reading, state.calls).hash(&mut digest);
            // Only a request with no answer may have been charged and refused, and once.
            let may_be_lost = state.lost || reason == Reason::StoreUnavailable;
            let cost = u64::from(trace.cost);
            if !trace.instance.is_alone {
                let of_key = (trace.instance.number, &trace.key);
                let sum = together.entry(of_key).or_default();
                sum.charged += state.charged.iter().sum::<u64>();
                sum.lost |= may_be_lost;
                if verdict.is_allowed() {
                    sum.admitted += cost;
                } else {
                    sum.refused += cost;
                }
                continue;
            }
            let is_right = if verdict.is_allowed() {
                state.charged == [cost]
            } else {
                summary.charged_in_vain += state.charged.len();
                state.charged.is_empty() || may_be_lost && state.charged == [cost]
            };
            if !is_right {
                broken.push(format!("a request of cost {cost}: {state:?}"));
            }
        }
        for ((instance, key), sum) in together {
            let in_vain = if sum.lost { sum.refused } else { 0 };
            if !(sum.admitted..=sum.admitted + in_vain).contains(&sum.charged) {
                broken.push(format!("key {key} on instance {instance}: {sum:?}"));
            }
        }
        summary.digest = digest.finish();
        (summary, broken)
    }

    /// Periods in which more was charged than the largest quota that was in force.
    fn over_quota(&self) -> Vec<String> {
        let mut spent: BTreeMap<_, (u64, u64)> = BTreeMap::new();
        for charge in &self.charges {
            let Some(quota) = self.limits_of(charge).and_then(|limits| limits.quota) else {
                continue;
            };
            let meter = (&charge.key, &charge.plan, &charge.period);
            let (spent, limit) = spent.entry(meter).or_default();
            *spent += charge.cost;
            *limit = (*limit).max(quota.limit());
        }
        let over = spent
            .into_iter()
            .filter(|(_, (spent, limit))| spent > limit);
        over.map(|(meter, (spent, limit))| {
            format!("{meter:?}: {spent} charged of a quota of {limit}")
        })
        .collect()
    }

    /// Buckets that held more than they may. In the order of the store, and by the instances' own times, it has to be exact,
    /// but for how far their clocks were apart.
    fn over_rate(&self) -> Vec<String> {
        let apart = self.apart();
        let mut levels: HashMap<_, Owed> = HashMap::new();
        let mut broken = Vec::new();
        for charge in &self.charges {
            let meter = (&charge.key, &charge.plan);
            for id in &charge.pruned {
                levels.remove(&(meter, id));
            }
            for id in &charge.buckets {
                let Some(bucket) = self.bucket(&charge.plan, charge.revision, id) else {
                    broken.push(format!("nothing limits bucket {id} of {meter:?}"));
                    continue;
                };
                let now = charge.reading.as_nanosecond();
                let before = levels.get(&(meter, id));
                let paid = before.map_or(now, |owed| self.carried(owed, charge, id, bucket));
                let cost = u32::try_from(charge.cost).unwrap_or(u32::MAX);
                let paid = paid.max(now) + bucket.increment(cost);
                if paid > now + bucket.increment(bucket.burst()) + apart {
                    broken.push(format!(
                        "{}: bucket {id} of {meter:?} holds more than {bucket:?}",
                        charge.reading
                    ));
                }
                let owed = Owed {
                    paid,
                    at: now,
                    revision: charge.revision,
                    bucket,
                };
                levels.insert((meter, id), owed);
            }
        }
        broken
    }

    /// Requests that were refused although every limit had room.
    fn refused_without_cause(&self) -> Vec<String> {
        let timelines = Timelines::of(self);
        let refused = self.traces.iter().filter_map(|trace| {
            let (verdict, _, at) = trace.state().verdict.clone()?;
            let plan = verdict.plan_id.clone()?;
            (!verdict.is_allowed()).then_some((trace, verdict, at, plan))
        });
        refused
            .filter(|(trace, verdict, at, plan)| {
                let is_quiet =
                    self.is_quiet(&trace.key, trace.came) && self.is_quiet(plan, trace.came);
                is_quiet && !timelines.explain(self, trace, verdict, *at)
            })
            .map(|(trace, verdict, at, _)| {
                format!(
                    "{at}: refused without cause: {} of cost {}: {verdict:?}",
                    trace.key, trace.cost
                )
            })
            .collect()
    }

    /// Whether management has left a key or a plan alone for so long that everybody knows what it did, and all is paid for that
    /// was owed by other limits.
    fn is_quiet(&self, what: &str, now: Timestamp) -> bool {
        const LONGEST_DEBT: SignedDuration = SignedDuration::from_secs(60);
        let last = self.disturbed.get(what);
        last.is_none_or(|last| now.duration_since(*last) > LONGEST_DEBT)
    }

    /// When what was owed before a charge is paid for, by the limits that the charge went by.
    ///
    /// An edit keeps the requests that are owed. When they were turned to the new pace is not seen: it is taken for as early
    /// as favours the engine, and by the clock that does.
    fn carried(&self, owed: &Owed, charge: &Charge, id: &str, bucket: Bucket) -> i128 {
        if owed.revision == charge.revision {
            return owed.paid;
        }
        let now = charge.reading.as_nanosecond();
        let revisions = owed.revision..=charge.revision;
        let between = revisions.map(|revision| self.bucket(&charge.plan, revision, id));
        let Some(between) = between.collect::<Option<Vec<_>>>() else {
            // Without a limit for a while nothing was owed.
            return now;
        };
        let fastest = between.iter().map(Bucket::interval).min().unwrap_or(1);
        let smallest = between.iter().map(Bucket::burst).min().unwrap_or(0);
        let elapsed = (now - owed.at).max(0) + self.apart();
        let requests = (owed.paid - owed.at) / owed.bucket.interval() - elapsed / fastest - 1;
        now + requests.clamp(0, i128::from(smallest)) * bucket.interval()
    }

    fn bucket(&self, plan: &str, revision: u64, id: &str) -> Option<Bucket> {
        let limits = self.limits.get(&(plan.to_owned(), revision))?;
        // There is one throttled method at most.
        let mut methods = limits
            .stages
            .iter()
            .flat_map(|stage| stage.throttle.values());
        let throttle = if id == PLAN_BUCKET {
            limits.throttle
        } else {
            methods.next().copied()
        };
        throttle?.bucket()
    }

    /// How far apart clocks were, nanoseconds.
    fn apart(&self) -> i128 {
        self.ahead.map_or(0, |(least, most)| most - least)
    }

    fn limits_of(&self, charge: &Charge) -> Option<&Plan> {
        self.limits.get(&(charge.plan.clone(), charge.revision))
    }
}

fn number(value: &Value) -> i128 {
    value["N"]
        .as_str()
        .and_then(|number| number.parse().ok())
        .unwrap_or(0)
}

/// A charge as a limit sees it: when it was sent, and how much it was.
type Timeline = Vec<(i128, u32)>;

/// The charges of each bucket, in the order in which they were sent.
struct Timelines<'a> {
    buckets: HashMap<(&'a str, &'a str, &'a str), Timeline>,
}

impl<'a> Timelines<'a> {
    fn of(inner: &'a Inner) -> Self {
        let mut buckets: HashMap<_, Timeline> = HashMap::new();
        for charge in &inner.charges {
            for id in &charge.buckets {
                let bucket = (charge.key.as_str(), charge.plan.as_str(), id.as_str());
                let cost = u32::try_from(charge.cost).unwrap_or(u32::MAX);
                let timeline = buckets.entry(bucket).or_default();
                timeline.push((charge.reading.as_nanosecond(), cost));
            }
        }
        for timeline in buckets.values_mut() {
            timeline.sort_unstable();
        }
        Self { buckets }
    }

    /// Whether a refusal had a cause that is seen in what was charged.
    fn explain(&self, inner: &Inner, trace: &Trace, verdict: &Verdict, at: Timestamp) -> bool {
        let plan = verdict.plan_id.as_deref().unwrap_or_default();
        let revisions = inner.limits.iter().filter(|((id, _), _)| id == plan);
        let Some((_, limits)) = revisions.max_by_key(|((_, revision), _)| *revision) else {
            return false;
        };
        match verdict.reason {
            Reason::Rate | Reason::MethodRate | Reason::CostExceedsBurst => {
                let is_full = |(id, throttle): (&str, &Throttle)| {
                    let bucket = throttle.bucket();
                    let known = (trace.key.as_str(), plan, id);
                    let timeline = self.buckets.get(&known).map(Vec::as_slice);
                    bucket.is_some_and(|bucket| {
                        is_full(
                            timeline.unwrap_or_default().iter().copied(),
                            &bucket,
                            trace.cost,
                            at,
                        )
                    })
                };
                let of_plan = limits
                    .throttle
                    .iter()
                    .map(|throttle| (PLAN_BUCKET, throttle));
                let stages = limits.stages.iter().flat_map(|stage| &stage.throttle);
                let ids = self.buckets.keys().map(|(_, _, id)| *id);
                let methods: Vec<_> = ids.filter(|id| *id != PLAN_BUCKET).collect();
                let of_methods =
                    stages.flat_map(|(_, throttle)| methods.iter().map(move |id| (*id, throttle)));
                of_plan.chain(of_methods).any(is_full)
            }
            Reason::Quota => limits.quota.is_some_and(|quota| {
                let period = quota.period_of(day_of(at)).to_string();
                let charges = inner.charges.iter().filter(|charge| {
                    charge.key == trace.key && charge.plan == plan && charge.period == period
                });
                let spent: u64 = charges.map(|charge| charge.cost).sum();
                spent + u64::from(trace.cost) > quota.limit()
            }),
            // What happens to keys and plans is another check's.
            Reason::Disabled | Reason::NotInPlan | Reason::UnknownKey | Reason::Expired => true,
            _ => false,
        }
    }
}

/// The longest hold of a write that had to be tried again, nanoseconds: twice what the tries before took, over this network.
const LONGEST_RETRIED_HOLD: i128 = 40_000_000;

/// Whether a bucket has no room for a request, other than what holds may take of the burst.
pub(super) fn is_full(
    timeline: impl IntoIterator<Item = (i128, u32)>,
    bucket: &Bucket,
    cost: u32,
    at: Timestamp,
) -> bool {
    let at = at.as_nanosecond();
    let before = timeline.into_iter().take_while(|(sent, _)| *sent <= at);
    let paid = before.fold(i128::MIN, |paid, (sent, cost)| {
        paid.max(sent) + bucket.increment(cost)
    });
    let whole = bucket.increment(bucket.burst());
    let hold = hold_of(bucket).max(LONGEST_RETRIED_HOLD.min(whole / 2));
    paid.max(at) + bucket.increment(cost) > at + whole - hold - bucket.interval()
}
