//! Decisions of an authorizer, as API Gateway passes them to a backend: HTTP APIs under `authorizer.lambda`, REST APIs under
//! `authorizer` itself.

use http::HeaderName;
use http::request::Parts;
use serde::Deserialize;
use serde_json::Value;

use crate::Context;

/// Why a request has no decision, for the log.
type NoDecision = &'static str;

/// Reads the decision from the event that `lambda_http` keeps with a request.
#[cfg(feature = "lambda")]
pub(crate) fn in_event(parts: &Parts) -> Result<Context, NoDecision> {
    use lambda_http::RequestExt;
    let context = parts
        .extensions
        .request_context_ref()
        .ok_or("the request comes from no event of an API")?;
    let authorizer = context
        .authorizer()
        .ok_or("the event was seen by no authorizer")?;
    let fields = authorizer.fields.clone().into_iter().collect();
    read(Value::Object(fields))
}

/// Reads the decision from a header with the event's request context.
pub(crate) fn in_header(parts: &Parts, name: &HeaderName) -> Result<Context, NoDecision> {
    let mut headers = parts.headers.get_all(name).iter();
    let (Some(header), None) = (headers.next(), headers.next()) else {
        return Err("the request does not carry the one header with its context");
    };
    let mut context: Value = serde_json::from_slice(header.as_bytes())
        .map_err(|_| "the header with the request's context is not JSON")?;
    read(context["authorizer"].take())
}

fn read(mut authorizer: Value) -> Result<Context, NoDecision> {
    if authorizer.get("lambda").is_some_and(Value::is_object) {
        authorizer = authorizer["lambda"].take();
    }
    Context::deserialize(authorizer).map_err(|_| "the authorizer's context holds no decision")
}
