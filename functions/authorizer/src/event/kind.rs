//! The kinds of events, and how each is answered.

use super::error::EventError;
use super::fields::Fields;

/// The route key of a WebSocket handshake.
const CONNECT: &str = "$connect";

/// The kind of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    HttpV2,
    HttpV1,
    Rest,
    Token,
    WebSocket,
}

/// The form that an API expects its answer in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// HTTP API with payload format 2.0: simple or a policy, as its authorizer is configured.
    Http2,
    /// HTTP API with payload format 1.0: a policy.
    Http1,
    /// REST API: a policy, which may name a native API key, or an error.
    Rest,
    /// All others: a policy.
    Policy,
}

impl Kind {
    pub(super) fn of(fields: &Fields) -> Result<Self, EventError> {
        match (fields.r#type.as_deref(), fields.version.as_deref()) {
            (Some("REQUEST"), Some("2.0")) => Ok(Self::HttpV2),
            (Some("TOKEN"), _) => Ok(Self::Token),
            (Some("REQUEST"), _) if connects(fields) => Ok(Self::WebSocket),
            (Some("REQUEST"), Some("1.0")) => Ok(Self::HttpV1),
            (Some("REQUEST"), None) => Ok(Self::Rest),
            _ => Err(EventError::Kind),
        }
    }

    pub(super) fn format(self) -> Format {
        match self {
            Self::HttpV2 => Format::Http2,
            Self::HttpV1 => Format::Http1,
            Self::Rest | Self::Token => Format::Rest,
            Self::WebSocket => Format::Policy,
        }
    }
}

fn connects(fields: &Fields) -> bool {
    let context = fields.request_context.as_ref();
    context.and_then(|context| context.route_key.as_deref()) == Some(CONNECT)
}
