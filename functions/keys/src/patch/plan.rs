//! What patch operations do to a usage plan.
//!
//! `add` and `replace` do the same on paths that take both: either creates a member that the plan does not have. A quota can get
//! its limit and its period by two operations, so only the plan after all of them has to keep the rules of a plan.

use std::collections::BTreeMap;
use std::str::FromStr;

use tollgate_admin::input::{PlanDraft, PlanEdit, QuotaLimit, StageDraft, ThrottleDraft};
use tollgate_api::Op;
use tollgate_api::limits::ThrottleSettings;

use super::Change;
use super::paths::{METHODS, entry};
use super::stage_path::{Part, StagePath};
use crate::draft;
use crate::error::ApiError;
use crate::request::json_value;

/// Makes a change.
///
/// # Errors
/// 400 for a value that cannot be, 404 for a stage to remove that the plan does not have.
pub fn apply(change: &Change, edit: &mut PlanEdit) -> Result<(), ApiError> {
    let draft = &mut edit.draft;
    match change.path.as_str() {
        "/name" => draft.name.clone_from(&change.value),
        "/description" => draft.description.clone_from(&change.value),
        "/productCode" if change.op == Op::Remove => draft.product_code = None,
        "/productCode" => draft.product_code.clone_from(&change.value),
        "/apiStages" if change.op == Op::Remove => edit.remove_stage(change.text())?,
        "/apiStages" => edit.add_stage(change.text())?,
        path if path.starts_with("/quota") => quota(change, draft)?,
        path if path.starts_with("/throttle") => throttle(change, draft)?,
        path => {
            if let Some(stage) = entry(path, METHODS) {
                open_methods(stage, change, draft)?;
            } else if let Some(StagePath { stage, part }) = StagePath::parse(path) {
                stage_throttle(&part, change, edit.stage(&stage)?)?;
            }
        }
    }
    Ok(())
}

fn quota(change: &Change, draft: &mut PlanDraft) -> Result<(), ApiError> {
    if change.path == "/quota" {
        draft.quota = None;
        return Ok(());
    }
    let quota = draft.quota.get_or_insert_default();
    match change.path.as_str() {
        "/quota/limit" => quota.limit = Some(QuotaLimit::Given(whole_number(change)?)),
        "/quota/offset" => quota.offset = Some(whole_number(change)?),
        _ => quota.period.clone_from(&change.value),
    }
    Ok(())
}

fn throttle(change: &Change, draft: &mut PlanDraft) -> Result<(), ApiError> {
    if change.path == "/throttle" {
        draft.throttle = None;
        return Ok(());
    }
    let throttle = draft.throttle.get_or_insert_default();
    match change.path.as_str() {
        "/throttle/rateLimit" => throttle.rate_limit = Some(number(change, "number")?),
        _ => throttle.burst_limit = Some(whole_number(change)?),
    }
    Ok(())
}

/// Changes the open methods of a stage.
fn open_methods(stage: &str, change: &Change, draft: &mut PlanDraft) -> Result<(), ApiError> {
    if change.op == Op::Remove {
        draft.methods.remove(stage);
        return Ok(());
    }
    let methods = json_value(&change.path, change.text(), "a list of /path/METHOD")?;
    draft.methods.insert(stage.to_owned(), methods);
    Ok(())
}

/// Changes the throttles of a stage, or one of them.
fn stage_throttle(part: &Part, change: &Change, stage: &mut StageDraft) -> Result<(), ApiError> {
    match part {
        Part::All if change.op == Op::Remove => stage.throttle.clear(),
        Part::All => stage.throttle = throttles(change)?,
        Part::Method(method) => stage.remove_throttle(method)?,
        Part::Rate(method) => {
            let throttle = stage.throttle.entry(method.clone()).or_default();
            throttle.rate_limit = Some(number(change, "number")?);
        }
        Part::Burst(method) => {
            let throttle = stage.throttle.entry(method.clone()).or_default();
            throttle.burst_limit = Some(whole_number(change)?);
        }
    }
    Ok(())
}

/// The value of all throttles of a stage: a JSON map in a string.
fn throttles(change: &Change) -> Result<BTreeMap<String, ThrottleDraft>, ApiError> {
    let settings: BTreeMap<String, ThrottleSettings> = serde_json::from_str(change.text())
        .map_err(|error| {
            ApiError::BadRequest(format!(
                "Invalid value for {}: expected a JSON map from /path/METHOD to rateLimit and burstLimit; {error}",
                change.path
            ))
        })?;
    let settings = settings.into_iter();
    Ok(settings
        .map(|(method, settings)| (method, draft::throttle(settings)))
        .collect())
}

fn whole_number(change: &Change) -> Result<i64, ApiError> {
    number(change, "whole number")
}

/// A number, which a patch holds as text.
fn number<T: FromStr>(change: &Change, kind: &str) -> Result<T, ApiError> {
    let text = change.text();
    text.trim().parse().map_err(|_| {
        ApiError::BadRequest(format!(
            "Invalid value for {}: expected a {kind}, got {text:?}",
            change.path
        ))
    })
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use tollgate_core::plan::Plan;
    use tollgate_dynamo::item::plan::PlanRecord;

    use super::*;

    fn patched(operations: &[(Op, &str, &str)]) -> Result<PlanDraft, String> {
        let record = PlanRecord {
            id: "".into(),
            revision: 1,
            deleted: false,
            name: String::new(),
            description: None,
            product_code: None,
            tags: BTreeMap::new(),
            created: Timestamp::UNIX_EPOCH,
            limits: Plan::default(),
        };
        let mut edit = PlanEdit::of(&record);
        for (op, path, value) in operations {
            let change = Change {
                op: *op,
                path: (*path).to_owned(),
                value: Some((*value).to_owned()),
            };
            apply(&change, &mut edit).map_err(|error| error.to_string())?;
        }
        Ok(edit.finish())
    }

    #[test]
    fn replace_creates_what_was_not_there() {
        let plan = patched(&[
            (Op::Replace, "/throttle/rateLimit", "2.5"),
            (Op::Replace, "/quota/limit", "10"),
            (Op::Replace, "/quota/period", "WEEK"),
            (Op::Replace, "/quota/offset", "6"),
        ])
        .expect("valid");
        let limits = plan.limits().expect("whole");
        assert_eq!(
            limits.throttle.and_then(|throttle| throttle.rate_limit()),
            Some(2.5)
        );
        assert_eq!(limits.quota.map(|quota| quota.offset()), Some(6));
    }

    #[test]
    fn methods_are_the_same_escaped_and_raw() {
        let plan = patched(&[
            (Op::Add, "/apiStages", "a:s"),
            (
                Op::Add,
                "/apiStages/a:s/throttle/~1pets~1{id}/GET/rateLimit",
                "1",
            ),
            (
                Op::Replace,
                "/apiStages/a:s/throttle//pets/{id}/GET/burstLimit",
                "7",
            ),
            (Op::Replace, "/apiStages/a:s/throttle///GET/burstLimit", "3"),
        ])
        .expect("valid");
        let throttle = &plan.stages[0].throttle;
        let both = ThrottleDraft {
            rate_limit: Some(1.0),
            burst_limit: Some(7),
        };
        assert_eq!(throttle.get("/pets/{id}/GET"), Some(&both));
        assert_eq!(
            throttle.get("//GET").and_then(|root| root.burst_limit),
            Some(3)
        );
        assert!(plan.limits().is_ok());
    }

    #[test]
    fn a_stage_that_is_malformed_or_not_there_cannot_be_removed() {
        for value in ["", "a", ":s", "a:"] {
            let error = patched(&[(Op::Remove, "/apiStages", value)]).expect_err("invalid");
            assert_eq!(error, "Invalid API Stage specified");
        }
        let error = patched(&[(Op::Remove, "/apiStages", "a:s")]).expect_err("not there");
        assert!(
            error.starts_with("Invalid API Stage {api: a, stage: s}"),
            "{error}"
        );
    }

    #[test]
    fn a_whole_throttle_is_a_json_map() {
        let map = r#"{"/pets/GET": {"rateLimit": 5, "burstLimit": 1}}"#;
        let path = "/apiStages/a:s/throttle";
        let plan = patched(&[(Op::Add, "/apiStages", "a:s"), (Op::Replace, path, map)]);
        assert_eq!(plan.expect("valid").stages[0].throttle.len(), 1);
        let error = patched(&[(Op::Add, "/apiStages", "a:s"), (Op::Add, path, "5")]);
        assert!(error.expect_err("invalid").contains("expected a JSON map"));
    }
}
