//! Usage plans: create, list, show, update, delete.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Deserialize;
use tollgate_store::manage::plans::NewPlan;
use tollgate_store::manage::{Manager, Page};
use tollgate_store::record::PlanRecord;

use crate::error::ApiError;
use crate::patch::{self, Patch};
use crate::request::{Body, Paging, Params};
use crate::wire::{Items, UsagePlan, bad};

type Answer<T> = Result<T, ApiError>;

/// Makes a plan.
///
/// # Errors
/// 400 without a name or for limits that cannot be.
pub async fn create(
    State(manager): State<Arc<Manager>>,
    Body(body): Body<UsagePlan>,
) -> Answer<(StatusCode, Json<UsagePlan>)> {
    let limits = body.limits()?;
    let new = NewPlan {
        name: name(body.name)?,
        description: body.description,
        tags: body.tags.unwrap_or_default(),
        limits,
    };
    let record = manager.create_plan(new).await?;
    Ok((StatusCode::CREATED, Json(UsagePlan::created(record))))
}

fn name(name: Option<String>) -> Answer<String> {
    name.filter(|name| !name.is_empty())
        .ok_or_else(|| bad("Usage Plan name is required and must not be empty".to_owned()))
}

/// The query of `GetUsagePlans`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ListQuery {
    key_id: Option<String>,
    position: Option<String>,
    limit: Option<String>,
}

/// Lists plans, newest first, or those of one key in the order in which it was linked to them.
///
/// # Errors
/// 400 for a limit or position that cannot be, 404 for a key that does not exist.
pub async fn list(
    State(manager): State<Arc<Manager>>,
    Params(query): Params<ListQuery>,
) -> Answer<Json<Items<UsagePlan>>> {
    let page = Paging::new(query.position, query.limit).page()?;
    let plans = match query.key_id.filter(|id| !id.is_empty()) {
        // A key has few plans: they are one page.
        Some(id) => Page {
            items: manager.plans_by_id(&manager.key(&id).await?.plans).await?,
            position: None,
        },
        None => manager.plans(&page).await?,
    };
    Ok(Json(Items::of(plans, UsagePlan::of)))
}

/// Shows a plan.
///
/// # Errors
/// 404 where there is none.
pub async fn show(
    State(manager): State<Arc<Manager>>,
    Path(id): Path<String>,
) -> Answer<Json<UsagePlan>> {
    Ok(Json(UsagePlan::tagged(manager.plan(&id).await?)))
}

/// Changes a plan by patch operations, all or none.
///
/// # Errors
/// 400 for an operation, path or value that cannot be, 404 where there is no such plan.
pub async fn update(
    State(manager): State<Arc<Manager>>,
    Path(id): Path<String>,
    Body(patch): Body<Patch>,
) -> Answer<Json<UsagePlan>> {
    let operations = patch.read(patch::USAGE_PLAN)?;
    let record = manager
        .update_plan(&id, |record| {
            let mut plan = UsagePlan::of(record.clone());
            for operation in &operations {
                patch::plan::apply(operation, &mut plan)?;
            }
            take(record, plan)
        })
        .await?;
    Ok(Json(UsagePlan::tagged(record)))
}

/// Only the whole of a patch has to make sense: a quota may get its limit and its period by two operations.
fn take(record: &mut PlanRecord, plan: UsagePlan) -> Answer<()> {
    record.limits = plan.limits()?;
    record.name = name(plan.name)?;
    record.description = plan.description;
    record.product_code = plan.product_code;
    Ok(())
}

/// Deletes a plan that opens no stage any more.
///
/// # Errors
/// 400 where it still does, 404 where there is no such plan.
pub async fn delete(
    State(manager): State<Arc<Manager>>,
    Path(id): Path<String>,
) -> Answer<StatusCode> {
    manager.delete_plan(&id).await?;
    Ok(StatusCode::ACCEPTED)
}
