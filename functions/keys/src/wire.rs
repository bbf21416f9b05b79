//! The shapes of the wire, as API Gateway's service model has them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tollgate_core::calendar::PeriodKind;
use tollgate_core::limit::{Quota, Throttle};
use tollgate_core::plan::{ApiStage, Plan};
use tollgate_store::manage::Page;
use tollgate_store::record::{KeyRecord, PlanRecord};

use crate::error::ApiError;

/// The largest `burstLimit`: an `Integer` of the service model.
const MAX_BURST: i64 = i32::MAX as i64;
/// Characters of a name at most.
const MAX_NAME: usize = 1024;
/// Characters of a description at most.
const MAX_DESCRIPTION: usize = 125_000;
/// A DynamoDB item holds 400 KB, and there is more in it.
const MAX_DESCRIPTION_BYTES: usize = 350_000;
const MAX_TAGS: usize = 50;
const MAX_TAG_KEY: usize = 128;
const MAX_TAG_VALUE: usize = 256;

/// Makes serde take a shape from a JSON object only: without it, a list would be read as the fields in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ObjectOnly {}

/// Tollgate's own fields. There are none yet; what is there all the same is a mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OwnFields {}

/// Tags, by key.
pub type Tags = BTreeMap<String, String>;

/// Tags of a resource, its keys of 1 to 128 and its values of at most 256 characters, and no more than 50.
///
/// # Errors
/// [`ApiError::BadRequest`] names the rule.
pub fn tags(tags: Option<Tags>) -> Result<Tags, ApiError> {
    let tags = tags.unwrap_or_default();
    if tags.len() > MAX_TAGS {
        return Err(bad(format!(
            "Invalid tags: expected at most {MAX_TAGS}, got {}",
            tags.len()
        )));
    }
    for (key, value) in &tags {
        let (length, of_value) = (key.chars().count(), value.chars().count());
        if !(1..=MAX_TAG_KEY).contains(&length) || of_value > MAX_TAG_VALUE {
            return Err(bad(format!(
                "Invalid tags: expected keys of 1 to {MAX_TAG_KEY} characters and values of at most {MAX_TAG_VALUE}"
            )));
        }
    }
    Ok(tags)
}

/// A description of at most 125,000 characters, and of so many bytes that its item can hold it.
///
/// # Errors
/// [`ApiError::BadRequest`] in API Gateway's words; `what` is the resource.
pub fn description(what: &str, description: Option<String>) -> Result<Option<String>, ApiError> {
    match description {
        Some(text)
            if text.len() > MAX_DESCRIPTION_BYTES || text.chars().count() > MAX_DESCRIPTION =>
        {
            Err(bad(format!("Invalid {what} description specified.")))
        }
        description => Ok(description),
    }
}

/// A name of at most 1024 characters. No name and an empty one are the same.
///
/// # Errors
/// [`ApiError::BadRequest`] in API Gateway's words; `what` is the resource.
pub fn name(what: &str, name: Option<String>) -> Result<Option<String>, ApiError> {
    match name {
        Some(name) if name.chars().count() > MAX_NAME => Err(bad(format!(
            "Invalid {what} name, can be at most {MAX_NAME} characters."
        ))),
        name => Ok(name.filter(|name| !name.is_empty())),
    }
}

/// A list.
#[derive(Debug, Serialize)]
pub struct Items<T> {
    /// Its entries, present even where there is none.
    pub item: Vec<T>,
    /// Where the next page starts; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<String>,
}

impl<T> Items<T> {
    /// The list of a page.
    pub fn of<R>(page: Page<R>, show: impl FnMut(R) -> T) -> Self {
        Self {
            item: page.items.into_iter().map(show).collect(),
            position: page.position,
        }
    }
}

/// `ApiKey`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiKey {
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    customer_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    enabled: bool,
    /// Epoch seconds.
    created_date: i64,
    /// Epoch seconds.
    last_updated_date: i64,
    stage_keys: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tags: Option<Tags>,
}

impl ApiKey {
    /// A key without its value, which is not kept, and without its tags.
    pub fn of(record: KeyRecord) -> Self {
        Self {
            id: record.id,
            value: None,
            name: record.name,
            customer_id: record.customer_id,
            description: record.description,
            enabled: record.enabled,
            created_date: record.created / 1000,
            last_updated_date: record.updated / 1000,
            stage_keys: Vec::new(),
            tags: None,
        }
    }

    /// With its tags.
    pub fn tagged(record: KeyRecord) -> Self {
        let tags = Some(record.tags.clone());
        Self {
            tags,
            ..Self::of(record)
        }
    }

    /// As it is shown once, when it is made.
    pub fn created(record: KeyRecord, value: &str) -> Self {
        let tags = Some(record.tags.clone()).filter(|tags| !tags.is_empty());
        Self {
            value: Some(value.to_owned()),
            tags,
            ..Self::of(record)
        }
    }
}

/// `UsagePlan`: what is created, shown, and changed by patches.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
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
    #[serde(default, skip_serializing)]
    pub tollgate: Option<OwnFields>,
    /// Not a list.
    #[serde(flatten)]
    pub object: ObjectOnly,
}

/// A missing member and `null` are the same to AWS's clients.
fn or_default<'de, D: serde::Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// `ApiStage`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
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
    /// Not a list.
    #[serde(flatten)]
    pub object: ObjectOnly,
}

impl UsagePlan {
    /// A plan without its tags.
    pub fn of(record: PlanRecord) -> Self {
        Self {
            id: Some(record.id),
            name: Some(record.name),
            description: record.description,
            api_stages: record.limits.stages.iter().map(WireStage::of).collect(),
            throttle: record.limits.throttle.as_ref().map(WireThrottle::of),
            quota: record.limits.quota.as_ref().map(WireQuota::of),
            product_code: record.product_code,
            tags: None,
            tollgate: None,
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

    /// The limits it states.
    ///
    /// # Errors
    /// [`ApiError::BadRequest`] names the field and what was expected.
    pub fn limits(&self) -> Result<Plan, ApiError> {
        let mut stages: Vec<ApiStage> = Vec::new();
        for stage in &self.api_stages {
            let stage = stage.read()?;
            if stages.iter().any(|known| known.name() == stage.name()) {
                return Err(bad(format!("apiStages names {} twice", stage.name())));
            }
            stages.push(stage);
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
        if self.api_id.is_empty() || self.stage.is_empty() {
            return Err(bad(
                "Invalid API Stage specified: expected apiId and stage in each of apiStages"
                    .to_owned(),
            ));
        }
        let throttle = self.throttle.iter().map(|(template, throttle)| {
            let path = format!("apiStages[{}].throttle[{template}]", self.name());
            let template = template
                .parse()
                .map_err(|error| bad(format!("{path}: {error}")))?;
            Ok((template, throttle.read(&path)?))
        });
        Ok(ApiStage {
            api_id: self.api_id.clone(),
            stage: self.stage.clone(),
            throttle: throttle.collect::<Result<_, ApiError>>()?,
        })
    }
}

impl WireThrottle {
    fn of(throttle: &Throttle) -> Self {
        Self {
            burst_limit: throttle.burst_limit().map(i64::from),
            rate_limit: throttle.rate_limit(),
            object: ObjectOnly {},
        }
    }

    fn read(self, path: &str) -> Result<Throttle, ApiError> {
        let burst = match self.burst_limit {
            None => None,
            Some(burst @ 0..=MAX_BURST) => u32::try_from(burst).ok(),
            Some(burst) => {
                return Err(bad(format!(
                    "{path}.burstLimit must be a whole number from 0 to {MAX_BURST}, got {burst}"
                )));
            }
        };
        Throttle::new(self.rate_limit, burst).map_err(|error| bad(format!("{path}: {error}")))
    }
}

impl WireQuota {
    fn of(quota: &Quota) -> Self {
        Self {
            limit: i64::try_from(quota.limit()).ok(),
            offset: Some(i64::from(quota.offset())),
            period: Some(quota.period().as_str().to_owned()),
            object: ObjectOnly {},
        }
    }

    fn read(&self) -> Result<Quota, ApiError> {
        let limit = self
            .limit
            .ok_or_else(|| bad("quota.limit is required".to_owned()))?;
        let limit = u64::try_from(limit).map_err(|_| {
            bad(format!(
                "quota.limit must be a whole number from 0 up, got {limit}"
            ))
        })?;
        let period = self.period.as_deref().unwrap_or_default();
        let period: PeriodKind = period
            .parse()
            .map_err(|error| bad(format!("quota.period: {error}")))?;
        Quota::new(limit, period, self.offset.unwrap_or(0)).map_err(|error| bad(error.to_string()))
    }
}

/// `UsagePlanKey`.
#[derive(Debug, Serialize)]
pub struct UsagePlanKey {
    id: String,
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
}

impl UsagePlanKey {
    /// A key of a plan; its value is not kept.
    pub fn of(record: KeyRecord) -> Self {
        Self {
            id: record.id,
            r#type: "API_KEY",
            name: record.name,
        }
    }
}

/// The error for a field that is not what it has to be.
pub(crate) fn bad(message: String) -> ApiError {
    ApiError::BadRequest(message)
}
