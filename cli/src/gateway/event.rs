//! The events that API Gateway would send to the authorizer for a request.

use std::time::{SystemTime, UNIX_EPOCH};

use axum::http::header;
use axum::http::request::Parts;
use serde_json::{Value, json};

use super::api::{API_ID, STAGE};
use super::fields::{cookies, headers, query, text};

/// The event of an HTTP API, payload format 2.0.
pub(super) fn http(parts: &Parts) -> Value {
    let mut event = json!({
        "version": "2.0",
        "type": "REQUEST",
        "routeArn": arn(parts),
        "identitySource": null,
        "routeKey": "$default",
        "rawPath": parts.uri.path(),
        "rawQueryString": parts.uri.query().unwrap_or_default(),
        "headers": headers(&parts.headers),
        "queryStringParameters": query(&parts.uri),
        "requestContext": http_context(parts),
        "pathParameters": null,
        "stageVariables": null,
    });
    let cookies = cookies(&parts.headers);
    if !cookies.is_empty() {
        event["cookies"] = json!(cookies);
    }
    event
}

fn http_context(parts: &Parts) -> Value {
    let user_agent = parts.headers.get(header::USER_AGENT);
    json!({
        "accountId": "000000000000",
        "apiId": API_ID,
        "domainName": "localhost",
        "domainPrefix": "localhost",
        "http": {
            "method": parts.method.as_str(),
            "path": parts.uri.path(),
            "protocol": "HTTP/1.1",
            "sourceIp": "127.0.0.1",
            "userAgent": user_agent.map(text).unwrap_or_default(),
        },
        "requestId": "local",
        "routeKey": "$default",
        "stage": STAGE,
        "time": "",
        "timeEpoch": now(),
    })
}

/// The event of a REST API with a REQUEST authorizer and one route, `/{proxy+}`.
pub(super) fn rest(parts: &Parts) -> Value {
    let path = parts.uri.path();
    json!({
        "type": "REQUEST",
        "methodArn": arn(parts),
        "resource": "/{proxy+}",
        "path": path,
        "httpMethod": parts.method.as_str(),
        "headers": headers(&parts.headers),
        "queryStringParameters": query(&parts.uri),
        "pathParameters": { "proxy": path.trim_start_matches('/') },
        "stageVariables": null,
        "requestContext": {
            "accountId": "000000000000",
            "apiId": API_ID,
            "httpMethod": parts.method.as_str(),
            "identity": { "sourceIp": "127.0.0.1" },
            "path": path,
            "requestId": "local",
            "requestTimeEpoch": now(),
            "resourcePath": "/{proxy+}",
            "stage": STAGE,
        },
    })
}

fn arn(parts: &Parts) -> String {
    let (method, path) = (&parts.method, parts.uri.path());
    format!("arn:aws:execute-api:us-east-1:000000000000:{API_ID}/{STAGE}/{method}{path}")
}

/// Milliseconds since the epoch.
fn now() -> u64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(0)
}
