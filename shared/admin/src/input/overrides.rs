//! Limits that one key has in place of its plan's.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use jiff::civil::Date;
use tollgate_core::calendar::day_of;
use tollgate_core::id::{PlanId, StageId};
use tollgate_core::limit::Throttle;
use tollgate_core::plan::ApiStage;
use tollgate_core::template::MethodTemplate;
use tollgate_core::terms::{Override, Terms};
use tollgate_dynamo::item::plan::PlanRecord;

use super::limits::{Number, whole_number};
use super::methods::template;
use super::times::parse_day;
use super::{Invalid, Location, ThrottleDraft};

/// Limits of a key in place of its plan's, as a caller states them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct OverrideDraft {
    /// In place of the plan's throttle.
    pub throttle: Option<ThrottleDraft>,
    /// In place of the limit of the plan's quota.
    pub quota_limit: Option<i64>,
    /// In place of the plan's method throttles, or besides them: by `apiId:stage`, then by `/path/METHOD`.
    pub methods: BTreeMap<String, BTreeMap<String, ThrottleDraft>>,
    /// The last day on which they apply, YYYY-MM-DD, UTC; without it, they have no end.
    pub until: Option<String>,
}

/// Limits of a key that break a rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidOverride {
    /// Nothing is overridden.
    #[error("the override of plan {0} states no limit")]
    Empty(PlanId),
    /// A throttle without a rate would have no effect.
    #[error("{0} needs a rate")]
    RateMissing(Location),
    /// A limit for the quota of a plan that has none.
    #[error("the override of plan {0} limits a quota, but the plan has none")]
    NoQuota(PlanId),
    /// A stage that the plan does not have.
    #[error("the override of plan {plan} names stage {stage}, which the plan does not have")]
    StageNotOpen {
        /// The plan.
        plan: PlanId,
        /// The stage.
        stage: String,
    },
    /// A method that the plan does not open.
    #[error("{0}: the plan does not open this method")]
    MethodNotOpen(Location),
    /// A last day that is over, or is no day.
    #[error("the last day of the override of plan {plan} is a day from {today} on, got {got:?}")]
    Until {
        /// The plan.
        plan: PlanId,
        /// The earliest.
        today: Date,
        /// The text.
        got: String,
    },
    /// A plan that does not exist.
    #[error("there is no plan {0} to override")]
    NoSuchPlan(PlanId),
}

impl OverrideDraft {
    /// The limits that it states in place of `plan`'s.
    ///
    /// # Errors
    /// [`Invalid`].
    pub fn check(&self, plan: &PlanRecord, now: Timestamp) -> Result<Override, Invalid> {
        let id = &plan.id;
        self.check_presence(id)?;
        let methods = self.method_throttles(plan)?;
        let throttle = self.throttle.map(|throttle| {
            let location = Location::OverrideThrottle { plan: id.clone() };
            throttle.check(&location)
        });
        Ok(Override {
            throttle: throttle.transpose()?,
            quota_limit: self.quota_limit(plan)?,
            methods,
            until: self.last_day(id, now)?,
        })
    }

    /// Whether its last day is before `today`.
    fn is_over(&self, today: Date) -> bool {
        let until = self.until.as_ref();
        until
            .and_then(|day| day.parse::<Date>().ok())
            .is_some_and(|day| day < today)
    }

    fn check_presence(&self, plan: &PlanId) -> Result<(), InvalidOverride> {
        let has_methods = self.methods.values().any(|methods| !methods.is_empty());
        match self.throttle {
            None if self.quota_limit.is_none() && !has_methods => {
                Err(InvalidOverride::Empty(plan.clone()))
            }
            Some(throttle) if throttle.rate_limit.is_none() => {
                let plan = plan.clone();
                Err(InvalidOverride::RateMissing(Location::OverrideThrottle {
                    plan,
                }))
            }
            _ => Ok(()),
        }
    }

    fn quota_limit(&self, plan: &PlanRecord) -> Result<Option<u64>, Invalid> {
        let Some(limit) = self.quota_limit else {
            return Ok(None);
        };
        if plan.limits.quota.is_none() {
            return Err(InvalidOverride::NoQuota(plan.id.clone()).into());
        }
        let limit = whole_number(limit, || Number::OverrideQuota(plan.id.clone()))?;
        Ok(Some(limit))
    }

    fn method_throttles(
        &self,
        plan: &PlanRecord,
    ) -> Result<BTreeMap<StageId, BTreeMap<MethodTemplate, Throttle>>, Invalid> {
        if self.methods.is_empty() {
            return Ok(BTreeMap::new());
        }
        let stages = plan.limits.stages.iter();
        let stages: HashMap<_, _> = stages.map(|stage| (stage.id(), stage)).collect();
        let methods = self.methods.iter().map(|(name, throttles)| {
            let Some((id, stage)) = stages.get_key_value(name.as_str()) else {
                return Err(Invalid::from(InvalidOverride::StageNotOpen {
                    plan: plan.id.clone(),
                    stage: name.clone(),
                }));
            };
            let throttles = throttles
                .iter()
                .map(|(method, throttle)| method_throttle(plan, stage, method, *throttle));
            Ok((id.clone(), throttles.collect::<Result<_, _>>()?))
        });
        methods.collect()
    }

    fn last_day(&self, plan: &PlanId, now: Timestamp) -> Result<Option<Date>, InvalidOverride> {
        let Some(text) = &self.until else {
            return Ok(None);
        };
        let today = day_of(now);
        match parse_day(text) {
            Some(day) if day >= today => Ok(Some(day)),
            _ => Err(InvalidOverride::Until {
                plan: plan.clone(),
                today,
                got: text.clone(),
            }),
        }
    }
}

fn method_throttle(
    plan: &PlanRecord,
    stage: &ApiStage,
    method: &str,
    throttle: ThrottleDraft,
) -> Result<(MethodTemplate, Throttle), Invalid> {
    let location = Location::OverrideMethod {
        plan: plan.id.clone(),
        stage: stage.id().to_string(),
        method: method.to_owned(),
    };
    let template = template(&location, method)?;
    let terms = Terms {
        plan: &plan.limits,
        restriction: None,
        overrides: None,
    };
    if !terms.is_open(stage, &template) {
        return Err(InvalidOverride::MethodNotOpen(location).into());
    }
    if throttle.rate_limit.is_none() {
        return Err(InvalidOverride::RateMissing(location).into());
    }
    Ok((template, throttle.check(&location)?))
}

/// The overrides of an imported key by plan, without those that are over: an export has them as long as the key has them.
///
/// # Errors
/// [`Invalid`].
pub fn not_over(
    drafts: &BTreeMap<PlanId, OverrideDraft>,
    plans: &BTreeMap<PlanId, PlanRecord>,
    now: Timestamp,
) -> Result<BTreeMap<PlanId, Override>, Invalid> {
    let today = day_of(now);
    let drafts = drafts.iter().filter(|(_, draft)| !draft.is_over(today));
    let overrides = drafts.map(|(id, draft)| {
        let plan = plans.get(id);
        let plan = plan.ok_or_else(|| InvalidOverride::NoSuchPlan(id.clone()))?;
        Ok((id.clone(), draft.check(plan, now)?))
    });
    overrides.collect()
}
