//! The keys of a usage plan.

use std::slice::from_ref;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use tollgate_admin::{self, Admin, Page};
use tollgate_core::id::{KeyId, PlanId};
use tollgate_dynamo::item::key::KeyRecord;

use crate::error::ApiError;
use crate::request::{Body, Ids, Paging, Params};
use crate::vault::Vault;
use crate::wire::{Items, ObjectOnly, UsagePlanKey, bad};

/// `CreateUsagePlanKey`.
#[derive(Debug, Default, Deserialize)]
#[serde(expecting = "a JSON object")]
#[serde(rename_all = "camelCase", default)]
pub struct CreateUsagePlanKey {
    key_id: Option<KeyId>,
    key_type: Option<String>,
    #[serde(flatten)]
    _object: ObjectOnly,
}

/// Puts a key into a plan.
///
/// # Errors
/// 400 without key id or for another type than `API_KEY`, 404 for an unknown key or plan, 409 where the key is in this
/// plan, or in another that opens one of its stages.
pub async fn create(
    State(admin): State<Arc<Admin>>,
    State(vault): State<Arc<Vault>>,
    Ids(plan_id): Ids<PlanId>,
    Body(body): Body<CreateUsagePlanKey>,
) -> Result<(StatusCode, Json<UsagePlanKey>), ApiError> {
    let Some(key_id) = body.key_id.filter(|id| !id.as_str().is_empty()) else {
        return Err(bad("keyId is required".to_owned()));
    };
    match body.key_type.as_deref() {
        Some("API_KEY") => {}
        Some(other) => {
            return Err(bad(format!(
                "Invalid keyType: expected API_KEY, got {other:?}"
            )));
        }
        None => return Err(bad("keyType is required: expected API_KEY".to_owned())),
    }
    let record = admin.link(&plan_id, &key_id).await?;
    Ok((StatusCode::CREATED, Json(with_value(&vault, record).await)))
}

/// The query of `GetUsagePlanKeys`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct ListQuery {
    name: Option<String>,
    position: Option<String>,
    limit: Option<String>,
}

/// Lists the keys of a plan, those linked last first. A plan that does not exist has none.
///
/// # Errors
/// 400 for a limit or position that cannot be.
pub async fn list(
    State(admin): State<Arc<Admin>>,
    State(vault): State<Arc<Vault>>,
    Ids(plan_id): Ids<PlanId>,
    Params(query): Params<ListQuery>,
) -> Result<Json<Items<UsagePlanKey>>, ApiError> {
    let prefix = query.name.filter(|name| !name.is_empty());
    let page = Paging::new(query.position, query.limit).page(format!("plan keys {prefix:?}"))?;
    let keys = match admin.plan(&plan_id).await {
        Ok(plan) => admin.linked_keys(&plan, prefix.as_deref(), &page).await?,
        Err(tollgate_admin::Error::NoSuchPlan) => Page::default(),
        Err(error) => return Err(error.into()),
    };
    let mut values = vault.reveal_now(&keys.items).await;
    Ok(Json(Items::of(keys, |record| {
        let value = values.remove(&record.id);
        UsagePlanKey::of(record, value)
    })))
}

/// Shows a key of a plan.
///
/// # Errors
/// 404 where the plan does not exist or the key is not in it.
pub async fn show(
    State(admin): State<Arc<Admin>>,
    State(vault): State<Arc<Vault>>,
    Ids((plan_id, key_id)): Ids<(PlanId, KeyId)>,
) -> Result<Json<UsagePlanKey>, ApiError> {
    let record = admin.linked_key(&plan_id, &key_id).await?;
    Ok(Json(with_value(&vault, record).await))
}

async fn with_value(vault: &Vault, record: KeyRecord) -> UsagePlanKey {
    let value = vault.reveal_now(from_ref(&record)).await.remove(&record.id);
    UsagePlanKey::of(record, value)
}

/// Takes a key out of a plan; from the answer on it is refused there.
///
/// # Errors
/// 404 where the key is not in the plan.
pub async fn delete(
    State(admin): State<Arc<Admin>>,
    Ids((plan_id, key_id)): Ids<(PlanId, KeyId)>,
) -> Result<StatusCode, ApiError> {
    admin.unlink(&plan_id, &key_id).await?;
    Ok(StatusCode::ACCEPTED)
}
