//! Tollgate's own fields of a key: how long it is good, what it may call, and limits of its own.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use tollgate_core::calendar::day_of;
use tollgate_core::id::{PlanId, StageId};
use tollgate_core::plan::ApiStage;
use tollgate_core::template::MethodTemplate;
use tollgate_core::terms::{Override, Restriction, Terms};
use tollgate_dynamo::item::key::KeyRecord;
use tollgate_dynamo::item::plan::PlanRecord;

use super::plan::{WireThrottle, whole_number};
use super::{bad, seconds};
use crate::error::ApiError;

/// Templates that one list may have.
const MOST_METHODS: usize = 100;

/// A list of methods for each API stage, `apiId:stage`.
pub type Methods = BTreeMap<String, Vec<String>>;

/// The fields of a new key.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(
    rename_all = "camelCase",
    default,
    deny_unknown_fields,
    expecting = "a JSON object"
)]
pub struct NewKeyFields {
    /// From when on requests with the key are refused, epoch seconds.
    pub expires_at: Option<i64>,
    /// The methods that it may call, of all that its plans open. A stage without methods is open to it whole, one that is not
    /// there is closed.
    pub restriction: Option<Methods>,
}

/// The fields of a key, as they are shown.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyFields {
    /// From when on requests with the key are refused, epoch seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<i64>,
    /// Until when the value before the last rotation is good, epoch seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    earlier_value_until: Option<i64>,
    /// The last day on which it was charged, YYYY-MM-DD.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_used_day: Option<String>,
    /// The methods that it may call.
    #[serde(skip_serializing_if = "Option::is_none")]
    restriction: Option<Methods>,
    /// Limits in place of its plans', by plan id.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    overrides: BTreeMap<PlanId, WireOverride>,
}

impl KeyFields {
    /// Those of a key; `None` where it has none, which stock clients would not expect.
    pub(super) fn of(record: &KeyRecord) -> Option<Self> {
        let fields = Self {
            expires_at: record.expires.map(seconds),
            earlier_value_until: record.retiring.as_ref().map(|it| seconds(it.until)),
            last_used_day: None,
            restriction: record.restriction.as_ref().map(|restriction| {
                let stages = restriction.iter();
                stages
                    .map(|(stage, methods)| (stage.to_string(), texts(methods)))
                    .collect()
            }),
            overrides: record
                .overrides
                .iter()
                .map(|(plan, overrides)| (plan.clone(), WireOverride::of(overrides)))
                .collect(),
        };
        (fields != Self::default()).then_some(fields)
    }

    /// With the last day on which it was charged.
    pub(super) fn last_used(&mut self, day: Date) {
        self.last_used_day = Some(day.to_string());
    }
}

/// Limits of a key in place of its plan's.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(
    rename_all = "camelCase",
    default,
    deny_unknown_fields,
    expecting = "a JSON object"
)]
pub struct WireOverride {
    /// In place of the plan's throttle.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub throttle: Option<WireThrottle>,
    /// In place of the limit of the plan's quota.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quota_limit: Option<i64>,
    /// In place of the plan's method throttles, or besides them, by `apiId:stage`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub methods: BTreeMap<String, BTreeMap<String, WireThrottle>>,
    /// The last day on which they hold, YYYY-MM-DD, UTC; without it they always do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
}

impl WireOverride {
    fn of(overrides: &Override) -> Self {
        let throttles = |methods: &BTreeMap<MethodTemplate, _>| {
            let methods = methods.iter();
            methods
                .map(|(method, throttle)| (method.to_string(), WireThrottle::of(throttle)))
                .collect()
        };
        Self {
            throttle: overrides.throttle.as_ref().map(WireThrottle::of),
            quota_limit: overrides
                .quota_limit
                .and_then(|limit| i64::try_from(limit).ok()),
            methods: overrides
                .methods
                .iter()
                .map(|(stage, methods)| (stage.to_string(), throttles(methods)))
                .collect(),
            until: overrides.until.map(|day| day.to_string()),
        }
    }

    /// What it stands for under `plan`.
    ///
    /// # Errors
    /// [`ApiError::BadRequest`] names the field and what was expected.
    pub fn read(&self, plan: &PlanRecord, now: Timestamp) -> Result<Override, ApiError> {
        let path = format!("overrides[{}]", plan.id);
        let methods = self.methods.values().map(BTreeMap::len).sum::<usize>();
        if self.throttle.is_none() && self.quota_limit.is_none() && methods == 0 {
            return Err(bad(format!(
                "{path}: expected throttle, quotaLimit or methods, in place of the plan's"
            )));
        }
        if self
            .throttle
            .is_some_and(|throttle| throttle.rate_limit.is_none())
        {
            return Err(bad(format!("{path}.throttle.rateLimit is required")));
        }
        let throttle = self
            .throttle
            .map(|throttle| throttle.read(&format!("{path}.throttle")));
        let quota_limit = self.quota_limit.map(|limit| {
            if plan.limits.quota.is_none() {
                return Err(bad(format!(
                    "{path}.quotaLimit: the usage plan has no quota, whose limit it could be"
                )));
            }
            whole_number(&format!("{path}.quotaLimit"), limit)
        });
        let mut known = HashMap::new();
        if !self.methods.is_empty() {
            known.extend(plan.limits.stages.iter().map(|stage| (stage.id(), stage)));
        }
        let mut methods = BTreeMap::new();
        for (stage, throttles) in &self.methods {
            let path = format!("{path}.methods[{stage}]");
            let Some(known) = known.get(stage.as_str()) else {
                return Err(bad(format!(
                    "{path}: the usage plan does not open this stage"
                )));
            };
            let read = throttles
                .iter()
                .map(|(method, throttle)| method_override(plan, known, method, *throttle, &path));
            methods.insert(
                StageId::from(stage.as_str()),
                read.collect::<Result<_, _>>()?,
            );
        }
        Ok(Override {
            throttle: throttle.transpose()?,
            quota_limit: quota_limit.transpose()?,
            methods,
            until: self
                .until
                .as_deref()
                .map(|day| last_day(&path, day, now))
                .transpose()?,
        })
    }
}

fn method_override(
    plan: &PlanRecord,
    stage: &ApiStage,
    method: &str,
    throttle: WireThrottle,
    path: &str,
) -> Result<(MethodTemplate, tollgate_core::limit::Throttle), ApiError> {
    let path = format!("{path}[{method}]");
    let template = template(&path, method)?;
    let terms = Terms {
        plan: &plan.limits,
        restriction: None,
        overrides: None,
    };
    if !terms.is_open(stage, &template) {
        return Err(bad(format!(
            "{path}: the usage plan does not open this method"
        )));
    }
    if throttle.rate_limit.is_none() {
        return Err(bad(format!("{path}.rateLimit is required")));
    }
    Ok((template, throttle.read(&path)?))
}

fn last_day(path: &str, text: &str, now: Timestamp) -> Result<Date, ApiError> {
    let today = day_of(now);
    let day = text.parse().ok();
    // The parser takes times as well.
    let day = day.filter(|day| text.len() == "YYYY-MM-DD".len() && *day >= today);
    day.ok_or_else(|| {
        bad(format!(
            "{path}.until: expected the last day, YYYY-MM-DD, from {today} on, got {text:?}"
        ))
    })
}

/// A time to come, of epoch seconds.
///
/// # Errors
/// [`ApiError::BadRequest`] names the range.
pub fn expiry(seconds: i64, now: Timestamp) -> Result<Timestamp, ApiError> {
    let (first, last) = (now.as_second() + 1, Timestamp::MAX.as_second());
    let time = Timestamp::from_second(seconds).ok();
    time.filter(|time| *time > now).ok_or_else(|| {
        bad(format!(
            "Invalid expiresAt: expected epoch seconds in the future, from {first} to {last}, got {seconds}"
        ))
    })
}

/// What a key is restricted to.
///
/// # Errors
/// [`ApiError::BadRequest`] names the stage and what was expected.
pub fn restriction(stages: &Methods) -> Result<Restriction, ApiError> {
    if stages.is_empty() {
        return Err(bad(
            "restriction: expected a map from apiId:stage to a list of /path/METHOD with one stage at least".to_owned(),
        ));
    }
    let read = stages.iter().map(|(stage, methods)| {
        let id: StageId = stage
            .parse()
            .map_err(|error| bad(format!("restriction: {error}, got {stage:?}")))?;
        let methods = templates(&format!("restriction[{stage}]"), methods)?;
        Ok((id, methods))
    });
    read.collect()
}

/// A list of methods.
///
/// # Errors
/// [`ApiError::BadRequest`] names `path` and what was expected.
pub(super) fn templates(
    path: &str,
    methods: &[String],
) -> Result<BTreeSet<MethodTemplate>, ApiError> {
    if methods.len() > MOST_METHODS {
        return Err(bad(format!(
            "{path}: expected at most {MOST_METHODS} methods, got {}",
            methods.len()
        )));
    }
    let read = methods.iter().map(|method| {
        let template = template(path, method)?;
        if template.is_every() {
            return Err(bad(format!(
                "{path}: expected /path/METHOD, got \"*/*\": for all methods, say no list, or /{{proxy+}}/ANY and //ANY"
            )));
        }
        Ok(template)
    });
    read.collect()
}

/// A method that requests can mean.
///
/// # Errors
/// [`ApiError::BadRequest`] names `path` and what was expected.
pub(super) fn template(path: &str, method: &str) -> Result<MethodTemplate, ApiError> {
    let template = method.parse().and_then(MethodTemplate::meant);
    template.map_err(|error| bad(format!("{path}: {error}")))
}

/// Templates as they are shown.
pub(super) fn texts(methods: &BTreeSet<MethodTemplate>) -> Vec<String> {
    methods.iter().map(ToString::to_string).collect()
}

/// A value of a patch that is JSON in a string.
///
/// # Errors
/// [`ApiError::BadRequest`] says what was expected.
pub fn json_value<'a, T: Deserialize<'a>>(
    path: &str,
    value: Option<&'a str>,
    expected: &str,
) -> Result<T, ApiError> {
    serde_json::from_str(value.unwrap_or_default()).map_err(|error| {
        bad(format!(
            "Invalid value for {path}: expected {expected}, as JSON in a string; {error}"
        ))
    })
}
