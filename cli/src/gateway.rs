//! The local gateway. It answers as an API of AWS with the authorizer, or as a server that decides itself.
//!
//! As an HTTP or a REST API, it makes an authorizer event of each request and asks the Lambda's own handler. An admitted request
//! goes on to the backend; a refused one gets the answer that such an API can give. Two headers show the decision and its reason,
//! which a real API would not.
//!
//! - [`api`]: what the gateway answers as. [`event`]: events of requests. [`request_context`]: what a backend is sent of a
//!   decision.
//! - [`refusal`]: answers to refused requests. [`backend`]: what admitted requests go to. [`fields`]: headers and parameters.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::HeaderValue;
use axum::middleware::map_request;
use axum::response::{IntoResponse, Response};
use tollgate_authorizer::Authorizer;
use tollgate_guard::{Context, Gate, Guard};
use tower::ServiceExt;

mod api;
mod backend;
mod event;
mod fields;
mod refusal;
mod request_context;

pub(crate) use api::{API_ID, Api, STAGE};
pub(crate) use backend::Backend;
use request_context::REQUEST_CONTEXT;

/// A gateway that asks an authorizer.
#[derive(Clone)]
struct Gateway {
    api: Api,
    authorizer: Arc<Authorizer>,
    backend: Router,
}

/// The gateway as an API with an authorizer, in front of `backend`.
pub(crate) fn app(api: Api, authorizer: Authorizer, backend: Backend) -> Router {
    let gateway = Gateway {
        api,
        authorizer: Arc::new(authorizer),
        backend: backend.guarded(Guard::behind_adapter(REQUEST_CONTEXT)),
    };
    Router::new().fallback(serve).with_state(gateway)
}

/// The gateway as a server that decides itself, without an authorizer.
pub(crate) fn in_process(gate: Gate, backend: Backend) -> Router {
    backend
        .unguarded()
        .layer(Guard::in_process(gate))
        .layer(map_request(async |mut request: Request| {
            // Only an authorizer sets this header, and there is none.
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
        Err(failed) => return refusal::of_failure(failed),
    };
    let context = answer.context();
    let mut response = if answer.is_allowed() {
        request_context::set(&mut parts.headers, gateway.api, event, context);
        parts.extensions.insert(context.clone());
        let request = Request::from_parts(parts, body);
        gateway.backend.oneshot(request).await.into_response()
    } else {
        refusal::of_denial(gateway.api, context)
    };
    show_decision(&mut response, context);
    response
}

/// Adds the decision and its reason to a response, which only the local gateway does.
fn show_decision(response: &mut Response, context: &Context) {
    response.extensions_mut().insert(context.clone());
    let decision = serde_json::to_value(context.decision).unwrap_or_default();
    for (name, word) in [
        ("x-tollgate-decision", decision.as_str().unwrap_or_default()),
        ("x-tollgate-reason", &context.reason),
    ] {
        if let Ok(word) = HeaderValue::from_str(word) {
            response.headers_mut().insert(name, word);
        }
    }
}
