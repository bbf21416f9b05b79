//! The kinds of authorizer events, and the target that each names.
//!
//! | kind | recognized by | target from |
//! |---|---|---|
//! | HTTP API, payload 2.0 | `version: "2.0"` | `requestContext`, `routeKey`, `rawPath` |
//! | HTTP API, payload 1.0; REST API, REQUEST | `type: "REQUEST"` | `methodArn`, `resource` |
//! | REST API, TOKEN | `type: "TOKEN"` | `methodArn` |
//! | WebSocket API | `requestContext.routeKey: "$connect"` | `methodArn`; the path is `/$connect`, the method GET |
//!
//! - `fields`: the one lean type that reads every kind. `kind`: which kind an event is, and how it is answered.
//! - `target`: the two ways to a target.
//! - `error`: events that cannot be read.

mod error;
mod fields;
mod kind;
mod target;
#[cfg(test)]
mod tests;

use serde_json::Value;
use tollgate_core::plan::Target;
use tollgate_protocol::credential::{self, KeySource};

pub use error::EventError;
use fields::Fields;
pub use kind::Format;
use kind::Kind;

/// An event that names a request to decide.
#[derive(Debug)]
pub struct Event {
    kind: Kind,
    fields: Fields,
    target: Target,
}

impl Event {
    /// Reads an event.
    ///
    /// # Errors
    /// [`EventError`] says what was expected. It never quotes the event, which may carry a key.
    pub fn read(json: &str) -> Result<Self, EventError> {
        let fields = Fields::read(json)?;
        let kind = Kind::of(&fields)?;
        let target = target::target(kind, &fields)?;
        Ok(Self {
            kind,
            fields,
            target,
        })
    }

    /// The API stage, method and path that the request calls.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The form that the API expects the answer in.
    pub fn format(&self) -> Format {
        self.kind.format()
    }

    /// The ARN of the method or route.
    pub fn arn(&self) -> Option<&str> {
        let method = self.fields.method_arn.as_deref();
        method.or(self.fields.route_arn.as_deref())
    }

    /// The key that the request carries. For a TOKEN event that is the token: the API itself has looked for it.
    pub fn credential(&self, sources: &[KeySource]) -> Option<&str> {
        if self.kind == Kind::Token {
            credential::in_token(self.fields.authorization_token.as_deref()?)
        } else {
            credential::find(&self.fields, sources)
        }
    }
}

/// The form of the answer to an event that cannot be read, as far as its fields show it: only events that are answered by a
/// policy have a `methodArn` or a token.
pub fn format_of_unreadable(json: &str) -> Format {
    let event: Value = serde_json::from_str(json).unwrap_or_default();
    if event.get("methodArn").is_some() || event["type"] == "TOKEN" {
        Format::Policy
    } else {
        Format::Http2
    }
}
