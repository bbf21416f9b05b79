//! What patch operations do to a usage plan. They work on its wire shape; only the whole has to make sense.

use std::collections::{BTreeMap, HashMap};
use std::str::FromStr;

use super::{METHOD, METHOD_BURST, METHOD_RATE, Op, Operation, STAGE_THROTTLE};
use crate::error::ApiError;
use crate::wire::key::json_value;
use crate::wire::{UsagePlan, WireStage, WireThrottle, bad};

/// Where the open methods of stages are.
const METHODS: &str = "/tollgate/methods/";

/// What follows `/apiStages/`: a stage's throttle, one method's, or one number of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StagePath {
    /// `apiId:stage`.
    stage: String,
    /// `/path/METHOD`.
    method: Option<String>,
    number: Option<Number>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Number {
    Rate,
    Burst,
}

impl StagePath {
    pub(super) fn parse(rest: &str) -> Option<Self> {
        let (stage, rest) = rest.split_once('/')?;
        let stage = unescape(stage);
        let rest = rest.strip_prefix("throttle")?;
        if rest.is_empty() {
            return Some(Self {
                stage,
                method: None,
                number: None,
            });
        }
        let rest = rest.strip_prefix('/')?;
        let (rest, number) = match rest.rsplit_once('/')? {
            (method, "rateLimit") => (method, Some(Number::Rate)),
            (method, "burstLimit") => (method, Some(Number::Burst)),
            _ => (rest, None),
        };
        let (path, method) = rest.rsplit_once('/')?;
        Some(Self {
            stage,
            method: Some(format!("{}/{method}", unescape(path))),
            number,
        })
    }

    pub(super) fn pattern(&self) -> &'static str {
        match (&self.method, self.number) {
            (None, _) => STAGE_THROTTLE,
            (Some(_), None) => METHOD,
            (Some(_), Some(Number::Rate)) => METHOD_RATE,
            (Some(_), Some(Number::Burst)) => METHOD_BURST,
        }
    }
}

/// JSON Pointer's escapes (RFC 6901): `~1` is a slash, `~0` a tilde.
fn unescape(text: &str) -> String {
    text.replace("~1", "/").replace("~0", "~")
}

/// A plan that is being patched. Its stages are found by name: a search by each operation would cost the product of both.
pub struct Patched {
    plan: UsagePlan,
    /// The plan's stages in their order; `None` in the place of one that was removed.
    stages: Vec<Option<WireStage>>,
    /// Where each stage is.
    places: HashMap<String, usize>,
}

impl Patched {
    /// A plan before its first change.
    pub fn of(mut plan: UsagePlan) -> Self {
        let stages = std::mem::take(&mut plan.api_stages);
        let names = stages.iter().map(WireStage::name);
        Self {
            places: names.zip(0..).collect(),
            stages: stages.into_iter().map(Some).collect(),
            plan,
        }
    }

    /// The plan after all changes.
    pub fn into_plan(self) -> UsagePlan {
        UsagePlan {
            api_stages: self.stages.into_iter().flatten().collect(),
            ..self.plan
        }
    }

    /// Makes one change. `add` and `replace` are the same where both are allowed: either creates what is not there.
    ///
    /// # Errors
    /// [`ApiError`] for a value that cannot be, or a stage that is not there.
    pub fn apply(&mut self, operation: &Operation) -> Result<(), ApiError> {
        let plan = &mut self.plan;
        let removes = operation.op == Op::Remove;
        match operation.path.as_str() {
            "/name" => plan.name.clone_from(&operation.value),
            "/description" => plan.description.clone_from(&operation.value),
            "/productCode" if removes => plan.product_code = None,
            "/productCode" => plan.product_code.clone_from(&operation.value),
            "/quota" => plan.quota = None,
            "/quota/limit" => {
                let quota = plan.quota.get_or_insert_default();
                quota.limit = Some(number(operation)?);
                quota.stored_limit = None;
            }
            "/quota/offset" => plan.quota.get_or_insert_default().offset = Some(number(operation)?),
            "/quota/period" => {
                let quota = plan.quota.get_or_insert_default();
                quota.period.clone_from(&operation.value);
            }
            "/throttle" => plan.throttle = None,
            "/throttle/rateLimit" => {
                plan.throttle.get_or_insert_default().rate_limit = Some(number(operation)?);
            }
            "/throttle/burstLimit" => {
                plan.throttle.get_or_insert_default().burst_limit = Some(number(operation)?);
            }
            "/apiStages" => self.change_stages(operation)?,
            path if let Some(stage) = super::entry(path, METHODS) => {
                methods(stage, operation, plan)?;
            }
            path => {
                let rest = path.strip_prefix("/apiStages/").unwrap_or_default();
                if let Some(path) = StagePath::parse(rest) {
                    self.throttle(&path, operation)?;
                }
            }
        }
        Ok(())
    }

    fn change_stages(&mut self, operation: &Operation) -> Result<(), ApiError> {
        let value = operation.value.as_deref().unwrap_or_default();
        let invalid = || bad("Invalid API Stage specified".to_owned());
        let (api_id, stage) = value.split_once(':').ok_or_else(invalid)?;
        if api_id.is_empty() || stage.is_empty() {
            return Err(invalid());
        }
        if operation.op == Op::Remove {
            let Some(place) = self.places.remove(value) else {
                let id = self.plan.id.as_deref().unwrap_or_default();
                return Err(ApiError::NotFound(format!(
                    "Invalid API Stage {{api: {api_id}, stage: {stage}}} specified for usageplan {id}"
                )));
            };
            self.stages[place] = None;
            if let Some(own) = &mut self.plan.tollgate {
                own.methods.remove(value);
            }
        } else if !self.places.contains_key(value) {
            self.places.insert(value.to_owned(), self.stages.len());
            self.stages.push(Some(WireStage {
                api_id: api_id.to_owned(),
                stage: stage.to_owned(),
                ..WireStage::default()
            }));
        }
        Ok(())
    }

    fn throttle(&mut self, path: &StagePath, operation: &Operation) -> Result<(), ApiError> {
        let place = self.places.get(&path.stage).copied();
        let Some(Some(stage)) = place.and_then(|place| self.stages.get_mut(place)) else {
            return Err(bad(format!(
                "Invalid API Stage specified: {} is not in this usage plan",
                path.stage
            )));
        };
        let throttles = &mut stage.throttle;
        match (&path.method, path.number) {
            (None, _) if operation.op == Op::Remove => throttles.clear(),
            (None, _) => *throttles = throttle_map(operation)?,
            (Some(method), None) => {
                if throttles.remove(method).is_none() {
                    return Err(bad(format!(
                        "Invalid method specified: {method} has no throttle to remove"
                    )));
                }
            }
            (Some(method), Some(which)) => {
                let throttle: &mut WireThrottle = throttles.entry(method.clone()).or_default();
                match which {
                    Number::Rate => throttle.rate_limit = Some(number(operation)?),
                    Number::Burst => throttle.burst_limit = Some(number(operation)?),
                }
            }
        }
        Ok(())
    }
}

/// Which methods of a stage are open.
fn methods(stage: &str, operation: &Operation, plan: &mut UsagePlan) -> Result<(), ApiError> {
    let own = &mut plan.tollgate.get_or_insert_default().methods;
    if operation.op == Op::Remove {
        own.remove(stage);
        return Ok(());
    }
    let value = operation.value.as_deref();
    let listed = json_value(&operation.path, value, "a list of /path/METHOD")?;
    own.insert(stage.to_owned(), listed);
    Ok(())
}

/// The value of a whole throttle is a JSON map in a string.
fn throttle_map(operation: &Operation) -> Result<BTreeMap<String, WireThrottle>, ApiError> {
    let value = operation.value.as_deref().unwrap_or_default();
    serde_json::from_str(value).map_err(|error| {
        bad(format!(
            "Invalid value for {}: expected a JSON map from /path/METHOD to rateLimit and burstLimit; {error}",
            operation.path
        ))
    })
}

/// Numbers come as strings.
fn number<T: FromStr>(operation: &Operation) -> Result<T, ApiError> {
    let value = operation.value.as_deref().unwrap_or_default();
    value.trim().parse().map_err(|_| {
        bad(format!(
            "Invalid value for {}: expected a {}, got {value:?}",
            operation.path,
            if operation.path.ends_with("rateLimit") {
                "number"
            } else {
                "whole number"
            }
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patched(operations: &[(Op, &str, &str)]) -> Result<UsagePlan, String> {
        let mut patched = Patched::of(UsagePlan::default());
        for (op, path, value) in operations {
            let operation = Operation {
                op: *op,
                path: (*path).to_owned(),
                value: Some((*value).to_owned()),
            };
            patched
                .apply(&operation)
                .map_err(|error| error.to_string())?;
        }
        Ok(patched.into_plan())
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
        let throttle = &plan.api_stages[0].throttle;
        let both = WireThrottle {
            rate_limit: Some(1.0),
            burst_limit: Some(7),
            ..WireThrottle::default()
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
        assert_eq!(plan.expect("valid").api_stages[0].throttle.len(), 1);
        let error = patched(&[(Op::Add, "/apiStages", "a:s"), (Op::Add, path, "5")]);
        assert!(error.expect_err("invalid").contains("expected a JSON map"));
    }
}
