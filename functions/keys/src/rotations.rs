//! Rotations: a new value for a key. API Gateway has none; this is Tollgate's own.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use tollgate_admin::Admin;
use tollgate_admin::input::{times, value_or_new};
use tollgate_api::rotation::CreateRotation;
use tollgate_api::{ApiKey, Secret};
use tollgate_core::id::KeyId;

use crate::error::ApiError;
use crate::request::{Body, Ids};
use crate::show;
use crate::vault::Vault;

/// Gives a key a new value. The old one stays valid for `overlapSeconds`; 0 ends it at once.
///
/// # Errors
/// 400 for an overlap that cannot be or a disabled key, 404 if there is no such key, 409 if the value is another key's or a
/// rotation has not ended.
pub async fn create(
    State(admin): State<Arc<Admin>>,
    State(vault): State<Arc<Vault>>,
    Ids(id): Ids<KeyId>,
    Body(body): Body<CreateRotation>,
) -> Result<(StatusCode, Json<ApiKey>), ApiError> {
    let until = times::overlap(body.overlap_seconds, admin.now())?;
    let value = value_or_new(body.value.as_ref().map(Secret::expose))?;
    // An unknown key costs no call of KMS.
    admin.key(&id).await?;
    let sealed = vault.seal(&value).await?;
    let record = admin.rotate_key(&id, &value, sealed, until).await?;
    let shown = show::created_key(record, value.expose());
    Ok((StatusCode::CREATED, Json(shown)))
}

/// Ends the overlap. Once this has answered, the old value is refused.
///
/// # Errors
/// 404 if there is no such key, or no old value.
pub async fn end(
    State(admin): State<Arc<Admin>>,
    Ids(id): Ids<KeyId>,
) -> Result<StatusCode, ApiError> {
    admin.end_rotation(&id).await?;
    Ok(StatusCode::ACCEPTED)
}
