//! Why a command fails: a text for people, and an exit code for programs.
//!
//! The client knows what happened to a call; what to do about it depends on this command line's own options, so the advice is
//! here.

use std::process::ExitCode;

use tollgate_api::client::{Access, Error, Refusal};
use tollgate_dynamo::failure::chain;

use crate::names::NameError;

/// What a command fails with: a text for people.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A management API that no call can be made to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EndpointError {
    /// The command line and the environment do not say which API.
    #[error("{0}")]
    NotNamed(String),
    /// The API was not found, or calls to it cannot be signed.
    #[error("{0}")]
    Unresolved(String),
}

/// The exit code of a command that failed; see the front page of this program.
pub(crate) fn exit_code(failure: &Failure) -> ExitCode {
    if let Some(error) = failure.downcast_ref::<EndpointError>() {
        return ExitCode::from(match error {
            EndpointError::NotNamed(_) => 2,
            EndpointError::Unresolved(_) => 4,
        });
    }
    if let Some(error) = failure.downcast_ref::<NameError>() {
        return ExitCode::from(match error {
            NameError::NotFound { .. } | NameError::NotLinked { .. } => 3,
            NameError::Ambiguous { .. } => 2,
        });
    }
    match failure.downcast_ref::<Error>() {
        Some(Error::Unreachable { .. } | Error::InvalidKey) => ExitCode::from(4),
        Some(Error::Refused(refusal)) => ExitCode::from(match refused(refusal) {
            Refused::Key | Refused::Unsigned | Refused::Identity => 4,
            Refused::NotFound => 3,
            Refused::Request => 1,
        }),
        _ => ExitCode::FAILURE,
    }
}

/// The text of a failure, with advice if a call failed.
pub(crate) fn explain(failure: &Failure) -> String {
    failure
        .downcast_ref()
        .map_or_else(|| failure.to_string(), explain_call)
}

/// What an API refuses.
enum Refused {
    /// The key whose holder calls.
    Key,
    /// A call without a signature.
    Unsigned,
    /// The AWS identity.
    Identity,
    /// What the call is about, which does not exist.
    NotFound,
    /// What the call asks for.
    Request,
}

fn refused(refusal: &Refusal) -> Refused {
    match (refusal.status, refusal.access) {
        (401 | 403, Access::KeyHolder) => Refused::Key,
        (403, Access::Unsigned) => Refused::Unsigned,
        (401 | 403, _) => Refused::Identity,
        (404, _) => Refused::NotFound,
        _ => Refused::Request,
    }
}

fn explain_call(error: &Error) -> String {
    match error {
        Error::Unreachable { url, source } => {
            let cause = chain(source);
            format!(
                "no answer from {url}: {cause}; is it running, and is this the management API? `tollgate dev` prints its URL"
            )
        }
        Error::Refused(refusal) => explain_refusal(refusal),
        Error::InvalidKey => "a key has visible ASCII characters only".to_owned(),
        Error::Request(cause) => cause.to_string(),
        Error::UnexpectedResponse { .. } => {
            format!("{error}; is this the management API? `tollgate dev` prints its URL")
        }
        error => error.to_string(),
    }
}

fn explain_refusal(refusal: &Refusal) -> String {
    let Refusal {
        url,
        status,
        message,
        ..
    } = refusal;
    match refused(refusal) {
        Refused::Key | Refused::NotFound => message.clone(),
        Refused::Unsigned => format!(
            "{url} refuses: {message}; it is not the management API of `tollgate dev`, which prints its URL (port 3001)"
        ),
        Refused::Identity => format!(
            "{url} does not let you in: {message}; your AWS identity needs execute-api:Invoke on the stack's \
             ManagementInvokeArn"
        ),
        Refused::Request => format!("{message} ({status})"),
    }
}
