//! Usage plans: create, list, show, update, delete.

use std::cmp::Reverse;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use tollgate_admin::input::PlanEdit;
use tollgate_admin::{Admin, Page, PageRequest};
use tollgate_api::{CreateUsagePlan, Items, Patch, UsagePlan};
use tollgate_core::id::{KeyId, PlanId};
use tollgate_dynamo::item::plan::PlanRecord;

use crate::error::ApiError;
use crate::patch::paths::USAGE_PLAN;
use crate::request::{Body, Deadline, Ids, Params, page};
use crate::{draft, patch, show};

type Answer<T> = Result<T, ApiError>;

/// Creates a plan.
///
/// # Errors
/// 400 without a name, or for limits that cannot be.
pub async fn create(
    State(admin): State<Arc<Admin>>,
    Body(mut body): Body<CreateUsagePlan>,
) -> Answer<(StatusCode, Json<UsagePlan>)> {
    let tags = body.tags.take().unwrap_or_default();
    let new = draft::plan(body).into_new(tags)?;
    let record = admin.create_plan(new).await?;
    Ok((StatusCode::CREATED, Json(show::created_plan(record))))
}

/// The query of `GetUsagePlans`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ListQuery {
    key_id: Option<KeyId>,
    position: Option<String>,
    limit: Option<String>,
}

/// Lists plans, or those of one key, newest first.
///
/// # Errors
/// 400 for a limit or position that cannot be, 404 for a key that does not exist.
pub async fn list(
    State(admin): State<Arc<Admin>>,
    Params(query): Params<ListQuery>,
) -> Answer<Json<Items<UsagePlan>>> {
    let page = page(query.position, query.limit.as_deref(), "plans")?;
    let plans = match query.key_id.filter(|id| !id.is_empty()) {
        Some(id) => plans_of_key(&admin, &id, &page).await?,
        None => admin.plans(&page).await?,
    };
    Ok(Json(show::items(plans, show::listed_plan)))
}

/// A page of a key's plans, newest first. Its position is the sort key of the page's last plan.
async fn plans_of_key(admin: &Admin, key: &KeyId, page: &PageRequest) -> Answer<Page<PlanRecord>> {
    let sort_key = |plan: &PlanRecord| format!("{:014}-{}", plan.created.as_millisecond(), plan.id);
    let part = format!("of key {key}");
    let after = page.after(&part)?;
    let ids = admin.key(key).await?.plans;
    let mut plans = admin.plans_by_id(&ids).await?;
    plans.sort_by_cached_key(|plan| Reverse(sort_key(plan)));
    if let Some(after) = after {
        plans.retain(|plan| sort_key(plan) < after);
    }
    let has_more = plans.len() > page.limit;
    plans.truncate(page.limit);
    let end = plans.last().filter(|_| has_more).map(sort_key);
    Ok(Page {
        items: plans,
        position: end.map(|end| page.position(&part, &end)),
    })
}

/// Shows a plan.
///
/// # Errors
/// 404 if there is no such plan.
pub async fn show(
    State(admin): State<Arc<Admin>>,
    Ids(id): Ids<PlanId>,
) -> Answer<Json<UsagePlan>> {
    Ok(Json(show::plan(admin.plan(&id).await?)))
}

/// Changes a plan by patch operations, all or none.
///
/// # Errors
/// 400 for an operation, path or value that cannot be, 404 if there is no such plan.
pub async fn update(
    State(admin): State<Arc<Admin>>,
    Ids(id): Ids<PlanId>,
    Body(body): Body<Patch>,
) -> Answer<Json<UsagePlan>> {
    let changes = patch::read(body, USAGE_PLAN)?;
    let apply = |record: &mut PlanRecord| {
        let mut edit = PlanEdit::of(record);
        for change in &changes {
            patch::plan::apply(change, &mut edit)?;
        }
        Ok::<_, ApiError>(edit.finish().apply(record)?)
    };
    let record = admin.update_plan(&id, apply).await?;
    Ok(Json(show::plan(record)))
}

/// Deletes a plan that no longer opens any stage. A plan with very many keys takes several calls: repeat the call until it
/// answers 404.
///
/// # Errors
/// 400 if the plan still opens a stage, 404 if there is no such plan.
pub async fn delete(
    State(admin): State<Arc<Admin>>,
    Ids(id): Ids<PlanId>,
    Deadline(until): Deadline,
) -> Answer<StatusCode> {
    admin.delete_plan(&id, until).await?;
    Ok(StatusCode::ACCEPTED)
}
