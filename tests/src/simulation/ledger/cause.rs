//! Whether what was refused had to be.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use tollgate_core::bucket::Bucket;
use tollgate_core::calendar::day_of;
use tollgate_core::limit::Throttle;
use tollgate_core::limits::PLAN_BUCKET;
use tollgate_core::sharing::hold_of;
use tollgate_core::verdict::{Reason, Verdict};

use super::{Inner, Trace};

impl Inner {
    /// Requests that were refused although every limit had room.
    pub(super) fn refused_without_cause(&self) -> Vec<String> {
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
    pub(super) fn is_quiet(&self, what: &str, now: Timestamp) -> bool {
        const LONGEST_DEBT: SignedDuration = SignedDuration::from_secs(60);
        let last = self.disturbed.get(what);
        last.is_none_or(|last| now.duration_since(*last) > LONGEST_DEBT)
    }
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
            Reason::Quota
                if inner
                    .adjusted
                    .contains(&(trace.key.clone(), plan.to_owned())) =>
            {
                true
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
pub(in crate::simulation) fn is_full(
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
