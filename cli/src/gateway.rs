//! The local gateway: it answers as an HTTP API with a Lambda authorizer does.
//!
//! Each request becomes a real authorizer event, is decided by the Lambda's own handler, and goes on to the backend or
//! is answered 403. Two headers tell what an HTTP API would keep to itself: the decision and its reason.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use http_body_util::BodyExt;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tollgate_authorizer::Authorizer;
use tollgate_authorizer::response::Context;

use crate::Failure;

/// The id of the gateway's API.
pub(crate) const API_ID: &str = "local";
/// Its stage.
pub(crate) const STAGE: &str = "$default";

/// Where admitted requests go.
#[derive(Debug, Clone)]
pub(crate) enum Backend {
    /// They are told back.
    Echo,
    /// To a server.
    Upstream {
        client: Arc<Client<HttpConnector, Body>>,
        base: String,
    },
}

impl Backend {
    pub(crate) fn new(upstream: Option<&str>) -> Result<Self, Failure> {
        let Some(base) = upstream else {
            return Ok(Self::Echo);
        };
        let valid = url::Url::parse(base).is_ok_and(|url| url.scheme() == "http" && url.has_host());
        if !valid {
            return Err(format!(
                "--upstream must be a URL such as http://127.0.0.1:8080, got {base:?}"
            )
            .into());
        }
        Ok(Self::Upstream {
            client: Arc::new(Client::builder(TokioExecutor::new()).build_http()),
            base: base.trim_end_matches('/').to_owned(),
        })
    }
}

/// The gateway in front of `backend`.
pub(crate) fn app(authorizer: Arc<Authorizer>, backend: Backend) -> Router {
    Router::new()
        .fallback(serve)
        .with_state((authorizer, backend))
}

async fn serve(
    State((authorizer, backend)): State<(Arc<Authorizer>, Backend)>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let answer = authorizer.handle(&event(&parts).to_string(), None).await;
    let mut response = if answer.is_allowed() {
        forward(backend, parts, body, answer.context()).await
    } else {
        (
            StatusCode::FORBIDDEN,
            Json(json!({ "message": "Forbidden" })),
        )
            .into_response()
    };
    let headers = response.headers_mut();
    for (name, word) in [
        ("x-tollgate-decision", &answer.context().decision),
        ("x-tollgate-reason", &answer.context().reason),
    ] {
        if let Ok(word) = HeaderValue::from_str(word) {
            headers.insert(name, word);
        }
    }
    response
}

/// The event that an HTTP API would send for this request, payload format 2.0.
fn event(parts: &Parts) -> Value {
    let path = parts.uri.path();
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let mut event = json!({
        "version": "2.0",
        "type": "REQUEST",
        "routeArn": format!("arn:aws:execute-api:us-east-1:000000000000:{API_ID}/{STAGE}/{}{path}", parts.method),
        "identitySource": null,
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": parts.uri.query().unwrap_or_default(),
        "headers": headers(&parts.headers),
        "queryStringParameters": query(&parts.uri),
        "requestContext": {
            "accountId": "000000000000",
            "apiId": API_ID,
            "domainName": "localhost",
            "domainPrefix": "localhost",
            "http": {
                "method": parts.method.as_str(),
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "127.0.0.1",
                "userAgent": text(parts.headers.get(header::USER_AGENT)),
            },
            "requestId": "local",
            "routeKey": "$default",
            "stage": STAGE,
            "time": "",
            "timeEpoch": u64::try_from(now.as_millis()).unwrap_or(0),
        },
        "pathParameters": null,
        "stageVariables": null,
    });
    let cookies: Vec<_> = parts
        .headers
        .get_all(header::COOKIE)
        .iter()
        .flat_map(|cookies| {
            text(Some(cookies))
                .split("; ")
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .collect();
    if !cookies.is_empty() {
        event["cookies"] = json!(cookies);
    }
    event
}

/// Header names in lower case, several values joined by commas; cookies have a place of their own.
fn headers(headers: &HeaderMap) -> BTreeMap<&str, String> {
    let names = headers.keys().filter(|name| **name != header::COOKIE);
    names
        .map(|name| {
            let values = headers.get_all(name).iter();
            let values: Vec<_> = values.map(|value| text(Some(value))).collect();
            (name.as_str(), values.join(","))
        })
        .collect()
}

/// Decoded parameters, several values joined by commas.
fn query(uri: &Uri) -> BTreeMap<String, String> {
    let mut parameters: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()) {
        parameters
            .entry(name.into_owned())
            .and_modify(|values| {
                values.push(',');
                values.push_str(&value);
            })
            .or_insert_with(|| value.into_owned());
    }
    parameters
}

fn text(value: Option<&HeaderValue>) -> String {
    value.map_or_else(String::new, |value| {
        String::from_utf8_lossy(value.as_bytes()).into_owned()
    })
}

async fn forward(backend: Backend, parts: Parts, body: Body, context: &Context) -> Response {
    match backend {
        Backend::Echo => echo(&parts, body, context).await,
        Backend::Upstream { client, base } => {
            let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
            let uri: Option<Uri> = format!("{base}{path}").parse().ok();
            let mut request = Request::from_parts(parts, body);
            *request.uri_mut() = uri.unwrap_or_default();
            // The upstream's own name belongs there.
            request.headers_mut().remove(header::HOST);
            match client.request(request).await {
                Ok(response) => response.into_response(),
                Err(error) => {
                    eprintln!("error: the upstream {base} did not answer: {error}");
                    let body = json!({ "message": "Service Unavailable" });
                    (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response()
                }
            }
        }
    }
}

/// Tells the request back, with what the authorizer would hand to a backend.
async fn echo(parts: &Parts, body: Body, context: &Context) -> Response {
    let body = body
        .collect()
        .await
        .map(http_body_util::Collected::to_bytes)
        .unwrap_or_default();
    let mut told = headers(&parts.headers);
    // An echo ends up in terminals and logs, where a key has no place.
    for name in ["x-api-key", "authorization"] {
        if let Some(value) = told.get_mut(name) {
            "(hidden)".clone_into(value);
        }
    }
    Json(json!({
        "method": parts.method.as_str(),
        "path": parts.uri.path(),
        "query": query(&parts.uri),
        "headers": told,
        "body": String::from_utf8_lossy(&body),
        "authorizer": context,
    }))
    .into_response()
}
