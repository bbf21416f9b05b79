//! Usage plans and their API stages.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tollgate_core::id::PlanId;

use crate::limits::{QuotaSettings, ThrottleSettings, plan_throttle};
use crate::object::{ObjectOnly, null_as_default, optional_object};
use crate::tags::Tags;

/// A list of methods, `/path/METHOD`, for each API stage, `apiId:stage`.
pub type MethodLists = BTreeMap<String, Vec<String>>;

/// `CreateUsagePlan`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", expecting = "a JSON object")]
pub struct CreateUsagePlan {
    /// The name; required.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The description.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The API stages that the plan opens.
    #[serde(default, deserialize_with = "null_as_default")]
    pub api_stages: Vec<ApiStage>,
    /// The throttle of each key, over all stages.
    #[serde(
        default,
        deserialize_with = "plan_throttle",
        skip_serializing_if = "Option::is_none"
    )]
    pub throttle: Option<ThrottleSettings>,
    /// The quota of each key, over all stages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<QuotaSettings>,
    /// The tags.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<Tags>,
    /// Tollgate's own fields.
    #[serde(
        default,
        deserialize_with = "optional_object",
        skip_serializing_if = "Option::is_none"
    )]
    pub tollgate: Option<PlanFields>,
    /// Rejects a list in the place of the object.
    #[serde(flatten)]
    pub object: ObjectOnly,
}

/// `UsagePlan`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UsagePlan {
    /// The id.
    pub id: PlanId,
    /// The name.
    pub name: String,
    /// The description.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The API stages that the plan opens. The member is present even if there are none.
    #[serde(default)]
    pub api_stages: Vec<ApiStage>,
    /// The throttle of each key, over all stages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throttle: Option<ThrottleSettings>,
    /// The quota of each key, over all stages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<QuotaSettings>,
    /// The AWS Marketplace product that the plan belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product_code: Option<String>,
    /// The tags; lists do not show them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<Tags>,
    /// Tollgate's own fields; absent if none is set, because AWS's clients do not expect them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tollgate: Option<PlanFields>,
}

/// `ApiStage`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", expecting = "a JSON object")]
pub struct ApiStage {
    /// The API's id.
    #[serde(default, deserialize_with = "null_as_default")]
    pub api_id: String,
    /// The stage's name.
    #[serde(default, deserialize_with = "null_as_default")]
    pub stage: String,
    /// Throttles by method, `/path/METHOD`.
    #[serde(
        default,
        deserialize_with = "null_as_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub throttle: BTreeMap<String, ThrottleSettings>,
    /// Rejects a list in the place of the object.
    #[serde(flatten)]
    pub object: ObjectOnly,
}

/// Tollgate's own fields of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a JSON object")]
pub struct PlanFields {
    /// The open methods, for each stage that does not open all.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub methods: MethodLists,
}
