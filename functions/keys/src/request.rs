//! Bodies, queries and paths of requests, read with errors that name the field.

use std::convert::Infallible;
use std::time::{Duration, Instant, SystemTime};

use axum::body;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::IntoResponse;
use lambda_http::RequestExt;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tollgate_admin::PageRequest;

use crate::error::ApiError;

/// Time before the end of a call in which no more work may start: the started work needs it to finish.
const TO_FINISH: Duration = Duration::from_secs(5);
/// Entries of a page if the caller does not say.
const DEFAULT_LIMIT: usize = 25;
/// Entries that a page can have.
const MAX_LIMIT: usize = 500;

/// A body as it was sent. It can hold values of keys, so it has no `Debug`.
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

/// The time until which a long call may start more of its work: a while before Lambda ends the call; `None` on other servers,
/// which have no such end.
#[derive(Debug, Clone, Copy)]
pub struct Deadline(pub Option<Instant>);

impl<S: Send + Sync> FromRequestParts<S> for Deadline {
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
    let no_json = |error: &serde_json::Error| {
        ApiError::BadRequest(format!("Invalid request body: expected JSON; {error}"))
    };
    let bytes = if bytes.is_empty() { b"{}" } else { bytes };
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let error = error.into_inner();
        if error.is_data() {
            ApiError::BadRequest(wrong_value(&path, &error))
        } else {
            no_json(&error)
        }
    })?;
    json.end().map_err(|error| no_json(&error))?;
    Ok(value)
}

/// The message for a value of the wrong type, in words that do not depend on Rust's types.
fn wrong_value(path: &str, error: &serde_json::Error) -> String {
    if path == "." {
        return format!("Invalid request body: {error}");
    }
    let error = error.to_string();
    let error = error.replace("expected i64", "expected a whole number");
    let error = error.replace("expected f64", "expected a number");
    format!("Invalid value for {path}: {error}")
}

/// Reads a value that is JSON in a string, such as those of patches. `place` is where it stands.
///
/// # Errors
/// [`ApiError::BadRequest`] says what was expected.
pub fn json_value<'a, T: Deserialize<'a>>(
    place: &str,
    text: &'a str,
    expected: &str,
) -> Result<T, ApiError> {
    serde_json::from_str(text).map_err(|error| {
        ApiError::BadRequest(format!(
            "Invalid value for {place}: expected {expected}, as JSON in a string; {error}"
        ))
    })
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

/// Whether a parameter says "true", in any case. AWS's clients send `True` and `true`.
pub fn is_true(parameter: Option<&str>) -> bool {
    parameter.is_some_and(|text| text.eq_ignore_ascii_case("true"))
}

/// The page that a caller asks for: 25 entries by default, at most 500, none for a negative limit. `list` names the list with
/// its filters; a position is valid for that list only.
///
/// # Errors
/// [`ApiError::BadRequest`] if the limit is not a whole number.
pub fn page(
    position: Option<String>,
    limit: Option<&str>,
    list: impl Into<String>,
) -> Result<PageRequest, ApiError> {
    let limit = match limit.map(str::parse::<i64>) {
        None | Some(Ok(0)) => DEFAULT_LIMIT,
        Some(Ok(limit)) => usize::try_from(limit).unwrap_or(0).min(MAX_LIMIT),
        Some(Err(_)) => {
            return Err(ApiError::BadRequest(format!(
                "Invalid limit: expected a whole number up to {MAX_LIMIT}"
            )));
        }
    };
    Ok(PageRequest {
        position: position.filter(|position| !position.is_empty()),
        limit,
        list: list.into(),
    })
}
