//! What the holder of a key has left. The key itself is the credential of the call.

use serde::{Deserialize, Serialize};
use tollgate_core::id::{KeyId, PlanId, StageId};

use crate::plan::MethodLists;

/// A key, as its holder sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WhoAmI {
    /// The key's id.
    pub key_id: KeyId,
    /// The key's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The customer that the key belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer_id: Option<String>,
    /// When the key expires, epoch seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<i64>,
    /// The methods that the key may call, by stage: absent if all that its plans open, an empty list if the whole stage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restriction: Option<MethodLists>,
    /// The key's plans.
    pub usage_plans: Vec<PlanStatus>,
}

/// What the key has left under one plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlanStatus {
    /// The plan.
    pub usage_plan_id: PlanId,
    /// The plan's name.
    pub name: String,
    /// The API stages that the plan opens.
    pub api_stages: Vec<StageId>,
    /// The plan's throttle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throttle: Option<ThrottleStatus>,
    /// The plan's quota.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<QuotaStatus>,
    /// The throttles of methods that the key may call.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<MethodStatus>,
}

/// What is left of a throttle's burst.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ThrottleStatus {
    /// Requests per second in the long run.
    pub rate_limit: f64,
    /// The burst: requests at once.
    pub limit: u32,
    /// Requests that are used of it.
    pub used: u32,
    /// Requests that are left of it.
    pub left: u32,
    /// Seconds until the whole burst is there again.
    pub reset_after: u64,
}

/// What is left of a quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct QuotaStatus {
    /// Requests per period.
    pub limit: u64,
    /// Requests that are used of it.
    pub used: u64,
    /// Requests that are left of it.
    pub left: u64,
    /// Seconds until the next period.
    pub reset_after: i64,
    /// The start of the next period, epoch seconds.
    pub reset: i64,
}

/// What is left of a method's throttle.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MethodStatus {
    /// The stage, `apiId:stage`.
    pub api_stage: StageId,
    /// The method, `/path/METHOD`.
    pub method: String,
    /// What is left.
    #[serde(flatten)]
    pub throttle: ThrottleStatus,
}
