//! Limits that one key has in place of its plan's.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::limits::ThrottleSettings;

/// Limits of a key in place of its plan's.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(
    rename_all = "camelCase",
    default,
    deny_unknown_fields,
    expecting = "a JSON object"
)]
pub struct KeyOverride {
    /// In place of the plan's throttle.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub throttle: Option<ThrottleSettings>,
    /// In place of the limit of the plan's quota.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quota_limit: Option<i64>,
    /// In place of the plan's method throttles, or besides them: by `apiId:stage`, then by `/path/METHOD`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub methods: BTreeMap<String, BTreeMap<String, ThrottleSettings>>,
    /// The last day on which the override applies, UTC, YYYY-MM-DD; without it, the override has no end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
}
