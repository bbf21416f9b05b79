//! API keys.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tollgate_core::id::{KeyId, PlanId};

use crate::object::{ObjectOnly, optional_object};
use crate::overrides::KeyOverride;
use crate::plan::MethodLists;
use crate::secret::Secret;
use crate::tags::Tags;

/// `CreateApiKey`. Tollgate ignores `generateDistinctId`: its ids are distinct always.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, expecting = "a JSON object")]
pub struct CreateApiKey {
    /// The name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Whether the key admits requests; by default it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// The value; without one, the server generates it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Secret>,
    /// The customer that the key belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub customer_id: Option<String>,
    /// The tags.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<Tags>,
    /// API stages to find the key by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stage_keys: Option<Vec<StageKey>>,
    /// Tollgate's own fields.
    #[serde(
        deserialize_with = "optional_object",
        skip_serializing_if = "Option::is_none"
    )]
    pub tollgate: Option<NewKeyFields>,
    /// Rejects a list in the place of the object.
    #[serde(flatten)]
    pub object: ObjectOnly,
}

/// `StageKey`: an API stage that a key names. It dates from before usage plans, and no decision depends on it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, expecting = "a JSON object")]
pub struct StageKey {
    /// The API's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rest_api_id: Option<String>,
    /// The stage's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stage_name: Option<String>,
    /// Rejects a list in the place of the object.
    #[serde(flatten)]
    pub object: ObjectOnly,
}

/// Tollgate's own fields of a new key.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(
    rename_all = "camelCase",
    default,
    deny_unknown_fields,
    expecting = "a JSON object"
)]
pub struct NewKeyFields {
    /// When the key expires, epoch seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<i64>,
    /// The methods that the key may call, of all that its plans open. A stage without methods is open to it entirely; a stage
    /// that is not listed is closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restriction: Option<MethodLists>,
}

/// `ApiKey`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiKey {
    /// The id, which is no secret.
    pub id: KeyId,
    /// The value: in the answer that creates it, and later if the server keeps values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Secret>,
    /// The name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The customer that the key belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer_id: Option<String>,
    /// The description.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Whether the key admits requests.
    pub enabled: bool,
    /// When the key was created, epoch seconds.
    pub created_date: i64,
    /// When the key was last changed, epoch seconds.
    pub last_updated_date: i64,
    /// API stages to find the key by, `restApiId/stageName`.
    #[serde(default)]
    pub stage_keys: Vec<String>,
    /// The tags; lists do not show them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<Tags>,
    /// Tollgate's own fields; absent if none is set, because AWS's clients do not expect them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tollgate: Option<KeyFields>,
}

/// Tollgate's own fields of a key.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct KeyFields {
    /// When the key expires, epoch seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<i64>,
    /// When the value before the last rotation expires, epoch seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub earlier_value_until: Option<i64>,
    /// The last day on which the key was charged, YYYY-MM-DD.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_used_day: Option<String>,
    /// The methods that the key may call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restriction: Option<MethodLists>,
    /// Limits in place of its plans', by plan id.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub overrides: BTreeMap<PlanId, KeyOverride>,
}
