//! Moves of a key to another plan. API Gateway has none: there a key leaves one plan and joins another, and its usage starts
//! again.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use tollgate_admin::Admin;
use tollgate_api::ApiKey;
use tollgate_api::moves::{CARRY, CLEAR, CreateMove};
use tollgate_core::id::{KeyId, PlanId};

use crate::error::ApiError;
use crate::request::{Body, Ids};
use crate::show;

/// Moves a key from one plan to another. `usage` says whether the used part of the quota counts in the new plan.
///
/// # Errors
/// 400 for a member that is missing or unknown, 404 if there is no such key or plan or the key is not in the plan that it is to
/// leave, 409 if it is in the other one already, or in a third that opens one of its stages.
pub async fn create(
    State(admin): State<Arc<Admin>>,
    Ids(id): Ids<KeyId>,
    Body(body): Body<CreateMove>,
) -> Result<(StatusCode, Json<ApiKey>), ApiError> {
    let from = required("fromUsagePlanId", body.from_usage_plan_id)?;
    let to = required("toUsagePlanId", body.to_usage_plan_id)?;
    let carries = carries(body.usage.as_deref().unwrap_or_default())?;
    // A move is a long chain of writes; its future is too large for the stack of every request.
    let record = Box::pin(admin.move_key(&id, &from, &to, carries)).await?;
    Ok((StatusCode::CREATED, Json(show::key(record, None))))
}

fn required(member: &str, plan: Option<PlanId>) -> Result<PlanId, ApiError> {
    let plan = plan.filter(|id| !id.is_empty());
    plan.ok_or_else(|| {
        ApiError::BadRequest(format!("{member} is required: expected a usage plan's id"))
    })
}

fn carries(usage: &str) -> Result<bool, ApiError> {
    match usage {
        CARRY => Ok(true),
        CLEAR => Ok(false),
        other => Err(ApiError::BadRequest(format!(
            "Invalid usage: expected carry or clear, for what the key has used of its quota, got {other:?}"
        ))),
    }
}
