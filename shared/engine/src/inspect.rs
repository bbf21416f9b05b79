//! What a key has left, without spending any of it.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use tollgate_core::charge::{self, History};
use tollgate_core::id::StageId;
use tollgate_core::key::KeyValue;
use tollgate_core::plan::Target;
use tollgate_core::status::{BucketStatus, LimitStatus};
use tollgate_core::template::MethodTemplate;
use tollgate_core::verdict::{Reason, Verdict};

use super::memory::Account;
use super::{About, Attempt, Decider, Engine, Scope};
use tollgate_dynamo::failure::Failure;
use tollgate_dynamo::item::key::KeyRecord;
use tollgate_dynamo::item::plan::PlanRecord;

/// A key, and what it has left under each of its plans.
#[derive(Debug)]
pub struct Inspection {
    /// The key.
    pub key: Arc<KeyRecord>,
    /// Its plans, in the order in which it was linked to them.
    pub plans: Vec<PlanStatus>,
}

/// What a key has left under one plan.
#[derive(Debug)]
pub struct PlanStatus {
    /// The plan.
    pub plan: Arc<PlanRecord>,
    /// The plan's throttle and quota, the key's own where it has some.
    pub standing: LimitStatus,
    /// Each method throttle, with the stage's name.
    pub methods: Vec<(StageId, MethodTemplate, BucketStatus)>,
}

impl Engine {
    /// Looks at a key by its value. Values that are no key's are remembered as for [`decide`](Self::decide).
    ///
    /// # Errors
    /// The verdict that refuses: the value is no key's, or the key is not good, or the store did not answer.
    pub async fn inspect(&self, credential: Option<&str>) -> Result<Inspection, Box<Verdict>> {
        let because = |reason| Box::new(Verdict::because(reason));
        let credential = credential.ok_or_else(|| because(Reason::MissingKey))?;
        let value = KeyValue::parse(credential).map_err(|_| because(Reason::MalformedKey))?;
        let target = Target::default();
        let request = super::Request {
            credential: Some(credential),
            target: &target,
            cost: std::num::NonZeroU32::MIN,
            clock: self.time(),
            deadline: None,
        };
        let mut attempt = self.decider.attempt(&request, value.hash());
        let known = self.decider.inspected(&mut attempt).await;
        let known = known.map_err(|failure| {
            tracing::error!(%failure, "cannot look at a key");
            because(Reason::StoreUnavailable)
        })?;
        let known = known.ok_or_else(|| because(Reason::UnknownKey))?;
        let key = &known.record.value;
        let about = About {
            key: Some(Arc::clone(key)),
            ..About::default()
        };
        let refused = |reason| Box::new(about.tell(Verdict::because(reason)));
        if !key.enabled {
            return Err(refused(Reason::Disabled));
        }
        if key.is_expired(&attempt.scope.hash, attempt.scope.now) {
            return Err(refused(Reason::Expired));
        }
        let mut plans = Vec::new();
        for id in &key.plans {
            let Some(plan) = self.decider.plans.get(id).and_then(|plan| plan.value) else {
                continue;
            };
            let history = self.decider.history_of(attempt.scope, &known, &plan).await;
            let history = history.map_err(|failure| {
                tracing::error!(%failure, "cannot look at a key");
                refused(Reason::StoreUnavailable)
            })?;
            let tolerance = self.decider.uncertainty();
            plans.push(standing(
                &known,
                plan,
                history,
                attempt.scope.now,
                tolerance,
            ));
        }
        Ok(Inspection {
            key: Arc::clone(key),
            plans,
        })
    }
}

impl Decider {
    /// The key as it is now, with its meters; its plans are in the cache.
    async fn inspected(&self, attempt: &mut Attempt<'_>) -> Result<Option<Arc<Account>>, Failure> {
        let Some(known) = self.known(attempt).await? else {
            return Ok(None);
        };
        if attempt.fresh {
            return Ok(Some(known));
        }
        self.reread(attempt.scope, &known.record.value).await?;
        Ok(self.keys.get(&attempt.scope.hash))
    }

    /// What was admitted before the meter's day in a period that the quota was changed to, where that is not known yet.
    async fn history_of(
        &self,
        scope: Scope,
        known: &Account,
        plan: &PlanRecord,
    ) -> Result<Option<History>, Failure> {
        let Some(seen) = known.meters.get(&plan.id) else {
            return Ok(None);
        };
        let (record, meter) = (&known.record.value, &seen.meter.value);
        let quota = record.terms(plan).quota(charge::today(meter, scope.now));
        let missing =
            quota.and_then(|quota| charge::missing_history(meter, &quota, seen.history, scope.now));
        let Some((period, before)) = missing else {
            return Ok(seen.history);
        };
        let names = (&record.id, &plan.id);
        let history = self.history(scope, names, meter.closed, period, before);
        Ok(Some(history.await?))
    }
}

fn standing(
    known: &Account,
    plan: Arc<PlanRecord>,
    history: Option<History>,
    now: Timestamp,
    tolerance: SignedDuration,
) -> PlanStatus {
    let terms = known.record.value.terms(&plan);
    let Some(seen) = known.meters.get(&plan.id) else {
        return PlanStatus {
            plan,
            standing: LimitStatus::default(),
            methods: Vec::new(),
        };
    };
    let meter = &seen.meter.value;
    let day = charge::today(meter, now);
    let ahead = seen.ahead(now, tolerance);
    let mut methods = Vec::new();
    // What each method has left by `*/*` is in a bucket for each, of which the template says nothing.
    let throttled = terms.methods(day).into_iter();
    for (stage, template, limits) in throttled.filter(|(_, template, _)| !template.is_every()) {
        let of = LimitStatus::of(meter, &limits, history, now, ahead);
        methods.extend(of.method.map(|standing| (stage, template, standing)));
    }
    let whole = terms.whole(day);
    let standing = LimitStatus::of(meter, &whole, history, now, ahead);
    PlanStatus {
        plan,
        standing,
        methods,
    }
}
