//! API keys: create, list, show, update, delete.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Deserialize;
use tollgate_store::manage::Manager;
use tollgate_store::manage::keys::{KeyFilter, NewKey};
use tollgate_store::record::KeyRecord;

use crate::error::ApiError;
use crate::patch::{self, Patch};
use crate::request::{Body, Paging, Params};
use crate::wire::{ApiKey, Items, ObjectOnly, Tags, bad};

/// Characters of a name at most.
const MAX_NAME: usize = 1024;
/// Characters of a description at most.
const MAX_DESCRIPTION: usize = 125_000;

type Answer<T> = Result<T, ApiError>;

/// `CreateApiKey`. Members that Tollgate has no use for (`stageKeys`, `generateDistinctId`) are ignored.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CreateApiKey {
    name: Option<String>,
    description: Option<String>,
    enabled: Option<bool>,
    value: Option<String>,
    customer_id: Option<String>,
    tags: Option<Tags>,
    #[serde(flatten)]
    _object: ObjectOnly,
}

/// Makes a key. The answer is the only one that ever shows its value.
///
/// # Errors
/// 400 for a name, description or value that cannot be, 409 for a value that is taken.
pub async fn create(
    State(manager): State<Arc<Manager>>,
    Body(body): Body<CreateApiKey>,
) -> Answer<(StatusCode, Json<ApiKey>)> {
    let new = NewKey {
        value: body.value.filter(|value| !value.is_empty()),
        name: name(body.name)?,
        description: description(body.description)?,
        customer_id: body.customer_id.filter(|customer| !customer.is_empty()),
        enabled: body.enabled.unwrap_or(false),
        tags: body.tags.unwrap_or_default(),
    };
    let (record, value) = manager.create_key(new).await?;
    Ok((
        StatusCode::CREATED,
        Json(ApiKey::created(record, value.expose())),
    ))
}

/// No name and an empty one are the same.
fn name(name: Option<String>) -> Answer<Option<String>> {
    match name {
        Some(name) if name.chars().count() > MAX_NAME => Err(bad(format!(
            "Invalid API Key name, can be at most {MAX_NAME} characters."
        ))),
        name => Ok(name.filter(|name| !name.is_empty())),
    }
}

fn description(description: Option<String>) -> Answer<Option<String>> {
    match description {
        Some(text) if text.chars().count() > MAX_DESCRIPTION => {
            Err(bad("Invalid API Key description specified.".to_owned()))
        }
        description => Ok(description),
    }
}

/// The query of `GetApiKeys`. `includeValues` changes nothing: values are not kept.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ListQuery {
    name: Option<String>,
    customer_id: Option<String>,
    position: Option<String>,
    limit: Option<String>,
}

/// Lists keys, newest first, or by name where a name prefix is asked for.
///
/// # Errors
/// 400 for a limit or position that cannot be.
pub async fn list(
    State(manager): State<Arc<Manager>>,
    Params(query): Params<ListQuery>,
) -> Answer<Json<Items<ApiKey>>> {
    let filter = KeyFilter {
        name_prefix: query.name.filter(|name| !name.is_empty()),
        customer_id: query.customer_id.filter(|customer| !customer.is_empty()),
    };
    let page = Paging::new(query.position, query.limit).page()?;
    let keys = manager.keys(&filter, &page).await?;
    Ok(Json(Items::of(keys, ApiKey::of)))
}

/// Shows a key.
///
/// # Errors
/// 404 where there is none.
pub async fn show(
    State(manager): State<Arc<Manager>>,
    Path(id): Path<String>,
) -> Answer<Json<ApiKey>> {
    Ok(Json(ApiKey::tagged(manager.key(&id).await?)))
}

/// Changes a key by patch operations, all or none.
///
/// # Errors
/// 400 for an operation or path that cannot be, 404 where there is no such key.
pub async fn update(
    State(manager): State<Arc<Manager>>,
    Path(id): Path<String>,
    Body(patch): Body<Patch>,
) -> Answer<Json<ApiKey>> {
    let operations = patch.read(patch::API_KEY)?;
    let record = manager
        .update_key(&id, |record| {
            operations
                .iter()
                .try_for_each(|operation| apply(operation, record))
        })
        .await?;
    Ok(Json(ApiKey::tagged(record)))
}

fn apply(operation: &patch::Operation, record: &mut KeyRecord) -> Answer<()> {
    let value = operation.value.clone();
    match operation.path.as_str() {
        "/name" => record.name = name(value)?,
        "/description" => record.description = description(value)?,
        "/customerId" => record.customer_id = value.filter(|customer| !customer.is_empty()),
        // Anything but "true" is false, as in API Gateway.
        "/enabled" => {
            record.enabled = value.is_some_and(|value| value.eq_ignore_ascii_case("true"));
        }
        // Labels and stages come from before usage plans; nothing goes by them.
        _ => {}
    }
    Ok(())
}

/// Deletes a key; from the answer on it is refused everywhere.
///
/// # Errors
/// 404 where there is none.
pub async fn delete(
    State(manager): State<Arc<Manager>>,
    Path(id): Path<String>,
) -> Answer<StatusCode> {
    manager.delete_key(&id).await?;
    Ok(StatusCode::ACCEPTED)
}
