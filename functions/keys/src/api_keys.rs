//! API keys: create, list, show, update, delete.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use tollgate_admin::Admin;
use tollgate_admin::keys::{KeyFilter, NewKey, generate_value};
use tollgate_core::id::KeyId;
use tollgate_core::key::KeyValue;
use tollgate_dynamo::item::key::KeyRecord;

use crate::error::ApiError;
use crate::import::{self, ImportQuery};
use crate::patch::{self, Patch};
use crate::request::{Body, Bytes, Ids, Paging, Params, TimeLeft, parse};
use crate::vault::Vault;
use crate::wire::key::{expiry, restriction};
use crate::wire::stage_keys::{StageKey, stage_keys};
use crate::wire::{
    ApiKey, Items, NewKeyFields, ObjectOnly, Secret, Tags, bad, description, name, object, tags,
};

/// What the resource is called in messages.
pub(crate) const WHAT: &str = "API Key";
/// Characters of a customer id at most; it is the key of an index.
const MAX_CUSTOMER_ID: usize = 256;

type Answer<T> = Result<T, ApiError>;

/// `CreateApiKey`. Tollgate has no use for `generateDistinctId`, and ignores it.
#[derive(Debug, Default, Deserialize)]
#[serde(expecting = "a JSON object")]
#[serde(rename_all = "camelCase", default)]
pub struct CreateApiKey {
    name: Option<String>,
    description: Option<String>,
    enabled: Option<bool>,
    value: Option<Secret>,
    customer_id: Option<String>,
    tags: Option<Tags>,
    stage_keys: Option<Vec<StageKey>>,
    #[serde(deserialize_with = "object")]
    tollgate: Option<NewKeyFields>,
    #[serde(flatten)]
    _object: ObjectOnly,
}

/// Makes a key, or imports many: API Gateway tells the two apart by the query.
///
/// # Errors
/// What the one or the other says.
pub async fn create_or_import(
    State(admin): State<Arc<Admin>>,
    State(vault): State<Arc<Vault>>,
    Params(query): Params<ImportQuery>,
    TimeLeft(until): TimeLeft,
    Bytes(body): Bytes,
) -> Answer<Response> {
    if query.is_import()? {
        let imported = import::run(&admin, &vault, &query, &body, until).await?;
        return Ok(imported.into_response());
    }
    let created = create(&admin, &vault, parse(&body)?).await?;
    Ok(created.into_response())
}

/// Makes a key. Where values are not kept, the answer is the only one that ever shows its value.
async fn create(
    admin: &Admin,
    vault: &Vault,
    body: CreateApiKey,
) -> Answer<(StatusCode, Json<ApiKey>)> {
    let value = value_or_new(body.value.as_ref())?;
    let own = body.tollgate.unwrap_or_default();
    let expires = own.expires_at.map(|seconds| expiry(seconds, admin.now()));
    let mut new = NewKey {
        name: name(WHAT, body.name)?,
        description: description(WHAT, body.description)?,
        customer_id: customer_id(body.customer_id)?,
        enabled: body.enabled.unwrap_or(false),
        tags: tags(body.tags)?,
        expires: expires.transpose()?,
        restriction: own.restriction.as_ref().map(restriction).transpose()?,
        stage_keys: stage_keys(body.stage_keys)?,
        ..NewKey::default()
    };
    // What was asked for can be done: only now is KMS called.
    new.sealed = vault.seal(&value).await?;
    new.value = Some(value);
    let (record, value) = admin.create_key(new).await?;
    Ok((
        StatusCode::CREATED,
        Json(ApiKey::created(record, value.expose())),
    ))
}

/// The value that a caller brings along, or a new one.
///
/// # Errors
/// [`ApiError::BadRequest`] where it can be no key's.
pub fn value_or_new(value: Option<&Secret>) -> Answer<KeyValue> {
    match value.map(Secret::expose).filter(|value| !value.is_empty()) {
        Some(value) => KeyValue::parse(value).map_err(|error| bad(error.to_string())),
        None => Ok(generate_value()),
    }
}

pub(crate) fn customer_id(customer_id: Option<String>) -> Answer<Option<String>> {
    match customer_id {
        Some(id) if id.chars().count() > MAX_CUSTOMER_ID => Err(bad(format!(
            "Invalid customerId, can be at most {MAX_CUSTOMER_ID} characters."
        ))),
        customer_id => Ok(customer_id.filter(|id| !id.is_empty())),
    }
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

/// Lists keys, newest first; those of a name prefix as [`KeyFilter`] says.
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
    let page = Paging::new(query.position, query.limit).page(list)?;
    let keys = admin.keys(&filter, &page).await?;
    let mut values = if asked(query.include_values) {
        vault.reveal(&keys.items).await?
    } else {
        HashMap::new()
    };
    Ok(Json(Items::of(keys, |record| {
        let value = values.remove(&record.id);
        ApiKey::of(record).valued(value)
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
/// 404 where there is none.
pub async fn show(
    State(admin): State<Arc<Admin>>,
    State(vault): State<Arc<Vault>>,
    Ids(id): Ids<KeyId>,
    Params(query): Params<ShowQuery>,
) -> Answer<Json<ApiKey>> {
    let record = admin.key(&id).await?;
    let value = if asked(query.include_value) {
        vault.reveal_one(&record).await?
    } else {
        None
    };
    let used = admin.last_used(&id).await?;
    let shown = ApiKey::tagged(record).valued(value).last_used(used);
    Ok(Json(shown))
}

fn asked(include: Option<String>) -> bool {
    include.is_some_and(|include| include.eq_ignore_ascii_case("true"))
}

/// Changes a key by patch operations, all or none.
///
/// # Errors
/// 400 for an operation or path that cannot be, 404 where there is no such key.
pub async fn update(
    State(admin): State<Arc<Admin>>,
    Ids(id): Ids<KeyId>,
    Body(patch): Body<Patch>,
) -> Answer<Json<ApiKey>> {
    let operations = patch.read(patch::API_KEY)?;
    let plans = patch::key::plans_of(&admin, &operations).await?;
    let change = |record: &mut KeyRecord| {
        let mut operations = operations.iter();
        operations.try_for_each(|it| patch::key::apply(it, record, &plans, admin.now()))
    };
    let record = match admin.update_key(&id, change).await {
        Err(ApiError::Admin(error))
            if error.is_damage() && operations.iter().any(patch::key::switches_off) =>
        {
            // A key is stopped even where its record cannot be read. That it cannot is told afterwards.
            admin.disable_damaged(&id).await?;
            admin.update_key(&id, change).await?
        }
        changed => changed?,
    };
    Ok(Json(ApiKey::tagged(record)))
}

/// Deletes a key; from the answer on it is refused everywhere.
///
/// # Errors
/// 404 where there is none.
pub async fn delete(State(admin): State<Arc<Admin>>, Ids(id): Ids<KeyId>) -> Answer<StatusCode> {
    admin.delete_key(&id).await?;
    Ok(StatusCode::ACCEPTED)
}
