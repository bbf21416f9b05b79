//! What a failed call means for what it was to change.

use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::error::ConditionalCheckFailedException;

/// A call that gave no answer we can go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The store said no for now; nothing was changed and the call can be made again.
    #[error("the store refused for now: {0}")]
    Throttled(String),
    /// No answer came, or one that does not tell whether the change was made.
    #[error("no clear answer from the store: {0}")]
    Indeterminate(String),
    /// The store said no for good: permissions, no such table, a request it does not understand.
    #[error("the store refused: {0}")]
    Rejected(String),
    /// The time for the whole decision is over.
    #[error("no time is left to ask the store")]
    OutOfTime,
    /// The store answered with an item that cannot be understood.
    #[error(transparent)]
    Corrupt(#[from] Corrupt),
}

/// An item that does not hold what it must.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("damaged item {item}: {what}")]
pub struct Corrupt {
    /// Its keys.
    pub item: String,
    /// What is wrong and what was expected.
    pub what: String,
}

/// Error codes under which nothing was changed and the same call may pass later.
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

/// The refusal of an update whose condition did not hold; `None` if it failed for another reason.
pub fn refusal<R>(
    error: &SdkError<UpdateItemError, R>,
) -> Option<&ConditionalCheckFailedException> {
    match error.as_service_error() {
        Some(UpdateItemError::ConditionalCheckFailedException(refusal)) => Some(refusal),
        _ => None,
    }
}

/// The outcome of a conditional write; `None` if its condition did not hold.
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

/// An error and what caused it, as one line for people.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let mut texts: Vec<_> = causes.map(ToString::to_string).collect();
    texts.dedup();
    texts.join(": ")
}
