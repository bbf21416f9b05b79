//! Moving a key to another plan: Tollgate's own. API Gateway has a key leave and enter, and its use begin anew.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use tollgate_admin::Admin;
use tollgate_core::id::{KeyId, PlanId};

use crate::error::ApiError;
use crate::request::{Body, Ids};
use crate::wire::{ApiKey, ObjectOnly, bad};

/// The body of a move.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, expecting = "a JSON object")]
pub struct CreateMove {
    from_usage_plan_id: Option<PlanId>,
    to_usage_plan_id: Option<PlanId>,
    usage: Option<String>,
    #[serde(flatten)]
    _object: ObjectOnly,
}

/// Moves a key from one plan to another. What it has used of the quota is carried along or cleared, as `usage` says.
///
/// # Errors
/// 400 for a member that is missing or another word, 404 where there is no such key or plan or the key is not in the plan that it
/// is to leave, 409 where it is in the other one already, or in a third that opens one of its stages.
pub async fn create(
    State(admin): State<Arc<Admin>>,
    Ids(id): Ids<KeyId>,
    Body(body): Body<CreateMove>,
) -> Result<(StatusCode, Json<ApiKey>), ApiError> {
    let plan = |name: &str, plan: Option<PlanId>| {
        let plan = plan.filter(|id| !id.as_str().is_empty());
        plan.ok_or_else(|| bad(format!("{name} is required: expected a usage plan's id")))
    };
    let from = plan("fromUsagePlanId", body.from_usage_plan_id)?;
    let to = plan("toUsagePlanId", body.to_usage_plan_id)?;
    let carries = match body.usage.as_deref() {
        Some("carry") => true,
        Some("clear") => false,
        other => {
            return Err(bad(format!(
                "Invalid usage: expected carry or clear, for what the key has used of its quota, got {:?}",
                other.unwrap_or_default()
            )));
        }
    };
    let record = admin.move_key(&id, &from, &to, carries).await?;
    Ok((StatusCode::CREATED, Json(ApiKey::tagged(record))))
}
