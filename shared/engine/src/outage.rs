//! The verdict if the store gives no answer.

use tollgate_core::age;
use tollgate_core::charge;
use tollgate_core::id::PlanId;
use tollgate_core::reason::{Decision, Reason};
use tollgate_core::verdict::Verdict;
use tollgate_dynamo::failure::Failure;

use crate::account::Account;
use crate::attempt::Attempt;
use crate::cache::Cached;
use crate::decider::Decider;
use crate::settings::OnStoreFailure;

impl Decider {
    /// The verdict if the store gave none: a refusal, unless the engine is set to admit known keys.
    pub(crate) fn outage_verdict(&self, attempt: &Attempt<'_>, failure: &Failure) -> Verdict {
        let policy = self.settings.on_store_failure;
        tracing::error!(%failure, ?policy, "no decision by the store");
        let mut verdict = Verdict::because(Reason::StoreUnavailable);
        // If the store is too busy, or refuses, that is an answer: callers can make it busy by asking for a key at its limit.
        let is_silent = matches!(failure, Failure::Indeterminate(_) | Failure::OutOfTime);
        if policy == OnStoreFailure::Allow && is_silent && self.was_good(attempt) {
            verdict.decision = Decision::Allow;
        }
        verdict
    }

    /// Whether the store has confirmed the key a short while ago and, as far as is known, the key may go where this request goes.
    fn was_good(&self, attempt: &Attempt<'_>) -> bool {
        let key_id = self.memory.principals.get(&attempt.hash);
        let Some(account) = key_id.and_then(|key_id| self.memory.accounts.get(&key_id)) else {
            return false;
        };
        let (record, now) = (&account.record.value, attempt.scope.now);
        let is_throttled = account.throttled_at.is_some_and(|at| at >= attempt.began);
        let was_confirmed = account
            .confirmed_at
            .is_some_and(|at| Cached::new((), at).is_within(age::CONFIRMED, now));
        !is_throttled
            && was_confirmed
            && record.enabled
            && record.has_value(&attempt.hash)
            && !record.is_expired(&attempt.hash, now)
            && record
                .plans
                .iter()
                .any(|plan| self.opens(attempt, &account, plan))
    }

    /// Whether a plan, as it is cached, opens the request's target to the key. A closed limit needs no store to refuse.
    fn opens(&self, attempt: &Attempt<'_>, account: &Account, plan: &PlanId) -> bool {
        let cached = self.memory.plans.get(plan).and_then(|plan| plan.value);
        let (Some(plan), Some(meter)) = (cached, account.meter(plan)) else {
            return false;
        };
        let (target, now) = (attempt.request.target, attempt.scope.now);
        let terms = account.record.value.terms(&plan);
        let day = charge::today(&meter.meter.value, now);
        let stage = terms.opens(target);
        stage.is_ok_and(|stage| !terms.limits(stage, target, day).is_closed())
    }
}
