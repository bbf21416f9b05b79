//! What admitted requests go to: an echo, or a server.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use http_body_util::BodyExt;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::json;
use tollgate_guard::{Context, Guard};
use tollgate_protocol::credential::KeySource;

use super::fields::{headers, query};
use super::refusal::message;
use super::request_context::REQUEST_CONTEXT;
use crate::failure::Failure;

/// Where admitted requests go.
#[derive(Debug, Clone)]
pub(crate) enum Backend {
    /// The answer describes the request, without the key that one of these sources carries.
    Echo(Arc<[KeySource]>),
    Upstream(Upstream),
}

/// A server.
#[derive(Debug, Clone)]
pub(crate) struct Upstream {
    client: Arc<Client<HttpConnector, Body>>,
    base: String,
}

impl Backend {
    /// The server at `upstream`, or an echo if there is none.
    pub(crate) fn new(upstream: Option<&str>, keys: &[KeySource]) -> Result<Self, Failure> {
        let Some(base) = upstream else {
            return Ok(Self::Echo(keys.into()));
        };
        let valid = url::Url::parse(base).is_ok_and(|url| url.scheme() == "http" && url.has_host());
        if !valid {
            return Err(format!(
                "--upstream must be a URL such as http://127.0.0.1:8080, got {base:?}"
            )
            .into());
        }
        Ok(Self::Upstream(Upstream {
            client: Arc::new(Client::builder(TokioExecutor::new()).build_http()),
            base: base.trim_end_matches('/').to_owned(),
        }))
    }

    /// The backend behind an authorizer. The echo is guarded by `guard`; a server has to guard itself.
    pub(super) fn guarded(self, guard: Guard) -> Router {
        match self {
            Self::Echo(_) => self.unguarded().layer(guard),
            Self::Upstream(_) => self.unguarded(),
        }
    }

    /// The backend by itself.
    pub(super) fn unguarded(self) -> Router {
        match self {
            Self::Echo(keys) => Router::new().fallback(echo).with_state(keys),
            Self::Upstream(upstream) => Router::new().fallback(forward).with_state(upstream),
        }
    }
}

async fn forward(
    State(Upstream { client, base }): State<Upstream>,
    mut request: Request,
) -> Response {
    let path = request.uri().path_and_query();
    let uri: Option<Uri> = format!("{base}{}", path.map_or("/", |path| path.as_str()))
        .parse()
        .ok();
    *request.uri_mut() = uri.unwrap_or_default();
    // The client sets the upstream's own name in its place.
    request.headers_mut().remove(header::HOST);
    match client.request(request).await {
        Ok(response) => response.into_response(),
        Err(error) => {
            eprintln!("error: the upstream {base} did not answer: {error}");
            message(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable")
        }
    }
}

/// Answers with the request and the decision that a backend is sent with it.
async fn echo(State(keys): State<Arc<[KeySource]>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = body
        .collect()
        .await
        .map(http_body_util::Collected::to_bytes)
        .unwrap_or_default();
    let mut headers = headers(&parts.headers);
    // The answer has the decision as a member of its own.
    headers.remove(REQUEST_CONTEXT.as_str());
    let mut query = query(&parts.uri);
    // An echo ends up in terminals and logs, which must not contain keys.
    let usual = [KeySource::Header("x-api-key".to_owned()), KeySource::Bearer];
    for source in keys.iter().chain(&usual) {
        let value = match source {
            KeySource::Header(name) => headers.get_mut(name.as_str()),
            KeySource::Bearer => headers.get_mut("authorization"),
            KeySource::Query(name) => query.get_mut(name),
        };
        if let Some(value) = value {
            "(hidden)".clone_into(value);
        }
    }
    Json(json!({
        "method": parts.method.as_str(),
        "path": parts.uri.path(),
        "query": query,
        "headers": headers,
        "body": String::from_utf8_lossy(&body),
        "authorizer": parts.extensions.get::<Context>(),
    }))
    .into_response()
}
