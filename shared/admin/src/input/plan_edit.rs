//! Changes of a plan, one after the other. Only the plan after all of them has to keep the rules of a plan.

use std::collections::HashMap;

use tollgate_core::id::PlanId;
use tollgate_dynamo::item::plan::PlanRecord;

use super::{PlanDraft, StageDraft};

/// A plan that is being changed.
///
/// It finds stages by name: a search for each change would cost the product of changes and stages.
#[derive(Debug, Clone)]
pub struct PlanEdit {
    /// The plan without its stages.
    pub draft: PlanDraft,
    plan: PlanId,
    /// The stages in their order; `None` in the place of one that was removed.
    stages: Vec<Option<StageDraft>>,
    /// The index of each stage.
    positions: HashMap<String, usize>,
}

/// A change of a plan's stages that cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEdit {
    /// A text that is not of the form `apiId:stage`.
    #[error("expected an API stage as apiId:stage")]
    Stage,
    /// A stage to remove that the plan does not have.
    #[error("plan {plan} does not have stage {api_id}:{stage}")]
    NotThere {
        /// The plan.
        plan: PlanId,
        /// The API's id.
        api_id: String,
        /// The stage's name.
        stage: String,
    },
    /// A throttle for a stage that the plan does not have.
    #[error("the plan does not have stage {0}")]
    ThrottleWithoutStage(String),
    /// A throttle to remove that the method does not have.
    #[error("method {0} has no throttle")]
    NoThrottle(String),
}

impl PlanEdit {
    /// A plan before its first change.
    pub fn of(record: &PlanRecord) -> Self {
        let mut draft = PlanDraft::of(record);
        let stages = std::mem::take(&mut draft.stages);
        let names = stages.iter().map(StageDraft::name);
        Self {
            positions: names.zip(0..).collect(),
            stages: stages.into_iter().map(Some).collect(),
            plan: record.id.clone(),
            draft,
        }
    }

    /// The plan after all changes.
    pub fn finish(self) -> PlanDraft {
        PlanDraft {
            stages: self.stages.into_iter().flatten().collect(),
            ..self.draft
        }
    }

    /// Adds the stage `apiId:stage`, unless the plan has it.
    ///
    /// # Errors
    /// [`InvalidEdit::Stage`].
    pub fn add_stage(&mut self, name: &str) -> Result<(), InvalidEdit> {
        let (api_id, stage) = split(name)?;
        if !self.positions.contains_key(name) {
            self.positions.insert(name.to_owned(), self.stages.len());
            self.stages.push(Some(StageDraft {
                api_id: api_id.to_owned(),
                stage: stage.to_owned(),
                ..StageDraft::default()
            }));
        }
        Ok(())
    }

    /// Removes the stage `apiId:stage`, with its throttles and open methods.
    ///
    /// # Errors
    /// [`InvalidEdit::Stage`], [`InvalidEdit::NotThere`].
    pub fn remove_stage(&mut self, name: &str) -> Result<(), InvalidEdit> {
        let (api_id, stage) = split(name)?;
        let position = self.positions.remove(name);
        let position = position.ok_or_else(|| InvalidEdit::NotThere {
            plan: self.plan.clone(),
            api_id: api_id.to_owned(),
            stage: stage.to_owned(),
        })?;
        self.stages[position] = None;
        self.draft.methods.remove(name);
        Ok(())
    }

    /// The stage `apiId:stage`, whose throttles are going to change.
    ///
    /// # Errors
    /// [`InvalidEdit::ThrottleWithoutStage`].
    pub fn stage(&mut self, name: &str) -> Result<&mut StageDraft, InvalidEdit> {
        let position = self.positions.get(name);
        let stage = position.and_then(|position| self.stages.get_mut(*position)?.as_mut());
        stage.ok_or_else(|| InvalidEdit::ThrottleWithoutStage(name.to_owned()))
    }
}

impl StageDraft {
    /// Removes a method's throttle.
    ///
    /// # Errors
    /// [`InvalidEdit::NoThrottle`].
    pub fn remove_throttle(&mut self, method: &str) -> Result<(), InvalidEdit> {
        let removed = self.throttle.remove(method).map(drop);
        removed.ok_or_else(|| InvalidEdit::NoThrottle(method.to_owned()))
    }
}

fn split(name: &str) -> Result<(&str, &str), InvalidEdit> {
    let parts = name.split_once(':');
    parts
        .filter(|(api_id, stage)| !api_id.is_empty() && !stage.is_empty())
        .ok_or(InvalidEdit::Stage)
}
