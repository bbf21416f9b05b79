//! The key-management Lambda: API Gateway's own wire protocol for API keys and usage plans, so that boto3, the AWS CLI
//! and Terraform work unchanged. Routes and shapes are here; rules live in `tollgate-core`, operations in `tollgate-admin`.
//!
//! - [`api_keys`], [`usage_plans`], [`plan_keys`], [`usage`], [`tags`]: the operations, a module per resource.
//! - [`rotations`], [`moves`], [`capacity`], [`whoami`]: a new value for a key, another plan, what plans promise, what a key has
//!   left: Tollgate's own operations.
//! - [`import`]: keys from a CSV file.
//! - [`wire`]: the shapes; [`mod@patch`]: which operation may touch which path.
//! - [`request`]: bodies and queries, read with errors that name the field.
//! - [`lambda`]: Lambda's events, checked before they become requests.
//! - [`request_id`]: the request's id on every answer; [`report`]: calls, counted; [`pace`]: how often holders may ask.
//! - [`vault`]: values that can be shown again, encrypted.
//! - [`error`]: the one place that knows AWS's error names.

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, FromRef};
use axum::routing::{get, patch, post};
use axum::{Router, middleware};
use tollgate_admin::Admin;
use tollgate_engine::Engine;

pub mod api_keys;
pub mod capacity;
pub mod error;
pub mod import;
pub mod lambda;
pub mod moves;
pub mod pace;
pub mod patch;
pub mod plan_keys;
pub mod report;
pub mod request;
pub mod request_id;
pub mod rotations;
pub mod tags;
pub mod usage;
pub mod usage_plans;
pub mod vault;
pub mod whoami;
pub mod wire;

use error::ApiError;
use pace::Pace;
use vault::Vault;

/// Bytes of a body at most: a Lambda is sent 6 MB, and HTTP APIs send bodies that they take for binary in base64.
const MOST_BYTES: usize = 4 * 1024 * 1024;

/// What the operations work on.
#[derive(Clone)]
struct Parts {
    admin: Arc<Admin>,
    engine: Arc<Engine>,
    vault: Arc<Vault>,
    pace: Arc<Pace>,
}

impl FromRef<Parts> for Arc<Pace> {
    fn from_ref(parts: &Parts) -> Self {
        Self::clone(&parts.pace)
    }
}

impl FromRef<Parts> for Arc<Admin> {
    fn from_ref(parts: &Parts) -> Self {
        Self::clone(&parts.admin)
    }
}

impl FromRef<Parts> for Arc<Engine> {
    fn from_ref(parts: &Parts) -> Self {
        Self::clone(&parts.engine)
    }
}

impl FromRef<Parts> for Arc<Vault> {
    fn from_ref(parts: &Parts) -> Self {
        Self::clone(&parts.vault)
    }
}

/// The management API over `admin`; key holders are told what they have left by `engine`, on the same table. Values are kept
/// and shown as `vault` does.
pub fn app(admin: Arc<Admin>, engine: Arc<Engine>, vault: Arc<Vault>) -> Router {
    Router::new()
        .route(
            "/apikeys",
            get(api_keys::list).post(api_keys::create_or_import),
        )
        .route(
            "/apikeys/{id}",
            get(api_keys::show)
                .patch(api_keys::update)
                .delete(api_keys::delete),
        )
        .route(
            "/apikeys/{id}/rotations",
            post(rotations::create).delete(rotations::end),
        )
        .route(
            "/usageplans",
            get(usage_plans::list).post(usage_plans::create),
        )
        .route(
            "/usageplans/{id}",
            get(usage_plans::show)
                .patch(usage_plans::update)
                .delete(usage_plans::delete),
        )
        .route("/apikeys/{id}/moves", post(moves::create))
        .route("/whoami", get(whoami::show))
        .route("/usageplans/{id}/capacity", get(capacity::show))
        .route("/usageplans/{id}/usage", get(usage::show))
        .route(
            "/usageplans/{id}/keys",
            post(plan_keys::create).get(plan_keys::list),
        )
        .route(
            "/usageplans/{id}/keys/{key_id}",
            get(plan_keys::show).delete(plan_keys::delete),
        )
        .route("/usageplans/{id}/keys/{key_id}/usage", patch(usage::update))
        .route(
            "/tags/{*arn}",
            get(tags::show).put(tags::add).delete(tags::remove),
        )
        .fallback(async || ApiError::NoSuchRoute)
        .method_not_allowed_fallback(async || ApiError::MethodNotAllowed)
        .layer(DefaultBodyLimit::max(MOST_BYTES))
        .layer(middleware::from_fn(request_id::tag))
        .layer(middleware::from_fn(report::count))
        .with_state(Parts {
            admin,
            engine,
            vault,
            pace: Arc::default(),
        })
}
