//! The local gateway: it answers as an API of AWS does, or as a server does that decides itself.
//!
//! As an HTTP or a REST API, each request becomes a real authorizer event, is decided by the Lambda's own handler, and goes on
//! to the backend or is refused with what such an API can say. Two headers tell what they would keep to themselves: the
//! decision and its reason.
//!
//! - [`event`]: requests as events; [`backend`]: what stands behind.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::middleware::map_request;
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use clap::ValueEnum;
use serde_json::{Value, json};
use tollgate_authorizer::Authorizer;
use tollgate_authorizer::response::{Answer, Failed};
use tollgate_guard::{Context, Gate, Guard};
use tollgate_protocol::problem::{CHALLENGE, PROBLEM_TYPE};
use tower::ServiceExt;

mod backend;
mod event;

pub(crate) use backend::Backend;

/// The id of the gateway's API.
pub(crate) const API_ID: &str = "local";
/// Its stage.
pub(crate) const STAGE: &str = "$default";
/// Where backends find the event's request context, under the name that the Lambda Web Adapter has for it.
const REQUEST_CONTEXT: HeaderName = HeaderName::from_static("x-amzn-request-context");
/// The body template of the REST example's gateway response to denied requests.
const ACCESS_DENIED: &str = include_str!("gateway/access_denied.json");

/// What the gateway answers as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Api {
    /// An HTTP API with the authorizer: 403 to whatever is refused. With `TOLLGATE_ON_LIMIT=pass` the backend says 429
    Http,
    /// A REST API with the authorizer and the example's gateway responses: 429 and 401
    Rest,
    /// A server that decides itself, without an authorizer
    InProcess,
}

/// A gateway that asks `authorizer`.
#[derive(Clone)]
struct Gateway {
    api: Api,
    authorizer: Arc<Authorizer>,
    backend: Router,
}

/// The gateway as an API, in front of `backend`.
pub(crate) fn app(api: Api, authorizer: Authorizer, backend: Backend) -> Router {
    let gateway = Gateway {
        api,
        authorizer: Arc::new(authorizer),
        backend: backend.guarded(Guard::behind_adapter(REQUEST_CONTEXT)),
    };
    Router::new().fallback(serve).with_state(gateway)
}

/// The gateway as a server that decides itself.
pub(crate) fn in_process(gate: Gate, backend: Backend) -> Router {
    backend
        .bare()
        .layer(Guard::in_process(gate))
        .layer(map_request(async |mut request: Request| {
            // There is no authorizer that could have written it.
            request.headers_mut().remove(REQUEST_CONTEXT);
            request
        }))
}

async fn serve(State(gateway): State<Gateway>, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    let event = match gateway.api {
        Api::Rest => event::rest(&parts),
        _ => event::http(&parts),
    };
    let answer = match gateway.authorizer.handle(&event.to_string(), None).await {
        Ok(answer) => answer,
        Err(failed) => return failure(failed),
    };
    let context = answer.context();
    let mut response = if answer.is_allowed() {
        // A client has no say in it.
        parts.headers.remove(REQUEST_CONTEXT);
        let handed_on = handed_on(gateway.api, event, context).to_string();
        // A header takes what JSON writes, but for this.
        let handed_on = handed_on.replace('\u{7f}', "\\u007f");
        if let Ok(handed_on) = HeaderValue::try_from(handed_on) {
            parts.headers.insert(REQUEST_CONTEXT, handed_on);
        }
        parts.extensions.insert(context.clone());
        let answered = gateway
            .backend
            .oneshot(Request::from_parts(parts, body))
            .await;
        answered.into_response()
    } else {
        denied(gateway.api, &answer)
    };
    let headers = response.headers_mut();
    let decision = serde_json::to_value(context.decision).unwrap_or_default();
    for (name, word) in [
        ("x-tollgate-decision", decision.as_str().unwrap_or_default()),
        ("x-tollgate-reason", &context.reason),
    ] {
        if let Ok(word) = HeaderValue::from_str(word) {
            headers.insert(name, word);
        }
    }
    response
}

/// The request context that a backend is sent.
fn handed_on(api: Api, mut event: Value, context: &Context) -> Value {
    let mut request = event["requestContext"].take();
    request["authorizer"] = match api {
        Api::Rest => json!(context),
        _ => json!({ "lambda": context }),
    };
    request
}

fn denied(api: Api, answer: &Answer) -> Response {
    match api {
        Api::Rest => (
            StatusCode::TOO_MANY_REQUESTS,
            [(CONTENT_TYPE, PROBLEM_TYPE)],
            rendered(ACCESS_DENIED, answer.context()),
        )
            .into_response(),
        _ => message(StatusCode::FORBIDDEN, "Forbidden"),
    }
}

/// What the example's gateway responses make of an authorizer that fails.
fn failure(failed: Failed) -> Response {
    let (status, text, header) = match failed {
        Failed::Unauthorized => {
            let header = (WWW_AUTHENTICATE, CHALLENGE);
            (StatusCode::UNAUTHORIZED, "Unauthorized", header)
        }
        Failed::Undecided => {
            let header = (RETRY_AFTER, "1");
            (
                StatusCode::SERVICE_UNAVAILABLE,
                "Service Unavailable",
                header,
            )
        }
    };
    ([header], message(status, text)).into_response()
}

fn message(status: StatusCode, message: &str) -> Response {
    (status, Json(json!({ "message": message }))).into_response()
}

/// A body template with the variables of the authorizer's context in place; those that are not there are empty.
fn rendered(template: &str, context: &Context) -> String {
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
