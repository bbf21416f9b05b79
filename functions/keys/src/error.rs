//! What a call is answered with if it fails: AWS's names and status codes. The texts are in `messages.rs`.

use axum::Json;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use tollgate_admin::Error as AdminError;
use tollgate_admin::input::{
    Invalid, InvalidEdit, InvalidMethods, InvalidRemaining, InvalidStageKeys, InvalidTags,
    InvalidText, InvalidTime,
};
use tollgate_api::ErrorBody;
use tollgate_core::key::MalformedKey;
use tollgate_dynamo::failure::Failure;

use crate::import::file::MalformedFile;
use crate::messages;
use crate::patch::paths::InvalidPatch;
use crate::vault::Unavailable;

/// Why a call failed. Its `Display` is the message that the caller sees; inner causes are for the log.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The request is not of the form that the call takes; the text says what was expected.
    #[error("{0}")]
    BadRequest(String),
    /// The caller named something that does not exist.
    #[error("{0}")]
    NotFound(String),
    /// No such path.
    #[error("no such route; expected one of API Gateway's paths for API keys and usage plans")]
    NoSuchRoute,
    /// The path has other methods.
    #[error("this route does not take that method")]
    MethodNotAllowed,
    /// The caller asks too often; it may ask again after so many seconds.
    #[error("asked too often; try again in {0} s")]
    TooOften(u64),
    /// The body is larger than any call needs.
    #[error("the request body is too large")]
    TooLarge,
    /// An import's file cannot be read.
    #[error(transparent)]
    File(#[from] MalformedFile),
    /// A patch operation is unknown, or its path is not one of those that it may change.
    #[error("{}", messages::of_patch(.0))]
    Patch(#[from] InvalidPatch),
    /// A value breaks one of management's rules.
    #[error("{}", messages::of_input(.0))]
    Invalid(#[from] Invalid),
    /// Management refused the call or failed.
    #[error("{}", messages::of_admin(.0))]
    Admin(#[from] AdminError),
    /// Values are kept, but KMS cannot encrypt or decrypt one now.
    #[error("{}", messages::VAULT_UNAVAILABLE)]
    Vault(#[from] Unavailable),
}

/// The errors of management's single rules, for `?`.
macro_rules! from_input {
    ($($error:ty),*) => {$(
        impl From<$error> for ApiError {
            fn from(error: $error) -> Self {
                Self::Invalid(error.into())
            }
        }
    )*};
}

from_input!(
    InvalidEdit,
    InvalidMethods,
    InvalidRemaining,
    InvalidStageKeys,
    InvalidTags,
    InvalidText,
    InvalidTime,
    MalformedKey
);

/// A status code, and AWS's name of the error.
type Kind = (StatusCode, &'static str);

const BAD_REQUEST: Kind = (StatusCode::BAD_REQUEST, "BadRequestException");
const NOT_FOUND: Kind = (StatusCode::NOT_FOUND, "NotFoundException");
const METHOD_NOT_ALLOWED: Kind = (StatusCode::METHOD_NOT_ALLOWED, "BadRequestException");
const CONFLICT: Kind = (StatusCode::CONFLICT, "ConflictException");
const TOO_LARGE: Kind = (
    StatusCode::PAYLOAD_TOO_LARGE,
    "RequestEntityTooLargeException",
);
const TOO_MANY: Kind = (StatusCode::TOO_MANY_REQUESTS, "TooManyRequestsException");
const INTERNAL: Kind = (
    StatusCode::INTERNAL_SERVER_ERROR,
    "InternalServerErrorException",
);
const UNAVAILABLE: Kind = (
    StatusCode::SERVICE_UNAVAILABLE,
    "ServiceUnavailableException",
);

impl ApiError {
    fn kind(&self) -> Kind {
        match self {
            Self::BadRequest(_) | Self::File(_) | Self::Patch(_) => BAD_REQUEST,
            Self::NotFound(_) | Self::NoSuchRoute => NOT_FOUND,
            Self::MethodNotAllowed => METHOD_NOT_ALLOWED,
            Self::TooLarge => TOO_LARGE,
            Self::TooOften(_) => TOO_MANY,
            Self::Invalid(invalid) => kind_of_input(invalid),
            Self::Admin(error) => kind_of_admin(error),
            Self::Vault(_) => UNAVAILABLE,
        }
    }

    /// Logs the cause of a failure that the caller cannot see.
    fn log(&self) {
        match self {
            Self::Admin(AdminError::Store(failure)) => {
                tracing::error!(%failure, "the store failed");
            }
            Self::Vault(unavailable) => tracing::error!(%unavailable, "the vault failed"),
            _ => {}
        }
    }

    /// Seconds after which the call may be tried again, if waiting can help.
    fn retry_after(&self) -> Option<u64> {
        match (self, self.kind()) {
            (Self::TooOften(seconds), _) => Some(*seconds),
            (_, TOO_MANY | UNAVAILABLE) => Some(1),
            _ => None,
        }
    }
}

fn kind_of_input(invalid: &Invalid) -> Kind {
    match invalid {
        Invalid::StageKeys(InvalidStageKeys::NotNamed(_))
        | Invalid::Edit(InvalidEdit::NotThere { .. }) => NOT_FOUND,
        _ => BAD_REQUEST,
    }
}

fn kind_of_admin(error: &AdminError) -> Kind {
    use AdminError as E;
    match error {
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
        E::Contended | E::Unfinished { .. } => TOO_MANY,
        E::Store(Failure::Corrupt(_)) => INTERNAL,
        E::Store(_) => UNAVAILABLE,
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        self.log();
        let (status, name) = self.kind();
        let body = ErrorBody {
            name: name.to_owned(),
            message: self.to_string(),
        };
        let mut response = (status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert("x-amzn-ErrorType", HeaderValue::from_static(name));
        if let Some(seconds) = self.retry_after() {
            headers.insert("Retry-After", HeaderValue::from(seconds));
        }
        response
    }
}
