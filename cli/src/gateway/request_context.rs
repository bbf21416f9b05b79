//! The event's request context, which tells a backend what the authorizer has decided.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};
use tollgate_guard::Context;

use super::api::Api;

/// The header in which backends find the request context, named as the Lambda Web Adapter names it.
pub(super) const REQUEST_CONTEXT: HeaderName = HeaderName::from_static("x-amzn-request-context");

/// Sets the header of an admitted request, in place of any that the client has sent.
pub(super) fn set(headers: &mut HeaderMap, api: Api, event: Value, context: &Context) {
    headers.remove(REQUEST_CONTEXT);
    let request_context = with_decision(api, event, context).to_string();
    // Of the characters that JSON writes as they are, a header cannot carry this one.
    let request_context = request_context.replace('\u{7f}', "\\u007f");
    if let Ok(value) = HeaderValue::try_from(request_context) {
        headers.insert(REQUEST_CONTEXT, value);
    }
}

/// The event's request context with the authorizer's, where API Gateway puts it.
fn with_decision(api: Api, mut event: Value, context: &Context) -> Value {
    let mut request_context = event["requestContext"].take();
    request_context["authorizer"] = match api {
        Api::Rest => json!(context),
        _ => json!({ "lambda": context }),
    };
    request_context
}
