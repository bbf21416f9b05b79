//! What the keys of a plan may send together. API Gateway cannot say; it tells an API's owner the load that backends must bear.

use serde::{Deserialize, Serialize};
use tollgate_core::id::{PlanId, StageId};

/// The capacity that a page of a plan's keys is entitled to. The plan's figures are the sums over all pages.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Capacity {
    /// The plan.
    pub usage_plan_id: PlanId,
    /// The plan's name.
    pub name: String,
    /// Over the whole plan.
    #[serde(flatten)]
    pub entitlement: Entitlement,
    /// By API stage.
    pub api_stages: Vec<StageEntitlement>,
    /// By throttled method.
    pub methods: Vec<MethodEntitlement>,
    /// The day before today, UTC, YYYY-MM-DD.
    pub yesterday: String,
    /// Requests of these keys on that day.
    pub used_yesterday: u64,
    /// The start of the next page of keys; absent on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<String>,
}

/// What keys may send to one API stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StageEntitlement {
    /// The stage, `apiId:stage`.
    pub api_stage: StageId,
    /// The sums.
    #[serde(flatten)]
    pub entitlement: Entitlement,
}

/// What keys may send to one method.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MethodEntitlement {
    /// The stage, `apiId:stage`.
    pub api_stage: StageId,
    /// The method, `/path/METHOD`.
    pub method: String,
    /// The sums.
    #[serde(flatten)]
    pub entitlement: Entitlement,
}

/// Sums over active keys. Keys without a throttle, or without any limit, are counted but add to no sum.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entitlement {
    /// Keys that are enabled and not expired.
    pub active_keys: u64,
    /// Of these, keys without a throttle.
    pub unthrottled_keys: u64,
    /// Requests per second.
    pub rate_limit: f64,
    /// Requests at once.
    pub burst_limit: u64,
    /// Active keys without any limit.
    pub unlimited_keys: u64,
    /// Requests per day, by throttle and quota.
    pub requests_per_day: f64,
}
