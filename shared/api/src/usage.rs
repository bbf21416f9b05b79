//! Usage by key and day.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tollgate_core::id::{KeyId, PlanId};

/// `Usage`, for a range of days.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    /// The plan.
    #[serde(rename = "usagePlanId")]
    pub plan_id: PlanId,
    /// The first day, YYYY-MM-DD.
    pub start_date: String,
    /// The last day, YYYY-MM-DD.
    pub end_date: String,
    /// The start of the next page of keys; absent on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<String>,
    /// By key, a pair for each day: the requests used, and the requests remaining of the quota. Without a quota the second
    /// number is -1.
    #[serde(default)]
    pub values: BTreeMap<KeyId, Vec<[i64; 2]>>,
}
