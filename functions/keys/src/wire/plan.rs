//! The shapes of usage plans, and the limits that they state.

use std::collections::{BTreeMap, HashMap};

use serde::de::Error as _;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tollgate_core::calendar::PeriodKind;
use tollgate_core::id::StageId;
use tollgate_core::limit::{Quota, Throttle};
use tollgate_core::plan::{ApiStage, Plan};
use tollgate_dynamo::item::plan::PlanRecord;

use super::key::{Methods, template, templates, texts};
use super::{MAX_INTEGER, ObjectOnly, Tags, bad, object};
use crate::error::ApiError;

/// API stages of a plan at most. A plan is one item of at most 400 KB, and a stage takes 30 bytes and its names.
const MOST_STAGES: usize = 10_000;
/// Method throttles of a plan at most, over all of its stages. Each takes 20 bytes and its path.
const MOST_METHOD_THROTTLES: usize = 10_000;

/// `UsagePlan`: what is created, shown, and changed by patches.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(expecting = "a JSON object")]
#[serde(rename_all = "camelCase")]
pub struct UsagePlan {
    /// Its id.
    #[serde(default, skip_serializing_if = "Option::is_none", skip_deserializing)]
    pub id: Option<String>,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its description.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The stages it opens, present even where there is none.
    #[serde(default, deserialize_with = "or_default")]
    pub api_stages: Vec<WireStage>,
    /// Its throttle.
    #[serde(
        default,
        deserialize_with = "of_the_plan",
        skip_serializing_if = "Option::is_none"
    )]
    pub throttle: Option<WireThrottle>,
    /// Its quota.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<WireQuota>,
    /// The AWS Marketplace product it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none", skip_deserializing)]
    pub product_code: Option<String>,
    /// Its tags.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<Tags>,
    /// Tollgate's own.
    #[serde(
        default,
        deserialize_with = "object",
        skip_serializing_if = "Option::is_none"
    )]
    pub tollgate: Option<PlanFields>,
    /// Not a list.
    #[serde(flatten)]
    pub object: ObjectOnly,
}

/// Tollgate's own fields of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a JSON object")]
pub struct PlanFields {
    /// The methods that are open, of the stages that do not open all.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub methods: Methods,
}

impl PlanFields {
    fn of(limits: &Plan) -> Option<Self> {
        let listed = limits.stages.iter().filter_map(|stage| {
            let methods = stage.methods.as_ref()?;
            Some((stage.id().to_string(), texts(methods)))
        });
        let methods: Methods = listed.collect();
        (!methods.is_empty()).then_some(Self { methods })
    }
}

/// A missing member and `null` are the same to AWS's clients.
fn or_default<'de, D: serde::Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// A plan's own throttle. Unknown members are ignored, but one that is an object is a method's throttle in the wrong place:
/// without an error the method would have no limit.
fn of_the_plan<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<WireThrottle>, D::Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase", expecting = "a JSON object")]
    struct OfThePlan {
        burst_limit: Option<i64>,
        rate_limit: Option<f64>,
        #[serde(flatten)]
        others: BTreeMap<String, Value>,
    }

    let Some(given) = Option::<OfThePlan>::deserialize(deserializer)? else {
        return Ok(None);
    };
    let mut others = given.others.iter();
    if let Some((method, _)) = others.find(|(_, value)| value.is_object()) {
        return Err(D::Error::custom(format!(
            "expected rateLimit and burstLimit, got {method:?}; throttles of methods belong in apiStages[].throttle"
        )));
    }
    Ok(Some(WireThrottle {
        burst_limit: given.burst_limit,
        rate_limit: given.rate_limit,
        object: ObjectOnly {},
    }))
}

/// `ApiStage`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(expecting = "a JSON object")]
#[serde(rename_all = "camelCase")]
pub struct WireStage {
    /// The API's id.
    #[serde(default, deserialize_with = "or_default")]
    pub api_id: String,
    /// The stage's name.
    #[serde(default, deserialize_with = "or_default")]
    pub stage: String,
    /// Throttles by method template.
    #[serde(
        default,
        deserialize_with = "or_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub throttle: BTreeMap<String, WireThrottle>,
    /// Not a list.
    #[serde(flatten)]
    pub object: ObjectOnly,
}

/// `ThrottleSettings`.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(expecting = "a JSON object")]
#[serde(rename_all = "camelCase")]
pub struct WireThrottle {
    /// Requests that may come at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst_limit: Option<i64>,
    /// Requests per second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<f64>,
    /// Not a list.
    #[serde(flatten)]
    pub object: ObjectOnly,
}

/// `QuotaSettings`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(expecting = "a JSON object")]
pub struct WireQuota {
    /// Requests per period.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<i64>,
    /// The day the period starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<i64>,
    /// DAY, WEEK or MONTH.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period: Option<String>,
    /// The limit as an earlier release stored it, if it is larger than `limit` can show. A patch of something else keeps it.
    #[serde(skip)]
    pub stored_limit: Option<u64>,
    /// Not a list.
    #[serde(flatten)]
    pub object: ObjectOnly,
}

impl UsagePlan {
    /// A plan without its tags.
    pub fn of(record: PlanRecord) -> Self {
        Self {
            tollgate: PlanFields::of(&record.limits),
            id: Some(record.id.into()),
            name: Some(record.name),
            description: record.description,
            api_stages: record.limits.stages.iter().map(WireStage::of).collect(),
            throttle: record.limits.throttle.as_ref().map(WireThrottle::of),
            quota: record.limits.quota.as_ref().map(WireQuota::of),
            product_code: record.product_code,
            tags: None,
            object: ObjectOnly {},
        }
    }

    /// With its tags.
    pub fn tagged(record: PlanRecord) -> Self {
        let tags = Some(record.tags.clone());
        Self {
            tags,
            ..Self::of(record)
        }
    }

    /// As it is answered when it is made: with the tags that were given.
    pub fn created(record: PlanRecord) -> Self {
        let tags = Some(record.tags.clone()).filter(|tags| !tags.is_empty());
        Self {
            tags,
            ..Self::of(record)
        }
    }

    /// Refuses what no item of 400 KB can hold before anything is done with it.
    fn check_size(&self) -> Result<(), ApiError> {
        let stages = self.api_stages.len();
        if stages > MOST_STAGES {
            return Err(bad(format!(
                "apiStages: expected at most {MOST_STAGES} API stages in a usage plan, got {stages}"
            )));
        }
        let methods = self.api_stages.iter().map(|stage| stage.throttle.len());
        let methods = methods.sum::<usize>();
        if methods > MOST_METHOD_THROTTLES {
            return Err(bad(format!(
                "apiStages: expected at most {MOST_METHOD_THROTTLES} method throttles in a usage plan, got {methods}"
            )));
        }
        Ok(())
    }

    /// The limits it states.
    ///
    /// # Errors
    /// [`ApiError::BadRequest`] names the field and what was expected.
    pub fn limits(&self) -> Result<Plan, ApiError> {
        self.check_size()?;
        let mut stages: Vec<ApiStage> = Vec::with_capacity(self.api_stages.len());
        let mut places = HashMap::with_capacity(self.api_stages.len());
        for stage in &self.api_stages {
            let stage = stage.read()?;
            if places.insert(stage.id(), stages.len()).is_some() {
                return Err(bad(format!("apiStages names {} twice", stage.id())));
            }
            stages.push(stage);
        }
        let own = self.tollgate.iter().flat_map(|own| &own.methods);
        for (name, methods) in own {
            let path = format!("tollgate.methods[{name}]");
            let Some(stage) = places
                .get(name.as_str())
                .and_then(|place| stages.get_mut(*place))
            else {
                return Err(bad(format!(
                    "{path}: expected one of the plan's apiStages, as apiId:stage"
                )));
            };
            if methods.is_empty() {
                return Err(bad(format!(
                    "{path}: expected a list of /path/METHOD with one method at least; without a list all are open"
                )));
            }
            stage.methods = Some(templates(&path, methods)?);
        }
        Ok(Plan {
            throttle: self
                .throttle
                .map(|throttle| throttle.read("throttle"))
                .transpose()?,
            quota: self.quota.as_ref().map(WireQuota::read).transpose()?,
            stages,
        })
    }
}

impl WireStage {
    fn of(stage: &ApiStage) -> Self {
        let throttle = stage.throttle.iter();
        Self {
            api_id: stage.api_id.clone(),
            stage: stage.stage.clone(),
            throttle: throttle
                .map(|(template, throttle)| (template.to_string(), WireThrottle::of(throttle)))
                .collect(),
            object: ObjectOnly {},
        }
    }

    /// `apiId:stage`, the name of a stage in PATCH values.
    pub fn name(&self) -> String {
        format!("{}:{}", self.api_id, self.stage)
    }

    fn read(&self) -> Result<ApiStage, ApiError> {
        let missing = [("apiId", &self.api_id), ("stage", &self.stage)];
        if let Some((missing, _)) = missing.iter().find(|(_, part)| part.is_empty()) {
            return Err(bad(format!(
                "Invalid API Stage specified: each of apiStages needs {missing}, which must not be empty"
            )));
        }
        if self.name().parse::<StageId>().is_err() {
            return Err(bad(format!(
                "Invalid API Stage specified: expected an apiId and a stage of ASCII letters, digits and -_.$, got {:?}",
                self.name()
            )));
        }
        let throttle = self.throttle.iter().map(|(method, throttle)| {
            let path = format!("apiStages[{}].throttle[{method}]", self.name());
            Ok((template(&path, method)?, throttle.read(&path)?))
        });
        Ok(ApiStage {
            api_id: self.api_id.clone(),
            stage: self.stage.clone(),
            throttle: throttle.collect::<Result<_, ApiError>>()?,
            methods: None,
        })
    }
}

impl WireThrottle {
    pub(super) fn of(throttle: &Throttle) -> Self {
        Self {
            burst_limit: throttle.burst_limit().map(i64::from),
            rate_limit: throttle.rate_limit(),
            object: ObjectOnly {},
        }
    }

    pub(super) fn read(self, path: &str) -> Result<Throttle, ApiError> {
        let burst = match self.burst_limit {
            None => None,
            Some(burst @ 0..=MAX_INTEGER) => u32::try_from(burst).ok(),
            Some(burst) => {
                return Err(bad(format!(
                    "{path}.burstLimit must be a whole number from 0 to {MAX_INTEGER}, got {burst}"
                )));
            }
        };
        Throttle::new(self.rate_limit, burst).map_err(|error| bad(format!("{path}: {error}")))
    }
}

/// A number of requests, of those that the API's model has room for.
pub(super) fn whole_number(path: &str, number: i64) -> Result<u64, ApiError> {
    let fits = u64::try_from(number).ok();
    fits.filter(|_| number <= MAX_INTEGER).ok_or_else(|| {
        bad(format!(
            "{path} must be a whole number from 0 to {MAX_INTEGER}, got {number}"
        ))
    })
}

impl WireQuota {
    fn of(quota: &Quota) -> Self {
        let fits = i64::try_from(quota.limit()).ok();
        let fits = fits.filter(|limit| *limit <= MAX_INTEGER);
        Self {
            limit: Some(fits.unwrap_or(MAX_INTEGER)),
            offset: Some(i64::from(quota.offset())),
            period: Some(quota.period().as_str().to_owned()),
            stored_limit: fits.is_none().then_some(quota.limit()),
            object: ObjectOnly {},
        }
    }

    fn read(&self) -> Result<Quota, ApiError> {
        let limit = self
            .limit
            .ok_or_else(|| bad("quota.limit is required".to_owned()))?;
        let limit = match self.stored_limit {
            Some(stored) => stored,
            None => whole_number("quota.limit", limit)?,
        };
        let period = self.period.as_deref().ok_or_else(|| {
            bad("quota.period: expected DAY, WEEK or MONTH; it is required".to_owned())
        })?;
        let period: PeriodKind = period
            .parse()
            .map_err(|error| bad(format!("quota.period: {error}")))?;
        Quota::new(limit, period, self.offset.unwrap_or(0)).map_err(|error| bad(error.to_string()))
    }
}
