//! Rotation of a key's value: Tollgate's own, API Gateway has none.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::SignedDuration;
use serde::Deserialize;
use tollgate_admin::Admin;
use tollgate_core::id::KeyId;

use crate::api_keys::value_or_new;
use crate::error::ApiError;
use crate::request::{Body, Ids};
use crate::vault::Vault;
use crate::wire::{ApiKey, ObjectOnly, Secret, bad};

/// How long the value before may stay good: ninety days.
const MAX_OVERLAP_SECONDS: i64 = 90 * 24 * 60 * 60;

/// The body of a rotation. Without a value, one is generated.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, expecting = "a JSON object")]
pub struct CreateRotation {
    value: Option<Secret>,
    overlap_seconds: Option<i64>,
    #[serde(flatten)]
    _object: ObjectOnly,
}

/// Gives a key a new value. The one before stays good for `overlapSeconds`; 0 ends it at once.
///
/// # Errors
/// 400 for an overlap that cannot be or a disabled key, 404 where there is no such key, 409 where the value is taken or a
/// rotation has not ended.
pub async fn create(
    State(admin): State<Arc<Admin>>,
    State(vault): State<Arc<Vault>>,
    Ids(id): Ids<KeyId>,
    Body(body): Body<CreateRotation>,
) -> Result<(StatusCode, Json<ApiKey>), ApiError> {
    let overlap = body.overlap_seconds;
    let overlap = overlap.filter(|overlap| (0..=MAX_OVERLAP_SECONDS).contains(overlap));
    let Some(overlap) = overlap else {
        return Err(bad(format!(
            "Invalid overlapSeconds: expected a whole number from 0 to {MAX_OVERLAP_SECONDS}, for how long the value before \
             stays good"
        )));
    };
    let value = value_or_new(body.value.as_ref())?;
    let until = admin.now() + SignedDuration::from_secs(overlap);
    let until = (overlap > 0).then_some(until);
    // What can be known to be wrong is, before KMS is called.
    admin.key(&id).await?;
    let sealed = vault.seal(&value).await?;
    let record = admin.rotate_key(&id, &value, sealed, until).await?;
    let shown = ApiKey::created(record, value.expose());
    Ok((StatusCode::CREATED, Json(shown)))
}

/// Ends the time of the value before; from the answer on it is refused.
///
/// # Errors
/// 404 where there is no such key, or no value before.
pub async fn end(
    State(admin): State<Arc<Admin>>,
    Ids(id): Ids<KeyId>,
) -> Result<StatusCode, ApiError> {
    admin.end_rotation(&id).await?;
    Ok(StatusCode::ACCEPTED)
}
