//! Classifies failed calls by whether the change they requested was made.

use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::error::ConditionalCheckFailedException;

/// A call to the store that failed or was not answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The store throttled the call. Nothing was changed, and the call can be repeated.
    #[error("the store refused for now: {0}")]
    Throttled(String),
    /// No answer came, or one that does not show whether the change was made.
    #[error("no clear answer from the store: {0}")]
    Indeterminate(String),
    /// The store rejected the call, and repeating it would not help: missing permissions, no such table, or an invalid request.
    #[error("the store refused: {0}")]
    Rejected(String),
    /// The time for the whole decision is over.
    #[error("no time is left to ask the store")]
    OutOfTime,
    /// The store returned an item that could not be parsed.
    #[error(transparent)]
    Corrupt(#[from] Corrupt),
}

/// An item whose content is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("damaged item {item}: {what}")]
pub struct Corrupt {
    /// The item's primary key.
    pub item: String,
    /// Which content is invalid, and what was expected.
    pub what: String,
}

/// Error codes after which nothing was changed and the same call may succeed later.
const THROTTLED: [&str; 7] = [
    "ProvisionedThroughputExceededException",
    "ThrottlingException",
    "ThrottledException",
    "RequestLimitExceeded",
    "TransactionConflictException",
    "LimitExceededException",
    "TooManyRequestsException",
];

impl<E> From<SdkError<E, HttpResponse>> for Failure
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    fn from(error: SdkError<E, HttpResponse>) -> Self {
        let text = summary(&error);
        let code = error
            .as_service_error()
            .and_then(ProvideErrorMetadata::code);
        match &error {
            SdkError::ConstructionFailure(_) => Self::Rejected(text),
            SdkError::ServiceError(answer) => match code {
                Some(code) if THROTTLED.contains(&code) => Self::Throttled(text),
                _ if answer.raw().status().is_server_error() => Self::Indeterminate(text),
                _ => Self::Rejected(text),
            },
            _ => Self::Indeterminate(text),
        }
    }
}

/// Whether a call failed because its condition did not hold.
pub fn is_condition<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> bool {
    error.code() == Some("ConditionalCheckFailedException")
}

/// Returns the error of an update whose condition did not hold; `None` if the update failed for another reason.
pub fn refusal<R>(
    error: &SdkError<UpdateItemError, R>,
) -> Option<&ConditionalCheckFailedException> {
    match error.as_service_error() {
        Some(UpdateItemError::ConditionalCheckFailedException(refusal)) => Some(refusal),
        _ => None,
    }
}

/// Returns the outcome of a conditional write; `None` if its condition did not hold.
///
/// # Errors
/// Any other [`Failure`].
pub fn conditional<T, E>(
    outcome: Result<T, SdkError<E, HttpResponse>>,
) -> Result<Option<T>, Failure>
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    match outcome {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if is_condition(&error) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn summary<E>(error: &SdkError<E, HttpResponse>) -> String
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    match error.as_service_error() {
        Some(service) => format!(
            "{}: {}",
            service.code().unwrap_or("unknown"),
            service.message().unwrap_or("")
        ),
        None => chain(error),
    }
}

/// Formats an error and its causes as one line.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let mut texts: Vec<_> = causes.map(ToString::to_string).collect();
    texts.dedup();
    texts.join(": ")
}
