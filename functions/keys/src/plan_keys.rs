//! The keys of a usage plan: link, list, show, unlink.

use std::slice::from_ref;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use tollgate_admin::{Admin, Error, Page};
use tollgate_api::plan_key::API_KEY;
use tollgate_api::{CreateUsagePlanKey, Items, UsagePlanKey};
use tollgate_core::id::{KeyId, PlanId};
use tollgate_dynamo::item::key::KeyRecord;

use crate::error::ApiError;
use crate::request::{Body, Ids, Params, page};
use crate::show;
use crate::vault::Vault;

/// Links a key to a plan.
///
/// # Errors
/// 400 without a key id or for another type than `API_KEY`, 404 for an unknown key or plan, 409 if the key is in this plan, or in
/// another that opens one of its stages.
pub async fn create(
    State(admin): State<Arc<Admin>>,
    State(vault): State<Arc<Vault>>,
    Ids(plan_id): Ids<PlanId>,
    Body(body): Body<CreateUsagePlanKey>,
) -> Result<(StatusCode, Json<UsagePlanKey>), ApiError> {
    let key_id = body.key_id.filter(|id| !id.is_empty());
    let key_id = key_id.ok_or_else(|| ApiError::BadRequest("keyId is required".to_owned()))?;
    check_type(body.key_type.as_deref())?;
    let record = admin.link(&plan_id, &key_id).await?;
    Ok((StatusCode::CREATED, Json(with_value(&vault, record).await)))
}

fn check_type(key_type: Option<&str>) -> Result<(), ApiError> {
    let problem = match key_type {
        Some(API_KEY) => return Ok(()),
        Some(other) => format!("Invalid keyType: expected API_KEY, got {other:?}"),
        None => "keyType is required: expected API_KEY".to_owned(),
    };
    Err(ApiError::BadRequest(problem))
}

/// The query of `GetUsagePlanKeys`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct ListQuery {
    name: Option<String>,
    position: Option<String>,
    limit: Option<String>,
}

/// Lists the keys of a plan, the last linked first. As in API Gateway, a plan that does not exist has none.
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
    let list = format!("plan keys {prefix:?}");
    let page = page(query.position, query.limit.as_deref(), list)?;
    let keys = match admin.plan(&plan_id).await {
        Ok(plan) => admin.linked_keys(&plan, prefix.as_deref(), &page).await?,
        Err(Error::NoSuchPlan) => Page::default(),
        Err(error) => return Err(error.into()),
    };
    let mut values = vault.reveal_available(&keys.items).await;
    Ok(Json(show::items(keys, |record| {
        let value = values.remove(&record.id);
        show::plan_key(record, value)
    })))
}

/// Shows a key of a plan.
///
/// # Errors
/// 404 if the plan does not exist or the key is not in it.
pub async fn show(
    State(admin): State<Arc<Admin>>,
    State(vault): State<Arc<Vault>>,
    Ids((plan_id, key_id)): Ids<(PlanId, KeyId)>,
) -> Result<Json<UsagePlanKey>, ApiError> {
    let record = admin.linked_key(&plan_id, &key_id).await?;
    Ok(Json(with_value(&vault, record).await))
}

async fn with_value(vault: &Vault, record: KeyRecord) -> UsagePlanKey {
    let mut values = vault.reveal_available(from_ref(&record)).await;
    let value = values.remove(&record.id);
    show::plan_key(record, value)
}

/// Unlinks a key from a plan. Once this has answered, the key is refused under that plan.
///
/// # Errors
/// 404 if the key is not in the plan.
pub async fn delete(
    State(admin): State<Arc<Admin>>,
    Ids((plan_id, key_id)): Ids<(PlanId, KeyId)>,
) -> Result<StatusCode, ApiError> {
    admin.unlink(&plan_id, &key_id).await?;
    Ok(StatusCode::ACCEPTED)
}
