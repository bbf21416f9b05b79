//! Usage plans: create, list, show, update, delete.

use std::cmp::Reverse;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use tollgate_admin::plans::NewPlan;
use tollgate_admin::{Admin, Page, PageRequest};
use tollgate_core::id::{KeyId, PlanId};
use tollgate_dynamo::item::plan::PlanRecord;

use crate::error::ApiError;
use crate::patch::{self, Patch};
use crate::request::{Body, Ids, Paging, Params, TimeLeft};
use crate::wire::{Items, UsagePlan, bad, description, name, tags};

/// What the resource is called in messages.
const WHAT: &str = "Usage Plan";

type Answer<T> = Result<T, ApiError>;

/// Makes a plan.
///
/// # Errors
/// 400 without a name or for limits that cannot be.
pub async fn create(
    State(admin): State<Arc<Admin>>,
    Body(body): Body<UsagePlan>,
) -> Answer<(StatusCode, Json<UsagePlan>)> {
    let limits = body.limits()?;
    let new = NewPlan {
        name: required_name(body.name)?,
        description: description(WHAT, body.description)?,
        tags: tags(body.tags)?,
        limits,
    };
    let record = admin.create_plan(new).await?;
    Ok((StatusCode::CREATED, Json(UsagePlan::created(record))))
}

fn required_name(given: Option<String>) -> Answer<String> {
    name(WHAT, given)?
        .ok_or_else(|| bad("Usage Plan name is required and must not be empty".to_owned()))
}

/// The query of `GetUsagePlans`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ListQuery {
    key_id: Option<KeyId>,
    position: Option<String>,
    limit: Option<String>,
}

/// Lists plans, or those of one key, the newest first.
///
/// # Errors
/// 400 for a limit or position that cannot be, 404 for a key that does not exist.
pub async fn list(
    State(admin): State<Arc<Admin>>,
    Params(query): Params<ListQuery>,
) -> Answer<Json<Items<UsagePlan>>> {
    let page = Paging::new(query.position, query.limit).page("plans")?;
    let plans = match query.key_id.filter(|id| !id.as_str().is_empty()) {
        Some(id) => plans_of(&admin, &id, &page).await?,
        None => admin.plans(&page).await?,
    };
    Ok(Json(Items::of(plans, UsagePlan::of)))
}

/// A page of a key's plans, the newest first; its position is where the page's last plan is among them.
async fn plans_of(admin: &Admin, key: &KeyId, page: &PageRequest) -> Answer<Page<PlanRecord>> {
    let place = |plan: &PlanRecord| format!("{:014}-{}", plan.created.as_millisecond(), plan.id);
    let part = format!("of key {key}");
    let after = page.after(&part)?;
    let ids = admin.key(key).await?.plans;
    let mut plans = admin.plans_by_id(&ids).await?;
    plans.sort_by_cached_key(|plan| Reverse(place(plan)));
    if let Some(after) = after {
        plans.retain(|plan| place(plan) < after);
    }
    let more = plans.len() > page.limit;
    plans.truncate(page.limit);
    let end = plans.last().filter(|_| more).map(place);
    Ok(Page {
        items: plans,
        position: end.map(|end| page.position(&part, &end)),
    })
}

/// Shows a plan.
///
/// # Errors
/// 404 where there is none.
pub async fn show(
    State(admin): State<Arc<Admin>>,
    Ids(id): Ids<PlanId>,
) -> Answer<Json<UsagePlan>> {
    Ok(Json(UsagePlan::tagged(admin.plan(&id).await?)))
}

/// Changes a plan by patch operations, all or none.
///
/// # Errors
/// 400 for an operation, path or value that cannot be, 404 where there is no such plan.
pub async fn update(
    State(admin): State<Arc<Admin>>,
    Ids(id): Ids<PlanId>,
    Body(patch): Body<Patch>,
) -> Answer<Json<UsagePlan>> {
    let operations = patch.read(patch::USAGE_PLAN)?;
    let record = admin
        .update_plan(&id, |record| {
            let mut patched = patch::plan::Patched::of(UsagePlan::of(record.clone()));
            for operation in &operations {
                patched.apply(operation)?;
            }
            take(record, patched.into_plan())
        })
        .await?;
    Ok(Json(UsagePlan::tagged(record)))
}

/// Only the whole of a patch has to make sense: a quota may get its limit and its period by two operations.
fn take(record: &mut PlanRecord, plan: UsagePlan) -> Answer<()> {
    record.limits = plan.limits()?;
    record.name = required_name(plan.name)?;
    record.description = description(WHAT, plan.description)?;
    record.product_code = plan.product_code;
    Ok(())
}

/// Deletes a plan that opens no stage any more. What it leaves behind of very many keys is swept by further calls, until one
/// is answered 404.
///
/// # Errors
/// 400 where it still does, 404 where there is no such plan.
pub async fn delete(
    State(admin): State<Arc<Admin>>,
    Ids(id): Ids<PlanId>,
    TimeLeft(until): TimeLeft,
) -> Answer<StatusCode> {
    admin.delete_plan(&id, until).await?;
    Ok(StatusCode::ACCEPTED)
}
