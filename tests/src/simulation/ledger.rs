//! What was charged, as the store has seen it, and what must hold of it.
//!
//! - `trace`: a decision; `limits`: none was exceeded; `cause`: nothing was refused without one.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard};

use jiff::Timestamp;
use serde_json::Value;
use tollgate_core::bucket::Bucket;
use tollgate_core::plan::Plan;
use tollgate_core::verdict::{Reason, Verdict};

use super::management::Over;

mod cause;
mod limits;
mod trace;

pub(super) use cause::is_full;
pub(super) use trace::{Instance, Trace};

/// When a call was sent: by its instance's clock, and by the true time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sent {
    pub(super) reading: Timestamp,
    pub(super) sent: Timestamp,
}

/// What management has said of a key, or of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LimitStatus {
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
    standing: HashMap<String, LimitStatus>,
    /// The limits of a plan by its revision.
    limits: HashMap<(String, u64), Plan>,
    traces: Vec<Arc<Trace>>,
    /// How far clocks were ahead of the true time at least and at most when they mattered, in nanoseconds.
    ahead: Option<(i128, i128)>,
    /// When management last did something about a key or a plan.
    disturbed: HashMap<String, Timestamp>,
    /// Keys under plans whose quota was set, or carried along from elsewhere.
    adjusted: HashSet<(String, String)>,
    /// What a key may be charged under a plan beyond its quota, as what is left was set.
    granted: HashMap<(String, String), u64>,
    /// How often the quota of a key under a plan began anew.
    anew: HashMap<(String, String), u64>,
    /// When keys were over.
    over: Vec<(String, Over)>,
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

    pub(super) fn stands(&self, key: &str, standing: LimitStatus) {
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

    /// What is spent of a quota is not what was charged under it.
    pub(super) fn adjusted(&self, key: &str, plan: &str) {
        let meter = (key.to_owned(), plan.to_owned());
        self.inner().adjusted.insert(meter);
    }

    /// So much may be charged more.
    pub(super) fn granted(&self, key: &str, plan: &str, remaining: u64) {
        let meter = (key.to_owned(), plan.to_owned());
        *self.inner().granted.entry(meter).or_default() += remaining;
    }

    /// The quota begins anew.
    pub(super) fn begins_anew(&self, key: &str, plan: &str) {
        let meter = (key.to_owned(), plan.to_owned());
        *self.inner().anew.entry(meter).or_default() += 1;
    }

    /// A key was over.
    pub(super) fn expired(&self, key: &str, from: Timestamp, to: Timestamp) {
        let over = Over { from, to };
        self.inner().over.push((key.to_owned(), over));
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
        if !before["ttl"].is_null() {
            let what =
                format!("{now}: the meter of {key} under {plan} was left behind, and charged");
            inner.broken.push(what);
        }
        for revoked in [key, decision.value.as_str()] {
            if inner.standing.get(revoked) == Some(&LimitStatus::Revoked) {
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
        broken.extend(inner.admitted_when_over());
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
}

fn number(value: &Value) -> i128 {
    value["N"]
        .as_str()
        .and_then(|number| number.parse().ok())
        .unwrap_or(0)
}
