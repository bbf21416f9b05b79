//! What was charged, as the store has seen it, and what must hold of it.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tollgate_core::bucket::Bucket;
use tollgate_core::plan::{PLAN_BUCKET, Plan};
use tollgate_core::verdict::{Reason, Verdict};

/// A decision, as far as the network sees it.
pub(super) struct Trace {
    cost: u32,
    /// The key's value that it came with.
    value: String,
    state: Mutex<State>,
}

#[derive(Debug, Clone)]
struct State {
    /// The last time that was asked of the instance's clock: the time that the next call goes by.
    reading: Timestamp,
    calls: usize,
    /// Whether an answer to a call of it will not come, or not in time.
    lost: bool,
    /// What it was charged, and how often.
    charged: Vec<u64>,
    verdict: Option<Verdict>,
}

impl Trace {
    pub(super) fn new(cost: u32, value: String, now: Timestamp) -> Self {
        let state = State {
            reading: now,
            calls: 0,
            lost: false,
            charged: Vec::new(),
            verdict: None,
        };
        Self {
            cost,
            value,
            state: Mutex::new(state),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("not poisoned")
    }

    /// The instance's clock was asked.
    pub(super) fn read(&self, now: Timestamp) {
        self.state().reading = now;
    }

    pub(super) fn reading(&self) -> Timestamp {
        self.state().reading
    }

    /// It was frozen, and may have missed an answer.
    pub(super) fn froze(&self) {
        self.state().lost = true;
    }

    pub(super) fn called(&self, lost: bool) {
        let mut state = self.state();
        state.calls += 1;
        state.lost |= lost;
    }
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
    /// The instance's time when it sent it.
    reading: Timestamp,
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
    /// How far apart clocks are at most, in nanoseconds.
    apart: i128,
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

    /// There is a clock that is off by this.
    pub(super) fn clock_is_off(&self, by: SignedDuration) {
        let mut inner = self.inner();
        inner.apart = inner.apart.max(by.as_nanos().abs() * 2);
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
        decision: Option<(&Trace, Timestamp)>,
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
        let Some((decision, reading)) = decision else {
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

    pub(super) fn decided(&self, trace: Arc<Trace>, verdict: Verdict) {
        trace.state().verdict = Some(verdict);
        self.inner().traces.push(trace);
    }

    /// What a key was charged under a plan.
    pub(super) fn charged(&self, key: &str, plan: &str) -> u64 {
        let inner = self.inner();
        let charges = inner.charges.iter();
        let of_meter = charges.filter(|charge| charge.key == key && charge.plan == plan);
        of_meter.map(|charge| charge.cost).sum()
    }

    pub(super) fn breaks(&self, what: String) {
        self.inner().broken.push(what);
    }

    /// Checks what can be checked when nothing is under way any more.
    pub(super) fn close(&self) -> Result<Summary, Vec<String>> {
        let mut inner = self.inner();
        let mut broken = std::mem::take(&mut inner.broken);
        let mut summary = Summary::default();
        let mut digest = DefaultHasher::new();
        for trace in &inner.traces {
            let state = trace.state();
            let verdict = state.verdict.as_ref().expect("it is decided");
            summary.decisions += 1;
            summary.calls += state.calls;
            *summary.reasons.entry(verdict.reason.as_str()).or_default() += 1;
            (verdict.reason.as_str(), state.reading, state.calls).hash(&mut digest);
            let is_right = if verdict.is_allowed() {
                summary.admitted += 1;
                state.charged == [u64::from(trace.cost)]
            } else {
                summary.charged_in_vain += state.charged.len();
                // Only a request with no answer may have been charged and refused, and once.
                let in_vain = state.lost || verdict.reason == Reason::StoreUnavailable;
                state.charged.is_empty() || in_vain && state.charged == [u64::from(trace.cost)]
            };
            if !is_right {
                broken.push(format!("a request of cost {}: {state:?}", trace.cost));
            }
        }
        summary.digest = digest.finish();
        broken.extend(inner.over_quota());
        broken.extend(inner.over_rate());
        if broken.is_empty() {
            Ok(summary)
        } else {
            Err(broken)
        }
    }
}

impl Inner {
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

    /// Buckets that held more than they may. In the order of the store, and by the instances' own times, it has to be exact.
    fn over_rate(&self) -> Vec<String> {
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
                if paid > now + bucket.increment(bucket.burst()) {
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
        let elapsed = (now - owed.at).max(0) + self.apart;
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
