//! The API stages that a key names, `restApiId/stageName`. They date from before usage plans: management keeps and shows them,
//! and no decision depends on them.

use std::collections::HashSet;

use tollgate_core::id::StageId;

/// Stages that a key can name.
const MAX_STAGES: usize = 100;

/// Stages that break a rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidStageKeys {
    /// A text that can name no stage.
    #[error(
        "expected an API's id, a slash and a stage's name, of ASCII letters, digits and -_.$; got {0:?}"
    )]
    Stage(String),
    /// Too many for one key.
    #[error("a key can name {max} stages, got {got}")]
    TooMany {
        /// Stages that it can name.
        max: usize,
        /// Stages that it would name.
        got: usize,
    },
    /// A stage to remove that the key does not name.
    #[error("the key does not name stage {0}")]
    NotNamed(String),
}

/// The stages of a new key, each once.
///
/// # Errors
/// [`InvalidStageKeys::Stage`], [`InvalidStageKeys::TooMany`].
pub fn stage_keys(given: Vec<String>) -> Result<Vec<String>, InvalidStageKeys> {
    let mut seen = HashSet::new();
    let mut stages = Vec::new();
    for stage in given {
        check(&stage)?;
        if seen.insert(stage.clone()) {
            stages.push(stage);
        }
    }
    check_number(&stages)?;
    Ok(stages)
}

/// Adds a stage to those that a key names, if it is not among them.
///
/// # Errors
/// [`InvalidStageKeys::Stage`], [`InvalidStageKeys::TooMany`].
pub fn add(stages: &mut Vec<String>, stage: &str) -> Result<(), InvalidStageKeys> {
    check(stage)?;
    if !stages.iter().any(|named| named == stage) {
        stages.push(stage.to_owned());
    }
    check_number(stages)
}

/// Removes a stage from those that a key names.
///
/// # Errors
/// [`InvalidStageKeys::Stage`], [`InvalidStageKeys::NotNamed`].
pub fn remove(stages: &mut Vec<String>, stage: &str) -> Result<(), InvalidStageKeys> {
    check(stage)?;
    let position = stages.iter().position(|named| named == stage);
    let position = position.ok_or_else(|| InvalidStageKeys::NotNamed(stage.to_owned()))?;
    stages.remove(position);
    check_number(stages)
}

fn check(stage: &str) -> Result<(), InvalidStageKeys> {
    let invalid = || InvalidStageKeys::Stage(stage.to_owned());
    let (api_id, name) = stage.split_once('/').ok_or_else(invalid)?;
    let id = StageId::new(api_id, name).parse::<StageId>();
    id.map(drop).map_err(|_| invalid())
}

fn check_number(stages: &[String]) -> Result<(), InvalidStageKeys> {
    if stages.len() > MAX_STAGES {
        return Err(InvalidStageKeys::TooMany {
            max: MAX_STAGES,
            got: stages.len(),
        });
    }
    Ok(())
}
