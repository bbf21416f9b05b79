//! What one key may do under one plan: the plan's limits, narrowed by the key's restriction or replaced by its overrides.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::id::StageId;
use crate::limit::{Quota, Throttle};
use crate::limits::{Limit, Limits};
use crate::plan::{ApiStage, Plan, Target};
use crate::reason::Reason;
use crate::template::MethodTemplate;

mod reach;

pub use reach::Reach;

/// The methods that a key may call, by `apiId:stage`. A stage that is not listed is closed to the key. A stage that is listed
/// without methods is open to it as far as the plan opens it.
pub type Restriction = BTreeMap<StageId, BTreeSet<MethodTemplate>>;

/// Limits that replace the plan's for a single key.
///
/// They end with a day, not at a time of day. The meter's own day decides whether they apply, so that instances with different
/// clocks apply the same limits.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Override {
    /// Replaces the plan's throttle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throttle: Option<Throttle>,
    /// Replaces the limit of the plan's quota.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota_limit: Option<u64>,
    /// Method throttles that replace the plan's or add to them, by `apiId:stage`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub methods: BTreeMap<StageId, BTreeMap<MethodTemplate, Throttle>>,
    /// The last day (UTC) on which the override applies; `None` if it does not end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Date>,
}

impl Override {
    fn holds_on(&self, day: Date) -> bool {
        self.until.is_none_or(|until| day <= until)
    }
}

/// What one key may do under one plan.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'a> {
    /// The plan's limits.
    pub plan: &'a Plan,
    /// The methods that the key is restricted to, if it is.
    pub restriction: Option<&'a Restriction>,
    /// The limits that replace the plan's, if there are any.
    pub overrides: Option<&'a Override>,
}

impl<'a> Terms<'a> {
    /// Returns the stage that `target` is in, if the plan and the key open it.
    ///
    /// # Errors
    /// [`Reason::NotInPlan`] if the plan does not open the stage; [`Reason::MalformedPath`] if the path cannot be decoded and
    /// something in the stage is closed or limited by method; [`Reason::MethodNotAllowed`] if the plan or the key does not open
    /// the method.
    pub fn opens(&self, target: &Target) -> Result<&'a ApiStage, Reason> {
        let stage = self.plan.stage(target).ok_or(Reason::NotInPlan)?;
        if target.is_unclear() && self.is_limited_by_path(stage) {
            return Err(Reason::MalformedPath);
        }
        if self.open(stage, |methods| target.is_one_of(methods)) {
            Ok(stage)
        } else {
            Err(Reason::MethodNotAllowed)
        }
    }

    /// Whether anything in a stage is closed or limited by method.
    fn is_limited_by_path(&self, stage: &ApiStage) -> bool {
        let name = stage.id();
        let restricted = self.restriction.and_then(|stages| stages.get(&name));
        let own = self.overrides.and_then(|own| own.methods.get(&name));
        stage.methods.is_some()
            || !stage.throttle.is_empty()
            || restricted.is_some_and(|methods| !methods.is_empty())
            || own.is_some_and(|methods| !methods.is_empty())
    }

    /// The limits that a request to `target` in `stage` has to meet on `day`.
    pub fn limits(&self, stage: &ApiStage, target: &Target, day: Date) -> Limits {
        let methods = self.on(day).and_then(|own| own.methods.get(&stage.id()));
        Limits::default()
            .and(self.rate(day))
            .and_all(stage.limits(target, methods))
            .and(self.quota(day).map(Limit::quota))
    }

    /// The limits that every request has to meet on `day`, whatever its method.
    pub fn whole(&self, day: Date) -> Limits {
        Limits::default()
            .and(self.rate(day))
            .and(self.quota(day).map(Limit::quota))
    }

    fn rate(&self, day: Date) -> Option<Limit> {
        let own = self.on(day).and_then(|own| own.throttle);
        own.or(self.plan.throttle)?.bucket().map(Limit::rate)
    }

    /// Every method throttle on `day` that applies to methods the key may call.
    pub fn methods(&self, day: Date) -> Vec<(StageId, MethodTemplate, Limit)> {
        let stages = self.plan.stages.iter();
        stages
            .flat_map(|stage| self.methods_of(stage, day))
            .collect()
    }

    fn methods_of(&self, stage: &ApiStage, day: Date) -> Vec<(StageId, MethodTemplate, Limit)> {
        let id = stage.id();
        let mut throttles: BTreeMap<_, _> = stage.throttle.iter().collect();
        let own = self.on(day).and_then(|own| own.methods.get(&id));
        throttles.extend(own.into_iter().flatten());
        let open = throttles.into_iter().filter_map(|(template, throttle)| {
            let bucket = throttle
                .bucket()
                .filter(|_| self.is_open(stage, template))?;
            let limit = Limit::method(stage.bucket_id(template), bucket);
            Some((id.clone(), template.clone(), limit))
        });
        open.collect()
    }

    /// Whether some of the requests that `template` matches are open.
    pub fn is_open(&self, stage: &ApiStage, template: &MethodTemplate) -> bool {
        self.open(stage, |methods| {
            methods.iter().any(|method| method.overlaps(template))
        })
    }

    /// Whether the plan and the key open a method. `covers` checks a list of methods for it.
    fn open(&self, stage: &ApiStage, covers: impl Fn(&BTreeSet<MethodTemplate>) -> bool) -> bool {
        let by_plan = stage.methods.as_ref().is_none_or(&covers);
        let by_key = self.restriction.is_none_or(|restriction| {
            let methods = restriction.get(&stage.id());
            methods.is_some_and(|methods| methods.is_empty() || covers(methods))
        });
        by_plan && by_key
    }

    /// The quota on `day`.
    pub fn quota(&self, day: Date) -> Option<Quota> {
        let quota = self.plan.quota?;
        let limit = self.on(day).and_then(|overrides| overrides.quota_limit);
        Some(limit.map_or(quota, |limit| quota.with_limit(limit)))
    }

    fn on(&self, day: Date) -> Option<&'a Override> {
        self.overrides.filter(|overrides| overrides.holds_on(day))
    }
}

#[cfg(test)]
mod tests;
