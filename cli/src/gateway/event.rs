//! Requests as the events that API Gateway would send for them.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Uri, header};
use serde_json::{Value, json};

use super::{API_ID, STAGE};

fn arn(parts: &Parts) -> String {
    let (method, path) = (&parts.method, parts.uri.path());
    format!("arn:aws:execute-api:us-east-1:000000000000:{API_ID}/{STAGE}/{method}{path}")
}

fn now() -> u64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(0)
}

/// The event of an HTTP API, payload format 2.0.
pub(super) fn http(parts: &Parts) -> Value {
    let path = parts.uri.path();
    let mut event = json!({
        "version": "2.0",
        "type": "REQUEST",
        "routeArn": arn(parts),
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
            "timeEpoch": now(),
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

/// Header names in lower case, several values joined by commas; cookies have a place of their own.
pub(super) fn headers(headers: &HeaderMap) -> BTreeMap<&str, String> {
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
pub(super) fn query(uri: &Uri) -> BTreeMap<String, String> {
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
