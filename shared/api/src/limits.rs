//! Throttles and quotas.

use std::collections::BTreeMap;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::object::ObjectOnly;

/// `ThrottleSettings`.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", expecting = "a JSON object")]
pub struct ThrottleSettings {
    /// Requests at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst_limit: Option<i64>,
    /// Requests per second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<f64>,
    /// Rejects a list in the place of the object.
    #[serde(flatten)]
    pub object: ObjectOnly,
}

/// `QuotaSettings`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(expecting = "a JSON object")]
pub struct QuotaSettings {
    /// Requests per period.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<i64>,
    /// The day on which the period starts: 0-6 for WEEK, 0-27 for MONTH.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<i64>,
    /// DAY, WEEK or MONTH.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period: Option<String>,
    /// Rejects a list in the place of the object.
    #[serde(flatten)]
    pub object: ObjectOnly,
}

/// Reads a plan's own throttle.
///
/// Unknown members are ignored, but one that is an object is a method's throttle in the wrong place. Without an error, the
/// method would have no limit.
pub(crate) fn plan_throttle<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<ThrottleSettings>, D::Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase", expecting = "a JSON object")]
    struct Members {
        burst_limit: Option<i64>,
        rate_limit: Option<f64>,
        #[serde(flatten)]
        others: BTreeMap<String, Value>,
    }

    let Some(members) = Option::<Members>::deserialize(deserializer)? else {
        return Ok(None);
    };
    let mut others = members.others.iter();
    if let Some((method, _)) = others.find(|(_, value)| value.is_object()) {
        return Err(D::Error::custom(format!(
            "expected rateLimit and burstLimit, got {method:?}; throttles of methods belong in apiStages[].throttle"
        )));
    }
    Ok(Some(ThrottleSettings {
        burst_limit: members.burst_limit,
        rate_limit: members.rate_limit,
        object: ObjectOnly {},
    }))
}
