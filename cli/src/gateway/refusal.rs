//! Answers to refused requests, with the little that an API of AWS can say.

use axum::Json;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tollgate_authorizer::response::Failed;
use tollgate_guard::Context;
use tollgate_protocol::problem::{CHALLENGE, PROBLEM_TYPE};

use super::api::Api;

/// The body template of the REST example's gateway response to denied requests.
const ACCESS_DENIED: &str = include_str!("access_denied.json");

/// The answer to a request that the authorizer denies.
pub(super) fn of_denial(api: Api, context: &Context) -> Response {
    match api {
        Api::Rest => (
            StatusCode::TOO_MANY_REQUESTS,
            [(CONTENT_TYPE, PROBLEM_TYPE)],
            render(ACCESS_DENIED, context),
        )
            .into_response(),
        _ => message(StatusCode::FORBIDDEN, "Forbidden"),
    }
}

/// The answer of the REST example's gateway responses if the authorizer fails.
pub(super) fn of_failure(failed: Failed) -> Response {
    let (status, text, header): (_, _, (HeaderName, _)) = match failed {
        Failed::Unauthorized => (
            StatusCode::UNAUTHORIZED,
            "Unauthorized",
            (WWW_AUTHENTICATE, CHALLENGE),
        ),
        Failed::Undecided => (
            StatusCode::SERVICE_UNAVAILABLE,
            "Service Unavailable",
            (RETRY_AFTER, "1"),
        ),
    };
    ([header], message(status, text)).into_response()
}

/// A message as API Gateway words its own.
pub(super) fn message(status: StatusCode, message: &str) -> Response {
    (status, Json(json!({ "message": message }))).into_response()
}

/// A body template with the variables of the authorizer's context filled in. Missing ones are empty.
fn render(template: &str, context: &Context) -> String {
    const VARIABLE: &str = "$context.authorizer.";
    let context = json!(context);
    let mut parts = template.trim_end().split(VARIABLE);
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|letter: char| !letter.is_ascii_alphanumeric());
        let (name, rest) = part.split_at(end.unwrap_or(part.len()));
        match &context[name] {
            Value::String(value) => text.push_str(value),
            Value::Null => {}
            value => text.push_str(&value.to_string()),
        }
        text.push_str(rest);
    }
    text
}
