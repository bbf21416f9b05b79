//! Usage plans as wholes.

use std::collections::{BTreeMap, HashMap};

use tollgate_core::id::StageId;
use tollgate_core::plan::{ApiStage, Plan};
use tollgate_dynamo::item::plan::PlanRecord;

use super::methods::{open_lists, template, templates};
use super::text::{Resource, description, plan_name};
use super::{Invalid, Location, MethodLists, QuotaDraft, Tags, ThrottleDraft, tags};
use crate::plans::NewPlan;

/// API stages that a plan can have. A plan is one item of at most 400 KB, and a stage takes 30 bytes and its names.
const MAX_STAGES: usize = 10_000;
/// Method throttles that a plan can have, over all of its stages. Each takes 20 bytes and its path.
const MAX_METHOD_THROTTLES: usize = 10_000;

/// A plan as a caller states it, or while it is changed.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PlanDraft {
    /// The name; required.
    pub name: Option<String>,
    /// The description.
    pub description: Option<String>,
    /// The AWS Marketplace product that the plan belongs to; ignored for a new plan.
    pub product_code: Option<String>,
    /// The throttle of each key.
    pub throttle: Option<ThrottleDraft>,
    /// The quota of each key.
    pub quota: Option<QuotaDraft>,
    /// The API stages that the plan opens.
    pub stages: Vec<StageDraft>,
    /// The open methods, for each stage that does not open all.
    pub methods: MethodLists,
}

/// An API stage of a plan as a caller states it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct StageDraft {
    /// The API's id.
    pub api_id: String,
    /// The stage's name.
    pub stage: String,
    /// Throttles by method, `/path/METHOD`.
    pub throttle: BTreeMap<String, ThrottleDraft>,
}

/// A plan that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPlan {
    /// Too many stages.
    #[error("a plan can have {max} API stages, got {got}")]
    TooManyStages {
        /// Stages that it can have.
        max: usize,
        /// Stages that it would have.
        got: usize,
    },
    /// Too many method throttles, over all stages.
    #[error("a plan can have {max} method throttles, got {got}")]
    TooManyMethodThrottles {
        /// Throttles that it can have.
        max: usize,
        /// Throttles that it would have.
        got: usize,
    },
    /// A stage without an API.
    #[error("an API stage needs the API's id")]
    ApiIdMissing,
    /// A stage without a name.
    #[error("an API stage needs the stage's name")]
    StageNameMissing,
    /// A stage that cannot be one.
    #[error("expected an API's id and a stage's name of ASCII letters, digits and -_.$, got {0:?}")]
    Stage(String),
    /// A stage that is there twice.
    #[error("the plan names stage {0} twice")]
    StageTwice(StageId),
    /// Open methods of a stage that the plan does not have.
    #[error("the open methods of stage {0}: the plan does not have this stage")]
    MethodsWithoutStage(String),
    /// An empty list of open methods, which would close the stage.
    #[error("the open methods of stage {0}: expected one at least")]
    NoMethods(String),
}

impl PlanDraft {
    /// The draft that states a plan as it is.
    pub fn of(record: &PlanRecord) -> Self {
        let limits = &record.limits;
        Self {
            name: Some(record.name.clone()),
            description: record.description.clone(),
            product_code: record.product_code.clone(),
            throttle: limits.throttle.as_ref().map(ThrottleDraft::of),
            quota: limits.quota.as_ref().map(QuotaDraft::of),
            stages: limits.stages.iter().map(StageDraft::of).collect(),
            methods: open_lists(limits),
        }
    }

    /// The new plan that it states.
    ///
    /// # Errors
    /// [`Invalid`].
    pub fn into_new(self, given: Tags) -> Result<NewPlan, Invalid> {
        let limits = self.limits()?;
        Ok(NewPlan {
            name: plan_name(self.name)?,
            description: description(Resource::UsagePlan, self.description)?,
            tags: tags::tags(given)?,
            limits,
        })
    }

    /// Changes a plan to what it states.
    ///
    /// # Errors
    /// [`Invalid`].
    pub fn apply(self, record: &mut PlanRecord) -> Result<(), Invalid> {
        record.limits = self.limits()?;
        record.name = plan_name(self.name)?;
        record.description = description(Resource::UsagePlan, self.description)?;
        record.product_code = self.product_code;
        Ok(())
    }

    /// The limits that it states.
    ///
    /// # Errors
    /// [`Invalid`].
    pub fn limits(&self) -> Result<Plan, Invalid> {
        self.check_size()?;
        let stages = self.open_stages()?;
        let throttle = self.throttle.map(|it| it.check(&Location::PlanThrottle));
        let throttle = throttle.transpose()?;
        let quota = self.quota.as_ref().map(QuotaDraft::check).transpose()?;
        Ok(Plan {
            throttle,
            quota,
            stages,
        })
    }

    /// Rejects a plan that no item could hold before anything is done with it.
    fn check_size(&self) -> Result<(), InvalidPlan> {
        let stages = self.stages.len();
        if stages > MAX_STAGES {
            return Err(InvalidPlan::TooManyStages {
                max: MAX_STAGES,
                got: stages,
            });
        }
        let methods = self.stages.iter().map(|stage| stage.throttle.len()).sum();
        if methods > MAX_METHOD_THROTTLES {
            return Err(InvalidPlan::TooManyMethodThrottles {
                max: MAX_METHOD_THROTTLES,
                got: methods,
            });
        }
        Ok(())
    }

    /// The stages with their open methods.
    fn open_stages(&self) -> Result<Vec<ApiStage>, Invalid> {
        let mut stages: Vec<ApiStage> = Vec::with_capacity(self.stages.len());
        let mut positions = HashMap::with_capacity(self.stages.len());
        for stage in &self.stages {
            let stage = stage.check()?;
            if positions.insert(stage.id(), stages.len()).is_some() {
                return Err(InvalidPlan::StageTwice(stage.id()).into());
            }
            stages.push(stage);
        }
        for (name, methods) in &self.methods {
            let position = positions.get(name.as_str());
            let stage = position.and_then(|position| stages.get_mut(*position));
            let stage = stage.ok_or_else(|| InvalidPlan::MethodsWithoutStage(name.clone()))?;
            if methods.is_empty() {
                return Err(InvalidPlan::NoMethods(name.clone()).into());
            }
            let location = Location::OpenMethods {
                stage: name.clone(),
            };
            stage.methods = Some(templates(&location, methods)?);
        }
        Ok(stages)
    }
}

impl StageDraft {
    /// The draft that states a stage as it is, without its open methods.
    pub fn of(stage: &ApiStage) -> Self {
        let throttle = stage.throttle.iter();
        Self {
            api_id: stage.api_id.clone(),
            stage: stage.stage.clone(),
            throttle: throttle
                .map(|(method, throttle)| (method.to_string(), ThrottleDraft::of(throttle)))
                .collect(),
        }
    }

    /// The stage's name among those of the plan, `apiId:stage`.
    pub fn name(&self) -> String {
        format!("{}:{}", self.api_id, self.stage)
    }

    fn check(&self) -> Result<ApiStage, Invalid> {
        if self.api_id.is_empty() {
            return Err(InvalidPlan::ApiIdMissing.into());
        }
        if self.stage.is_empty() {
            return Err(InvalidPlan::StageNameMissing.into());
        }
        let name = self.name();
        if name.parse::<StageId>().is_err() {
            return Err(InvalidPlan::Stage(name).into());
        }
        let throttle = self.throttle.iter().map(|(method, throttle)| {
            let location = Location::StageMethod {
                stage: name.clone(),
                method: method.clone(),
            };
            Ok((template(&location, method)?, throttle.check(&location)?))
        });
        Ok(ApiStage {
            api_id: self.api_id.clone(),
            stage: self.stage.clone(),
            throttle: throttle.collect::<Result<_, Invalid>>()?,
            methods: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use tollgate_core::calendar::PeriodKind;
    use tollgate_core::limit::{Quota, Throttle};
    use tollgate_core::template::MethodTemplate;

    use super::*;
    use crate::input::limits::{LARGEST_NUMBER, QuotaLimit};
    use crate::input::{InvalidSetting, PlanEdit};

    fn record(quota: u64) -> PlanRecord {
        let method: MethodTemplate = "/pets/{id}/GET".parse().expect("a method");
        let throttle = Throttle::new(Some(2.5), Some(5)).expect("a throttle");
        let stage = ApiStage {
            api_id: "api".to_owned(),
            stage: "prod".to_owned(),
            throttle: BTreeMap::from([(method.clone(), throttle)]),
            methods: Some([method].into()),
        };
        PlanRecord {
            id: "plan".into(),
            revision: 1,
            deleted: false,
            name: "name".to_owned(),
            description: None,
            product_code: Some("product".to_owned()),
            tags: Tags::new(),
            created: Timestamp::UNIX_EPOCH,
            limits: Plan {
                throttle: Some(throttle),
                quota: Quota::new(quota, PeriodKind::Week, 6).ok(),
                stages: vec![stage],
            },
        }
    }

    #[test]
    fn a_draft_of_a_plan_states_the_plan_with_a_quota_that_no_caller_could_state() {
        for quota in [0, 10, u64::MAX] {
            let before = record(quota);
            let mut after = before.clone();
            let edit = PlanEdit::of(&before);
            edit.finish().apply(&mut after).expect("valid");
            assert_eq!(after, before);
        }
    }

    #[test]
    fn a_quota_that_a_caller_states_is_bounded() {
        let mut draft = PlanDraft::of(&record(10));
        let mut limit = |limit| {
            draft.quota.get_or_insert_default().limit = Some(QuotaLimit::Given(limit));
            draft.limits()
        };
        assert!(limit(LARGEST_NUMBER).is_ok());
        for number in [-1, LARGEST_NUMBER + 1] {
            let error = limit(number).expect_err("out of range");
            assert!(matches!(
                error,
                Invalid::Setting(InvalidSetting::Number { got, .. }) if got == number
            ));
        }
    }
}
