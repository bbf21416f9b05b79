//! The API stages that a key names. They come from before usage plans: they are kept and shown, and no decision goes by them.

use std::collections::HashSet;

use serde::Deserialize;

use super::{ObjectOnly, bad};
use crate::error::ApiError;
use crate::patch::{Op, Operation};
use tollgate_core::id::StageId;

/// Stages that a key can name at most.
const MOST: usize = 100;

/// `StageKey`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, expecting = "a JSON object")]
pub struct StageKey {
    rest_api_id: Option<String>,
    stage_name: Option<String>,
    #[serde(flatten)]
    _object: ObjectOnly,
}

/// The stages of a new key, as they are shown: `restApiId/stageName`, each once.
///
/// # Errors
/// [`ApiError::BadRequest`] for too many stages, or one that cannot be.
pub fn stage_keys(given: Option<Vec<StageKey>>) -> Result<Vec<String>, ApiError> {
    let mut seen = HashSet::new();
    let mut stages = Vec::new();
    for StageKey {
        rest_api_id,
        stage_name,
        ..
    } in given.unwrap_or_default()
    {
        let api_id = rest_api_id.unwrap_or_default();
        let stage = format!("{api_id}/{}", stage_name.unwrap_or_default());
        check(&stage)?;
        if seen.insert(stage.clone()) {
            stages.push(stage);
        }
    }
    bound(&stages)?;
    Ok(stages)
}

/// Adds or removes one stage.
///
/// # Errors
/// [`ApiError::BadRequest`] for a stage that cannot be, or one too many; [`ApiError::NotFound`] for the removal of one that the
/// key does not name.
pub fn patch(operation: &Operation, stages: &mut Vec<String>) -> Result<(), ApiError> {
    let stage = operation.value.as_deref().unwrap_or_default();
    check(stage)?;
    let place = stages.iter().position(|known| known == stage);
    match (operation.op, place) {
        (Op::Remove, Some(place)) => drop(stages.remove(place)),
        (Op::Remove, None) => {
            return Err(ApiError::NotFound(format!(
                "Invalid stage key specified: the API key does not name {stage}"
            )));
        }
        (_, Some(_)) => {}
        (_, None) => stages.push(stage.to_owned()),
    }
    bound(stages)
}

fn check(stage: &str) -> Result<(), ApiError> {
    if stage.replacen('/', ":", 1).parse::<StageId>().is_ok() {
        return Ok(());
    }
    Err(bad(format!(
        "Invalid stage key specified: expected a restApiId and a stageName of ASCII letters, digits and -_.$, got {stage:?}"
    )))
}

fn bound(stages: &[String]) -> Result<(), ApiError> {
    if stages.len() > MOST {
        return Err(bad(format!(
            "Invalid stageKeys: expected at most {MOST}, got {}",
            stages.len()
        )));
    }
    Ok(())
}
