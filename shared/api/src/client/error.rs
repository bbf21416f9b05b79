//! What can go wrong with a call.

use url::Url;

/// A call that was not answered with what it asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No connection, or no answer within the time limit. A change may have been carried out.
    #[error("no answer from {url}")]
    Unreachable {
        /// The API.
        url: Url,
        /// Why.
        source: reqwest::Error,
    },
    /// The API answered with an error.
    #[error(transparent)]
    Refused(Refusal),
    /// The answer is not what a management API answers: another server may listen at the URL.
    #[error("{url} did not answer as a management API does: {found}")]
    UnexpectedResponse {
        /// The API.
        url: Url,
        /// What was found in place of the expected answer.
        found: String,
    },
    /// The key has characters that no HTTP header can carry, so it is no key.
    #[error("the key has characters that no key has")]
    InvalidKey,
    /// The request could not be built or signed. Nothing was sent.
    #[error("cannot send the request")]
    Request(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// An error that the API answered with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{url} refused: {message} ({status})")]
pub struct Refusal {
    /// The API.
    pub url: Url,
    /// How the call identified its caller.
    pub access: Access,
    /// The HTTP status.
    pub status: u16,
    /// The API's own words.
    pub message: String,
}

/// How a call identified its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Not at all.
    Unsigned,
    /// As an AWS identity.
    Signed,
    /// As the holder of a key.
    KeyHolder,
}

impl Error {
    pub(super) fn request(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Request(source.into())
    }

    /// Whether what the call was about does not exist.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused(refusal) if refusal.status == 404)
    }

    /// Whether the same call may succeed a moment later.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Refused(refusal) => matches!(refusal.status, 429 | 502 | 503 | 504),
            Self::UnexpectedResponse { .. } | Self::InvalidKey | Self::Request(_) => false,
        }
    }
}
