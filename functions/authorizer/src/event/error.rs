//! Events that cannot be read.

/// An event that names no request to decide.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    /// Its kind is none that the authorizer answers.
    #[error(
        "expected an authorizer event of an HTTP API (version \"2.0\" or \"1.0\"), a REST API (type \"REQUEST\" or \
         \"TOKEN\") or a WebSocket API"
    )]
    Kind,
    /// A field has the wrong type.
    #[error("the event's field {0} is not of the type it has to be")]
    Shape(String),
    /// A required field is missing.
    #[error("the event has no {0}")]
    Missing(&'static str),
    /// The ARN has another form.
    #[error(
        "expected a methodArn of the form arn:aws:execute-api:region:account:api/stage/METHOD/path"
    )]
    Arn,
}
