//! API keys: create, list, show, update, delete.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use tollgate_admin::Admin;
use tollgate_admin::input::text::customer_id;
use tollgate_admin::input::value_or_new;
use tollgate_admin::keys::KeyFilter;
use tollgate_api::{ApiKey, CreateApiKey, Items, Patch, Secret};
use tollgate_core::id::KeyId;
use tollgate_dynamo::item::key::KeyRecord;

use crate::error::ApiError;
use crate::import::{self, ImportQuery};
use crate::patch::paths::API_KEY;
use crate::request::{Body, Bytes, Deadline, Ids, Params, is_true, page, parse};
use crate::vault::Vault;
use crate::{draft, patch, show};

type Answer<T> = Result<T, ApiError>;

/// Creates a key, or imports many: API Gateway distinguishes the two calls by the query.
///
/// # Errors
/// As for the call that it is.
pub async fn create_or_import(
    State(admin): State<Arc<Admin>>,
    State(vault): State<Arc<Vault>>,
    Params(query): Params<ImportQuery>,
    Deadline(until): Deadline,
    Bytes(body): Bytes,
) -> Answer<Response> {
    if query.is_import()? {
        let imported = import::run(&admin, &vault, &query, &body, until).await?;
        return Ok((StatusCode::CREATED, Json(imported)).into_response());
    }
    let created = create(&admin, &vault, parse(&body)?).await?;
    Ok((StatusCode::CREATED, Json(created)).into_response())
}

/// Creates a key. If values are not kept, the answer is the only one that ever shows the key's value.
async fn create(admin: &Admin, vault: &Vault, body: CreateApiKey) -> Answer<ApiKey> {
    let value = value_or_new(body.value.as_ref().map(Secret::expose))?;
    let mut new = draft::key(body).check(admin.now())?;
    // Everything is checked by now, so a bad request costs no call of KMS.
    new.sealed = vault.seal(&value).await?;
    new.value = Some(value);
    let (record, value) = admin.create_key(new).await?;
    Ok(show::created_key(record, value.expose()))
}

/// The query of `GetApiKeys`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ListQuery {
    name: Option<String>,
    customer_id: Option<String>,
    position: Option<String>,
    limit: Option<String>,
    include_values: Option<String>,
}

/// Lists keys, newest first; those with a name prefix in the order that [`KeyFilter`] describes.
///
/// # Errors
/// 400 for a limit or position that cannot be.
pub async fn list(
    State(admin): State<Arc<Admin>>,
    State(vault): State<Arc<Vault>>,
    Params(query): Params<ListQuery>,
) -> Answer<Json<Items<ApiKey>>> {
    let filter = KeyFilter {
        name_prefix: query.name.filter(|name| !name.is_empty()),
        customer_id: customer_id(query.customer_id)?,
    };
    let list = format!("keys {:?} {:?}", filter.name_prefix, filter.customer_id);
    let page = page(query.position, query.limit.as_deref(), list)?;
    let keys = admin.keys(&filter, &page).await?;
    let mut values = if is_true(query.include_values.as_deref()) {
        vault.reveal(&keys.items).await?
    } else {
        HashMap::new()
    };
    Ok(Json(show::items(keys, |record| {
        let value = values.remove(&record.id);
        show::listed_key(record, value)
    })))
}

/// The query of `GetApiKey`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ShowQuery {
    include_value: Option<String>,
}

/// Shows a key.
///
/// # Errors
/// 404 if there is no such key.
pub async fn show(
    State(admin): State<Arc<Admin>>,
    State(vault): State<Arc<Vault>>,
    Ids(id): Ids<KeyId>,
    Params(query): Params<ShowQuery>,
) -> Answer<Json<ApiKey>> {
    let record = admin.key(&id).await?;
    let value = if is_true(query.include_value.as_deref()) {
        vault.reveal_one(&record).await?
    } else {
        None
    };
    let last_used = admin.last_used(&id).await?;
    let mut shown = show::key(record, value);
    show::set_last_used(&mut shown, last_used);
    Ok(Json(shown))
}

/// Changes a key by patch operations, all or none.
///
/// # Errors
/// 400 for an operation, path or value that cannot be, 404 if there is no such key.
pub async fn update(
    State(admin): State<Arc<Admin>>,
    Ids(id): Ids<KeyId>,
    Body(body): Body<Patch>,
) -> Answer<Json<ApiKey>> {
    let changes = patch::read(body, API_KEY)?;
    let plans = patch::key::overridden_plans(&admin, &changes).await?;
    let apply = |record: &mut KeyRecord| {
        let mut changes = changes.iter();
        changes.try_for_each(|change| patch::key::apply(change, record, &plans, admin.now()))
    };
    let record = match admin.update_key(&id, apply).await {
        Err(ApiError::Admin(error))
            if error.is_damage() && changes.iter().any(patch::key::disables) =>
        {
            // Even a key whose record cannot be read is disabled. The error about the record comes afterwards.
            admin.disable_damaged(&id).await?;
            admin.update_key(&id, apply).await?
        }
        updated => updated?,
    };
    Ok(Json(show::key(record, None)))
}

/// Deletes a key. Once this has answered, the key is refused everywhere.
///
/// # Errors
/// 404 if there is no such key.
pub async fn delete(State(admin): State<Arc<Admin>>, Ids(id): Ids<KeyId>) -> Answer<StatusCode> {
    admin.delete_key(&id).await?;
    Ok(StatusCode::ACCEPTED)
}
