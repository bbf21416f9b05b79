//! The one place that knows AWS's error names and status codes.

use axum::Json;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tollgate_dynamo::failure::Failure;

use crate::vault::Unavailable;

/// What a call can be answered with instead of what it asked for.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The caller asked for something that cannot be; the text says what was expected.
    #[error("{0}")]
    BadRequest(String),
    /// The caller named something that is not there; the text says what.
    #[error("{0}")]
    NotFound(String),
    /// No such path.
    #[error("no such route; expected one of API Gateway's paths for API keys and usage plans")]
    NoSuchRoute,
    /// The path has other methods.
    #[error("this route does not take that method")]
    MethodNotAllowed,
    /// The caller asks too often; it may come again after so many seconds.
    #[error("asked too often; try again in {0} s")]
    TooOften(u64),
    /// The body is larger than any call needs.
    #[error("the request body is too large")]
    TooLarge,
    /// The vault is on, and cannot be used.
    #[error("{0}")]
    Vault(#[from] Unavailable),
    /// What management says.
    #[error(transparent)]
    Admin(#[from] tollgate_admin::Error),
}

impl ApiError {
    fn kind(&self) -> (StatusCode, &'static str) {
        use tollgate_admin::Error as E;
        const BAD_REQUEST: (StatusCode, &str) = (StatusCode::BAD_REQUEST, "BadRequestException");
        const NOT_FOUND: (StatusCode, &str) = (StatusCode::NOT_FOUND, "NotFoundException");
        const CONFLICT: (StatusCode, &str) = (StatusCode::CONFLICT, "ConflictException");
        const UNAVAILABLE: (StatusCode, &str) = (
            StatusCode::SERVICE_UNAVAILABLE,
            "ServiceUnavailableException",
        );
        match self {
            Self::BadRequest(_) => BAD_REQUEST,
            Self::NotFound(_) | Self::NoSuchRoute => NOT_FOUND,
            Self::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "BadRequestException"),
            Self::TooLarge => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "RequestEntityTooLargeException",
            ),
            Self::TooOften(_) => (StatusCode::TOO_MANY_REQUESTS, "TooManyRequestsException"),
            Self::Vault(_) => UNAVAILABLE,
            Self::Admin(error) => match error {
                E::NoSuchKey | E::NoSuchPlan | E::NotLinked | E::NoRotation => NOT_FOUND,
                E::PlanHasStages { .. }
                | E::BadPosition
                | E::NoQuota
                | E::KeyNotActive
                | E::Warnings(_)
                | E::TooLarge => BAD_REQUEST,
                E::ValueExists
                | E::AlreadyLinked
                | E::MoveCalledOff
                | E::RotationInProgress(_)
                | E::StageTaken { .. } => CONFLICT,
                E::Contended | E::Unfinished { .. } => {
                    (StatusCode::TOO_MANY_REQUESTS, "TooManyRequestsException")
                }
                E::Store(Failure::Corrupt(_)) => (
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "InternalServerErrorException",
                ),
                E::Store(_) => UNAVAILABLE,
            },
        }
    }

    /// What the caller is told. Inner causes are for the log.
    fn message(&self) -> String {
        match self {
            Self::Admin(tollgate_admin::Error::Store(failure)) => {
                tracing::error!(%failure, "the store failed");
                match failure {
                    Failure::Corrupt(_) => "the stored item is damaged; see the log".to_owned(),
                    _ => "the store is not available; try again".to_owned(),
                }
            }
            Self::Vault(unavailable) => {
                tracing::error!(%unavailable, "the vault failed");
                "values of keys cannot be kept or shown now: KMS does not do its part; try again, or see the log"
                    .to_owned()
            }
            other => other.to_string(),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (status, name) = self.kind();
        // The name stands in the body as well: proxies drop headers.
        let body = json!({ "__type": name, "message": self.message() });
        let mut response = (status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert("x-amzn-ErrorType", HeaderValue::from_static(name));
        if matches!(
            status,
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
        ) {
            let seconds = match self {
                Self::TooOften(seconds) => seconds,
                _ => 1,
            };
            headers.insert("Retry-After", HeaderValue::from(seconds));
        }
        response
    }
}
