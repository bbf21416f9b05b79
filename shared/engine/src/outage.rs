//! The verdict if the store does not answer.

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
    /// The verdict if the store did not answer: a refusal, unless the engine is configured to admit known keys.
    pub(crate) fn outage_verdict(&self, attempt: &Attempt<'_>, failure: &Failure) -> Verdict {
        let policy = self.settings.on_store_failure;
        tracing::error!(%failure, ?policy, "no decision by the store");
        let mut verdict = Verdict::because(Reason::StoreUnavailable);
        // A store that throttles or rejects a call has answered. Admitting then would let callers bypass a limit: they can get
        // a key throttled by sending many requests with it.
        let is_silent = matches!(failure, Failure::Indeterminate(_) | Failure::OutOfTime);
        if policy == OnStoreFailure::Allow && is_silent && self.was_good(attempt) {
            verdict.decision = Decision::Allow;
        }
        verdict
    }

    /// Whether the store has confirmed the key recently and, as far as is known, the key may call the request's target.
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
            && record.has_value(&attempt.hash)
            && record.check_usable(Some(&attempt.hash), now).is_ok()
            && record
                .plans
                .iter()
                .any(|plan| self.opens(attempt, &account, plan))
    }

    /// Whether a cached plan opens the request's target to the key. The engine can refuse by a closed limit without the store.
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
