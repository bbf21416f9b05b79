//! Reports what remains of a key's limits, without charging it.

use std::num::NonZeroU32;
use std::sync::Arc;

use tollgate_core::charge::{self, History};
use tollgate_core::id::StageId;
use tollgate_core::key::KeyValue;
use tollgate_core::limits::{Limit, Limits, Rule};
use tollgate_core::moment::Moment;
use tollgate_core::plan::Target;
use tollgate_core::reason::Reason;
use tollgate_core::status::{BucketStatus, LimitStatus};
use tollgate_core::template::MethodTemplate;
use tollgate_core::verdict::Verdict;
use tollgate_dynamo::failure::Failure;
use tollgate_dynamo::item::key::KeyRecord;
use tollgate_dynamo::item::plan::PlanRecord;

use crate::Engine;
use crate::account::Account;
use crate::attempt::{Attempt, Scope};
use crate::decider::Decider;
use crate::request::Request;

/// A key, and what remains of its limits under each of its plans.
#[derive(Debug)]
pub struct Inspection {
    /// The key's record.
    pub key: Arc<KeyRecord>,
    /// Its plans, in the order in which it was linked to them.
    pub plans: Vec<PlanStatus>,
}

/// What remains of a key's limits under one plan.
#[derive(Debug)]
pub struct PlanStatus {
    /// The plan's record.
    pub plan: Arc<PlanRecord>,
    /// What remains of the plan's throttle and quota, or of the key's overrides.
    pub limit_status: LimitStatus,
    /// What remains of each method throttle.
    pub methods: Vec<(StageId, MethodTemplate, BucketStatus)>,
}

impl Engine {
    /// Looks up a key by its value and reports what remains of its limits. Unknown values are cached as in
    /// [`decide`](Self::decide).
    ///
    /// # Errors
    /// The verdict that refuses: the value belongs to no key, the key is not active, or the store did not answer.
    pub async fn inspect(&self, credential: Option<&str>) -> Result<Inspection, Box<Verdict>> {
        let because = |reason| Box::new(Verdict::because(reason));
        let credential = credential.ok_or_else(|| because(Reason::MissingKey))?;
        let value = KeyValue::parse(credential).map_err(|_| because(Reason::MalformedKey))?;
        let target = Target::default();
        let request = Request {
            credential: Some(credential),
            target: &target,
            cost: NonZeroU32::MIN,
            clock: self.time(),
            deadline: None,
        };
        let mut attempt = self.decider.attempt(&request, value.hash());
        let inspection = self.decider.inspect(&mut attempt).await;
        let refusal = match inspection {
            Ok(Ok(inspection)) => return Ok(inspection),
            Ok(Err(reason)) => reason,
            Err(failure) => {
                tracing::error!(%failure, "cannot look at a key");
                Reason::StoreUnavailable
            }
        };
        Err(Box::new(attempt.about.complete(Verdict::because(refusal))))
    }
}

impl Decider {
    async fn inspect(
        &self,
        attempt: &mut Attempt<'_>,
    ) -> Result<Result<Inspection, Reason>, Failure> {
        let Some(account) = self.current_account(attempt).await? else {
            return Ok(Err(Reason::UnknownKey));
        };
        let (key, scope) = (&account.record.value, attempt.scope);
        attempt.about.key = Some(Arc::clone(key));
        if let Err(reason) = key.check_usable(Some(&attempt.hash), scope.now) {
            return Ok(Err(reason));
        }
        let mut plans = Vec::new();
        for id in &key.plans {
            if let Some(plan) = self.memory.plans.get(id).and_then(|plan| plan.value) {
                plans.push(self.plan_status(scope, &account, plan).await?);
            }
        }
        Ok(Ok(Inspection {
            key: Arc::clone(key),
            plans,
        }))
    }

    /// Reads the account from the store; its plans may come from the cache.
    async fn current_account(
        &self,
        attempt: &mut Attempt<'_>,
    ) -> Result<Option<Arc<Account>>, Failure> {
        let Some(account) = self.memory.account(attempt).await? else {
            return Ok(None);
        };
        let record = &account.record.value;
        if attempt.fresh.as_ref() == Some(&record.id) {
            return Ok(Some(account));
        }
        self.memory.reload(attempt.scope, record).await?;
        let account = self.memory.accounts.get(&record.id);
        Ok(account.filter(|account| account.record.value.has_value(&attempt.hash)))
    }

    async fn plan_status(
        &self,
        scope: Scope,
        account: &Account,
        plan: Arc<PlanRecord>,
    ) -> Result<PlanStatus, Failure> {
        let Some(cached) = account.meters.get(&plan.id) else {
            return Ok(PlanStatus {
                plan,
                limit_status: LimitStatus::default(),
                methods: Vec::new(),
            });
        };
        let (meter, record) = (&cached.meter.value, &account.record.value);
        let moment = cached.moment(scope.now, self.memory.tolerance());
        let terms = record.terms(&plan);
        let limits = terms.whole(charge::today(meter, scope.now));
        let history = self.missing_history(scope, account, &plan, &limits).await?;
        Ok(PlanStatus {
            limit_status: LimitStatus::of(meter, &limits, history, moment),
            methods: method_status(account, &plan, moment),
            plan,
        })
    }

    /// The cost admitted before the meter's day, in a period that an edit of the quota introduced. Reads it if it is not
    /// cached.
    async fn missing_history(
        &self,
        scope: Scope,
        account: &Account,
        plan: &PlanRecord,
        limits: &Limits,
    ) -> Result<Option<History>, Failure> {
        let Some(cached) = account.meters.get(&plan.id) else {
            return Ok(None);
        };
        let (meter, known) = (&cached.meter.value, cached.history);
        let missing = limits
            .quota()
            .and_then(|quota| charge::missing_history(meter, &quota, known, scope.now));
        let Some((period, before)) = missing else {
            return Ok(known);
        };
        let names = (&account.record.value.id, &plan.id);
        let history = self
            .memory
            .history(scope, names, meter.closed, period, before);
        history.await.map(Some)
    }
}

/// Returns what remains of each method throttle.
fn method_status(
    account: &Account,
    plan: &PlanRecord,
    moment: Moment,
) -> Vec<(StageId, MethodTemplate, BucketStatus)> {
    let Some(cached) = account.meters.get(&plan.id) else {
        return Vec::new();
    };
    let meter = &cached.meter.value;
    let terms = account.record.value.terms(plan);
    let methods = terms.methods(charge::today(meter, moment.now)).into_iter();
    // The other templates do not name their buckets: requests do.
    let methods = methods.filter(|(_, template, _)| template.has_one_bucket());
    let status = |(stage, template, limit): (StageId, MethodTemplate, Limit)| {
        let Rule::Bucket(id, bucket) = limit.rule else {
            return None;
        };
        let level = meter.buckets.get(&id).copied();
        let status = BucketStatus::of(bucket, level, moment.bucket_time());
        Some((stage, template, status))
    };
    methods.filter_map(status).collect()
}
