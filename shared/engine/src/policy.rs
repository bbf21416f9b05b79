//! What is answered where the store gives no answer.

use tollgate_core::charge;
use tollgate_core::id::PlanId;
use tollgate_core::verdict::{Decision, Reason, Verdict};

use super::memory::Account;
use super::{ALLOW_AGE, Attempt, Decider, OnStoreFailure};
use crate::cache::Cached;
use tollgate_dynamo::failure::Failure;

impl Decider {
    /// The verdict where the store gave none.
    pub(super) fn on_failure(&self, attempt: &Attempt<'_>, failure: &Failure) -> Verdict {
        tracing::error!(%failure, policy = ?self.settings.on_store_failure, "no decision by the store");
        let mut verdict = Verdict::because(Reason::StoreUnavailable);
        let Some(known) = self.keys.get(&attempt.scope.hash) else {
            return verdict;
        };
        // That the store is too busy, or refuses, is an answer: callers can make it busy by asking for a key that is at its limit.
        let is_silent = matches!(failure, Failure::Indeterminate(_) | Failure::OutOfTime);
        let is_throttled = known.throttled_at.is_some_and(|at| at >= attempt.began);
        if self.settings.on_store_failure == OnStoreFailure::Allow
            && is_silent
            && !is_throttled
            && self.was_good(attempt, &known)
        {
            verdict.decision = Decision::Allow;
        }
        verdict
    }

    /// Whether the key was charged from here a short while ago and, as far as is known, may go where this request goes.
    fn was_good(&self, attempt: &Attempt<'_>, known: &Account) -> bool {
        let recently = known.good_at.is_some_and(|read_at| {
            Cached::new((), read_at).is_within(ALLOW_AGE, attempt.scope.now)
        });
        let record = &known.record.value;
        let target = attempt.request.target;
        let opens = |id: &PlanId| {
            let plan = self.plans.get(id).and_then(|plan| plan.value)?;
            let seen = known
                .meters
                .get(id)
                .filter(|seen| !seen.meter.value.retired)?;
            let terms = record.terms(&plan);
            let stage = terms.opens(target).ok()?;
            let day = charge::today(&seen.meter.value, attempt.scope.now);
            let limits = terms.limits(stage, target, day);
            // What is closed needs no store to say so.
            let is_closed = limits.buckets().any(|(_, bucket)| bucket.burst() == 0)
                || limits.quota.is_some_and(|quota| quota.limit() == 0);
            (!is_closed).then_some(())
        };
        let is_expired = record.is_expired(&attempt.scope.hash, attempt.scope.now);
        recently && record.enabled && !is_expired && record.plans.iter().find_map(opens).is_some()
    }
}
