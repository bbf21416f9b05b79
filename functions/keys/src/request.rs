//! Bodies and queries, read with errors that name the field.

use std::convert::Infallible;
use std::time::{Duration, Instant, SystemTime};

use axum::body;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::IntoResponse;
use lambda_http::RequestExt;
use serde::de::DeserializeOwned;
use tollgate_admin::PageRequest;

use crate::error::ApiError;

/// What is begun has this long to end in.
const TO_FINISH: Duration = Duration::from_secs(5);
/// Entries of a page where the caller does not say.
const DEFAULT_LIMIT: usize = 25;
/// Entries of a page at most.
const MAX_LIMIT: usize = 500;

/// A body as it came. It may hold values of keys, so that it has no `Debug`.
pub struct Bytes(pub body::Bytes);

impl<S: Send + Sync> FromRequest<S> for Bytes {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let bytes = body::Bytes::from_request(request, state).await;
        bytes
            .map(Self)
            .map_err(|rejection| match rejection.into_response().status() {
                StatusCode::PAYLOAD_TOO_LARGE => ApiError::TooLarge,
                _ => ApiError::BadRequest("the request body could not be read".to_owned()),
            })
    }
}

/// Until when something long may begin more of its work: a while before Lambda ends the call. On other servers, for ever.
#[derive(Debug, Clone, Copy)]
pub struct TimeLeft(pub Option<Instant>);

impl<S: Send + Sync> FromRequestParts<S> for TimeLeft {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let context = parts.lambda_context_ref();
        Ok(Self(context.map(|context| {
            let left = context.deadline().duration_since(SystemTime::now());
            let left = left.unwrap_or_default().saturating_sub(TO_FINISH);
            Instant::now() + left
        })))
    }
}

/// A JSON body, whatever its `Content-Type` says. An empty one is an empty object.
#[derive(Debug)]
pub struct Body<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let Bytes(bytes) = Bytes::from_request(request, state).await?;
        parse(&bytes).map(Self)
    }
}

/// Reads a JSON body.
///
/// # Errors
/// [`ApiError::BadRequest`] names the field.
pub fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    let bytes = if bytes.is_empty() { b"{}" } else { bytes };
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let error = error.into_inner();
        ApiError::BadRequest(if error.is_data() && path == "." {
            format!("Invalid request body: {error}")
        } else if error.is_data() {
            let error = error.to_string();
            let error = error.replace("expected i64", "expected a whole number");
            let error = error.replace("expected f64", "expected a number");
            format!("Invalid value for {path}: {error}")
        } else {
            format!("Invalid request body: expected JSON; {error}")
        })
    })?;
    json.end().map_err(|error| {
        ApiError::BadRequest(format!("Invalid request body: expected JSON; {error}"))
    })?;
    Ok(value)
}

/// The variable parts of a path.
#[derive(Debug)]
pub struct Ids<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Ids<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Path(value) = Path::from_request_parts(parts, state)
            .await
            .map_err(|rejection| ApiError::BadRequest(rejection.body_text()))?;
        Ok(Self(value))
    }
}

/// A query string.
#[derive(Debug)]
pub struct Params<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Query(value) = Query::from_request_parts(parts, state)
            .await
            .map_err(|rejection| {
                ApiError::BadRequest(format!("Invalid query: {}", rejection.body_text()))
            })?;
        Ok(Self(value))
    }
}

/// The parameters of a paged list.
#[derive(Debug, Default)]
pub struct Paging {
    position: Option<String>,
    limit: Option<String>,
}

impl Paging {
    /// As they came.
    pub fn new(position: Option<String>, limit: Option<String>) -> Self {
        Self { position, limit }
    }

    /// The page that is asked for: 25 entries where nothing is said, at most 500, none for a negative limit. `list` is what is
    /// listed, with its filters: a position is good for that alone.
    ///
    /// # Errors
    /// [`ApiError::BadRequest`] where the limit is no whole number.
    pub fn page(self, list: impl Into<String>) -> Result<PageRequest, ApiError> {
        let limit = match self.limit.as_deref().map(str::parse::<i64>) {
            None | Some(Ok(0)) => DEFAULT_LIMIT,
            Some(Ok(limit)) => usize::try_from(limit).unwrap_or(0).min(MAX_LIMIT),
            Some(Err(_)) => {
                return Err(ApiError::BadRequest(format!(
                    "Invalid limit: expected a whole number up to {MAX_LIMIT}"
                )));
            }
        };
        Ok(PageRequest {
            position: self.position.filter(|position| !position.is_empty()),
            limit,
            list: list.into(),
        })
    }
}
