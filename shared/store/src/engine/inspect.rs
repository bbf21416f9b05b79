//! What a key has left, without spending any of it.

use std::sync::Arc;

use jiff::Timestamp;
use tollgate_core::charge;
use tollgate_core::key::KeyValue;
use tollgate_core::plan::Target;
use tollgate_core::standing::{BucketStanding, Standing};
use tollgate_core::template::MethodTemplate;
use tollgate_core::verdict::{Reason, Verdict};

use super::memory::Known;
use super::{Attempt, Engine, about};
use crate::failure::Failure;
use crate::record::{KeyRecord, PlanRecord};

/// A key, and what it has left under each of its plans.
#[derive(Debug)]
pub struct Inspection {
    /// The key.
    pub key: Arc<KeyRecord>,
    /// Its plans, in the order in which it was linked to them.
    pub plans: Vec<PlanStanding>,
}

/// What a key has left under one plan.
#[derive(Debug)]
pub struct PlanStanding {
    /// The plan.
    pub plan: Arc<PlanRecord>,
    /// The plan's throttle and quota, the key's own where it has some.
    pub standing: Standing,
    /// Each method throttle, with the stage's name.
    pub methods: Vec<(String, MethodTemplate, BucketStanding)>,
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
        let clock = || self.table.connection().clock().now();
        let request = super::Request {
            credential: Some(credential),
            target: &target,
            cost: std::num::NonZeroU32::MIN,
            clock: &clock,
            deadline: None,
        };
        let mut attempt = self.attempt(&request, value.hash());
        let known = self.inspected(&mut attempt).await;
        let known = known.map_err(|failure| {
            tracing::error!(%failure, "cannot look at a key");
            because(Reason::StoreUnavailable)
        })?;
        let known = known.ok_or_else(|| because(Reason::UnknownKey))?;
        let key = &known.record.value;
        let refused = |reason| Box::new(about(Verdict::because(reason), key));
        if !key.enabled {
            return Err(refused(Reason::Disabled));
        }
        if key.is_expired(&attempt.hash, attempt.now) {
            return Err(refused(Reason::Expired));
        }
        let plans = key.plans.iter().filter_map(|id| {
            let plan = self.plans.get(id)?.value?;
            Some(standing(&known, plan, attempt.now))
        });
        Ok(Inspection {
            key: Arc::clone(key),
            plans: plans.collect(),
        })
    }

    /// The key as it is now, with its meters; its plans are in the cache.
    async fn inspected(&self, attempt: &mut Attempt<'_>) -> Result<Option<Known>, Failure> {
        let Some(known) = self.known(attempt).await? else {
            return Ok(None);
        };
        if attempt.fresh {
            return Ok(Some(known));
        }
        self.reread(attempt, &known).await?;
        Ok(self.keys.get(&attempt.hash))
    }
}

fn standing(known: &Known, plan: Arc<PlanRecord>, now: Timestamp) -> PlanStanding {
    let terms = known.record.value.terms(&plan);
    let Some(seen) = known.meters.get(&plan.id) else {
        return PlanStanding {
            plan,
            standing: Standing::default(),
            methods: Vec::new(),
        };
    };
    let meter = &seen.meter.value;
    let day = charge::today(meter, now);
    let mut methods = Vec::new();
    for (stage, template, limits) in terms.methods(day) {
        let of = Standing::of(meter, &limits, seen.history, now);
        methods.extend(of.method.map(|standing| (stage, template, standing)));
    }
    let standing = Standing::of(meter, &terms.whole(day), seen.history, now);
    PlanStanding {
        plan,
        standing,
        methods,
    }
}
