//! What one key may do under one plan: the plan's limits, narrowed or replaced by what is agreed with the key's holder.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::id::StageId;
use crate::limit::{Quota, Throttle};
use crate::plan::{ApiStage, Limits, Plan, Target};
use crate::template::{self, MethodTemplate};
use crate::verdict::Reason;

/// The methods that a key may call of its plans' API stages, by `apiId:stage`. A stage that is not there is closed to it; one
/// without methods is open as far as the plan opens it.
pub type Restriction = BTreeMap<StageId, BTreeSet<MethodTemplate>>;

/// Limits of one key in place of the plan's.
///
/// They end with a day, and not at a time: the meter's own day decides whether they hold, so that instances whose clocks differ
/// go by the same limits.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Override {
    /// In place of the plan's throttle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throttle: Option<Throttle>,
    /// In place of the limit of the plan's quota.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota_limit: Option<u64>,
    /// In place of the plan's method throttles, or besides them, by `apiId:stage`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub methods: BTreeMap<StageId, BTreeMap<MethodTemplate, Throttle>>,
    /// The last day on which they hold, UTC; `None` for always.
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
    /// What the key is restricted to.
    pub restriction: Option<&'a Restriction>,
    /// The limits in place of the plan's.
    pub overrides: Option<&'a Override>,
}

/// What a key may call of a stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// All of it.
    All,
    /// These methods, each with a decoded path; [`ANY`](template::ANY) is every method. What it may call by a template with a
    /// `{name}` is not in it: a list of paths cannot say that.
    Only(BTreeSet<(String, String)>),
}

impl<'a> Terms<'a> {
    /// The stage that `target` is in, where the plan and the key open it.
    ///
    /// # Errors
    /// [`Reason::NotInPlan`] where the plan does not open the stage; [`Reason::MalformedPath`] where something there goes by the
    /// path, and this one cannot be told; [`Reason::MethodNotAllowed`] where the plan or the key does not open the method.
    pub fn opens(&self, target: &Target) -> Result<&'a ApiStage, Reason> {
        let stage = self.plan.stage(target).ok_or(Reason::NotInPlan)?;
        if target.is_unclear() && self.goes_by_path(stage) {
            return Err(Reason::MalformedPath);
        }
        if self.open(stage, |methods| target.is_one_of(methods)) {
            Ok(stage)
        } else {
            Err(Reason::MethodNotAllowed)
        }
    }

    /// Whether anything in a stage is closed or limited by its method.
    fn goes_by_path(&self, stage: &ApiStage) -> bool {
        let name = stage.id();
        let restricted = self.restriction.and_then(|it| it.get(&name));
        let own = self.overrides.and_then(|it| it.methods.get(&name));
        stage.methods.is_some()
            || !stage.throttle.is_empty()
            || restricted.is_some_and(|methods| !methods.is_empty())
            || own.is_some_and(|methods| !methods.is_empty())
    }

    /// What the key may call of a stage.
    pub fn reach(&self, stage: &ApiStage) -> Reach {
        let name = stage.id();
        let by_plan = stage.methods.as_ref();
        let by_key = self.restriction.map(|it| it.get(&name));
        let lists: Vec<_> = match by_key {
            // The key may not call this stage at all.
            Some(None) => return Reach::Only(BTreeSet::new()),
            Some(Some(methods)) if !methods.is_empty() => {
                by_plan.into_iter().chain([methods]).collect()
            }
            _ => by_plan.into_iter().collect(),
        };
        let own = self.overrides.and_then(|it| it.methods.get(&name));
        let throttles = stage.throttle.iter().chain(own.into_iter().flatten());
        let closed = throttles.filter(|(_, throttle)| throttle.is_closed());
        let closed: Vec<_> = closed.map(|(template, _)| template).collect();
        if lists.is_empty() {
            return if closed.is_empty() {
                Reach::All
            } else {
                Reach::Only(BTreeSet::new())
            };
        }
        let mut only = BTreeSet::new();
        for path in lists
            .iter()
            .copied()
            .flatten()
            .filter_map(MethodTemplate::only_path)
        {
            let is_open = |method: &str| {
                let covered = |methods: &&BTreeSet<MethodTemplate>| {
                    let mut methods = methods.iter();
                    methods.any(|it| it.fit(method, template::segments(path)).is_some())
                };
                let is_closed = |template: &&MethodTemplate| {
                    template.fit(method, template::segments(path)).is_some()
                };
                lists.iter().all(covered) && !closed.iter().any(is_closed)
            };
            let methods = template::METHODS.iter().filter(|method| is_open(method));
            only.extend(methods.map(|method| ((*method).to_owned(), path.to_owned())));
        }
        Reach::Only(only)
    }

    /// What a request to `target` in `stage` has to meet on `day`.
    pub fn limits(&self, stage: &ApiStage, target: &Target, day: Date) -> Limits {
        let overrides = self.on(day);
        let methods = overrides.and_then(|overrides| overrides.methods.get(&stage.id()));
        Limits {
            method: stage.method_bucket(target, methods),
            ..self.whole(day)
        }
    }

    /// What every request has to meet on `day`, whatever its method.
    pub fn whole(&self, day: Date) -> Limits {
        let throttle = self.on(day).and_then(|overrides| overrides.throttle);
        Limits {
            rate: throttle
                .or(self.plan.throttle)
                .and_then(|throttle| throttle.bucket()),
            method: None,
            quota: self.quota(day),
        }
    }

    /// Every method throttle on `day` that the key can meet: the stage's name, the method, and the bucket as the only limit.
    pub fn methods(&self, day: Date) -> Vec<(StageId, MethodTemplate, Limits)> {
        let mut methods = Vec::new();
        for stage in &self.plan.stages {
            let name = stage.id();
            let mut throttles: BTreeMap<_, _> = stage.throttle.iter().collect();
            let own = self.on(day).and_then(|it| it.methods.get(&name));
            throttles.extend(own.into_iter().flatten());
            for (template, throttle) in throttles {
                let bucket = throttle.bucket().filter(|_| self.is_open(stage, template));
                if let Some(bucket) = bucket {
                    let limits = Limits {
                        method: Some((stage.bucket_id(template), bucket)),
                        ..Limits::default()
                    };
                    methods.push((name.clone(), template.clone(), limits));
                }
            }
        }
        methods
    }

    /// Whether some of the requests that `template` covers are open.
    pub fn is_open(&self, stage: &ApiStage, template: &MethodTemplate) -> bool {
        self.open(stage, |methods| {
            methods.iter().any(|method| method.overlaps(template))
        })
    }

    /// Whether the plan and the key open what `covers` finds in a list of methods.
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
