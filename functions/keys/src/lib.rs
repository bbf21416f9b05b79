//! The key-management Lambda: API Gateway's own wire protocol for API keys and usage plans, so that boto3, the AWS CLI and
//! Terraform work unchanged. The wire types are in `tollgate-api`; operations and rules are in `tollgate-admin`. This crate puts
//! the two together.
//!
//! | rooms | |
//! |---|---|
//! | [`api_keys`], [`usage_plans`], [`plan_keys`], [`usage`], [`tags`] | API Gateway's resources, a module each |
//! | [`rotations`], [`moves`], [`capacity`], [`whoami`] | Tollgate's own: a new value, another plan, what plans promise, what a holder has left |
//! | [`import`] | keys from a CSV file |
//! | [`mod@patch`] | which operation may change which path, and what it changes |
//! | [`request`] | bodies, queries and paths, read with errors that name the field |
//! | `draft`, `show` | from wire types to management's drafts, and from records to wire types |
//! | [`error`], `messages` | AWS's names and status codes, and the messages that callers know |
//! | [`vault`] | values that can be shown again, encrypted |
//! | [`lambda`] | Lambda's events, checked before they become requests |
//! | [`request_id`], [`report`], [`pace`] | for every call: its id, its metrics; for holders of keys, how often they may ask |

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, FromRef};
use axum::routing::{get, patch, post};
use axum::{Router, middleware};
use tollgate_admin::Admin;
use tollgate_engine::Engine;

pub mod api_keys;
pub mod capacity;
mod draft;
pub mod error;
pub mod import;
pub mod lambda;
mod messages;
pub mod moves;
pub mod pace;
pub mod patch;
pub mod plan_keys;
pub mod report;
pub mod request;
pub mod request_id;
pub mod rotations;
mod show;
pub mod tags;
pub mod usage;
pub mod usage_plans;
pub mod vault;
pub mod whoami;

use error::ApiError;
use pace::Pace;
use vault::Vault;

/// Bytes that a body can have. An event for a Lambda can have 6 MB, and HTTP APIs encode bodies that look binary in base64.
const MAX_BODY_BYTES: usize = 4 * 1024 * 1024;

/// The state of the routes.
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

/// The management API. `admin` does the work; `engine`, on the same table, knows what the holder of a key has left; `vault` keeps
/// values or does not.
pub fn app(admin: Arc<Admin>, engine: Arc<Engine>, vault: Arc<Vault>) -> Router {
    key_routes()
        .merge(plan_routes())
        .route("/whoami", get(whoami::show))
        .route(
            "/tags/{*arn}",
            get(tags::show).put(tags::add).delete(tags::remove),
        )
        .fallback(async || ApiError::NoSuchRoute)
        .method_not_allowed_fallback(async || ApiError::MethodNotAllowed)
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(middleware::from_fn(request_id::tag))
        .layer(middleware::from_fn(report::count))
        .with_state(Parts {
            admin,
            engine,
            vault,
            pace: Arc::default(),
        })
}

fn key_routes() -> Router<Parts> {
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
        .route("/apikeys/{id}/moves", post(moves::create))
}

fn plan_routes() -> Router<Parts> {
    Router::new()
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
}
