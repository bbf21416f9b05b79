//! Bad input and unknown routes get errors that say what was expected.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};
use tollgate_tests::api::{Api, ids, text};

#[expect(clippy::too_many_lines, reason = "a table")]
#[tokio::test(flavor = "multi_thread")]
async fn bad_input_is_told_what_was_expected_and_changes_nothing() {
    let api = Api::embedded().await;
    let mut messages = Vec::new();
    for (path, body, expected) in [
        (
            "/apikeys",
            json!({ "name": "n".repeat(1025) }),
            "Invalid API Key name, can be at most 1024 characters.",
        ),
        (
            "/apikeys",
            json!({ "description": "d".repeat(125_001) }),
            "Invalid API Key description specified.",
        ),
        (
            "/apikeys",
            json!({ "value": "short" }),
            "API Key value should be at least 20 characters",
        ),
        (
            "/apikeys",
            json!({ "value": "v".repeat(129) }),
            "API Key value exceeds maximum size of 128 characters",
        ),
        (
            "/apikeys",
            json!({ "value": "spaces are not allowed here" }),
            "API Key value must be visible ASCII",
        ),
        (
            "/apikeys",
            json!({ "value": "tg_not-one-that-was-generated" }),
            "API Key value starts with tg_",
        ),
        (
            "/apikeys",
            json!({ "customerId": "c".repeat(257) }),
            "Invalid customerId, can be at most 256 characters.",
        ),
        (
            "/apikeys",
            json!({ "description": "\u{1F600}".repeat(125_000) }),
            "Invalid API Key description specified.",
        ),
        (
            "/apikeys",
            json!({ "tags": { "": "v" } }),
            "Invalid tags: expected keys of 1 to 128",
        ),
        (
            "/apikeys",
            json!({ "tollgate": { "x": 1 } }),
            "Invalid value for tollgate.x: unknown field",
        ),
        (
            "/usageplans",
            json!({ "name": "p", "tollgate": { "typo": 1 } }),
            "Invalid value for tollgate.typo: unknown field",
        ),
        (
            "/usageplans",
            json!({ "name": "n".repeat(1025) }),
            "Invalid Usage Plan name, can be at most 1024",
        ),
        (
            "/usageplans",
            json!({ "name": "p", "throttle": { "rateLimit": 1e308 } }),
            "throttle: rateLimit must be 0 or a number",
        ),
        (
            "/apikeys",
            json!({ "enabled": "yes" }),
            "Invalid value for enabled: invalid type: string",
        ),
        (
            "/apikeys",
            json!({ "tags": { "a": 1 } }),
            "Invalid value for tags.a: invalid type: integer",
        ),
        ("/usageplans", json!({}), "Usage Plan name is required"),
        (
            "/usageplans",
            json!({ "name": "p", "throttle": { "rateLimit": -1 } }),
            "throttle: rateLimit must be 0 or a number",
        ),
        (
            "/usageplans",
            json!({ "name": "p", "throttle": { "burstLimit": -1 } }),
            "throttle.burstLimit must be a whole number from 0 to 2147483647, got -1",
        ),
        (
            "/usageplans",
            json!({ "name": "p", "throttle": { "burstLimit": 1.5 } }),
            "Invalid value for throttle.burstLimit",
        ),
        (
            "/usageplans",
            json!({ "name": "p", "quota": { "period": "DAY" } }),
            "quota.limit is required",
        ),
        (
            "/usageplans",
            json!({ "name": "p", "quota": { "limit": -1, "period": "DAY" } }),
            "quota.limit must be a whole number from 0 to 2147483647, got -1",
        ),
        (
            "/usageplans",
            json!({ "name": "p", "quota": { "limit": 1 } }),
            "quota.period: expected DAY, WEEK or MONTH",
        ),
        (
            "/usageplans",
            json!({ "name": "p", "quota": { "limit": 1, "period": "WEEK", "offset": 9 } }),
            "quota offset for WEEK must be from 0 to 6, got 9",
        ),
        (
            "/usageplans",
            json!({ "name": "p", "apiStages": [{ "apiId": "a" }] }),
            "Invalid API Stage specified",
        ),
        (
            "/usageplans",
            json!({ "name": "p", "apiStages": [{ "apiId": "a", "stage": "s" }, { "apiId": "a", "stage": "s" }] }),
            "apiStages names a:s twice",
        ),
        (
            "/usageplans",
            json!({ "name": "p", "apiStages": [{ "apiId": "a", "stage": "s", "throttle": { "pets/GET": {} } }] }),
            "apiStages[a:s].throttle[pets/GET]: expected a method throttle key such as /pets/{id}/GET",
        ),
    ] {
        let error = api.call(400, Method::POST, path, body).await;
        let message = error["message"].as_str().unwrap();
        assert!(
            message.starts_with(expected),
            "{message:?} should start with {expected:?}"
        );
        assert_eq!(error["__type"], "BadRequestException");
        messages.push(message.to_owned());
    }
    insta::assert_snapshot!(messages.join("\n"), @r#"
    Invalid API Key name, can be at most 1024 characters.
    Invalid API Key description specified.
    API Key value should be at least 20 characters
    API Key value exceeds maximum size of 128 characters
    API Key value must be visible ASCII characters without spaces
    API Key value starts with tg_ but is not a generated value: its checksum does not match
    Invalid customerId, can be at most 256 characters.
    Invalid API Key description specified.
    Invalid tags: expected keys of 1 to 128 characters and values of at most 256
    Invalid value for tollgate.x: unknown field `x`, expected `expiresAt` or `restriction` at line 1 column 16
    Invalid value for tollgate.typo: unknown field `typo`, expected `methods` at line 1 column 30
    Invalid Usage Plan name, can be at most 1024 characters.
    throttle: rateLimit must be 0 or a number of requests per second from 1e-9 to 1e12, got 1e308
    Invalid value for enabled: invalid type: string "yes", expected a boolean at line 1 column 16
    Invalid value for tags.a: invalid type: integer `1`, expected a string at line 1 column 14
    Usage Plan name is required and must not be empty
    throttle: rateLimit must be 0 or a number of requests per second from 1e-9 to 1e12, got -1e0
    throttle.burstLimit must be a whole number from 0 to 2147483647, got -1
    Invalid value for throttle.burstLimit: invalid type: floating point `1.5`, expected a whole number at line 1 column 40
    quota.limit is required
    quota.limit must be a whole number from 0 to 2147483647, got -1
    quota.period: expected DAY, WEEK or MONTH; it is required
    quota offset for WEEK must be from 0 to 6, got 9
    Invalid API Stage specified: each of apiStages needs stage, which must not be empty
    apiStages names a:s twice
    apiStages[a:s].throttle[pets/GET]: expected a method throttle key such as /pets/{id}/GET, //GET for the root, or */* for each method of the stage, with one of GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, ANY; got "pets/GET"
    "#);
    for path in [
        "/apikeys?limit=many",
        "/apikeys?position=%21",
        "/usageplans?limit=1.5",
    ] {
        api.call(400, Method::GET, path, Value::Null).await;
    }
    let plan = text(&api.post("/usageplans", json!({ "name": "p" })).await["id"]);
    for body in [
        json!({}),
        json!({ "keyId": "k" }),
        json!({ "keyId": "k", "keyType": "OTHER" }),
    ] {
        api.call(400, Method::POST, &format!("/usageplans/{plan}/keys"), body)
            .await;
    }
    assert_eq!(api.get("/apikeys").await, json!({ "item": [] }));
    assert_eq!(ids(&api.get("/usageplans").await), [plan]);
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_routes_and_methods_and_bodies_have_their_codes() {
    let api = Api::embedded().await;
    for path in ["/", "/apikey", "/usageplans/x/y", "/apikeys/x/y"] {
        let error = api.call(404, Method::GET, path, Value::Null).await;
        assert_eq!(error["__type"], "NotFoundException");
    }
    for (method, path) in [
        (Method::PUT, "/apikeys"),
        (Method::POST, "/apikeys/x"),
        (Method::DELETE, "/usageplans"),
        (Method::POST, "/usageplans/x/usage"),
    ] {
        api.call(405, method, path, Value::Null).await;
    }
    let long = "x".repeat(3_000);
    for path in [
        format!("/apikeys/{long}"),
        format!("/usageplans/{long}"),
        format!("/usageplans?keyId={long}"),
    ] {
        api.call(404, Method::GET, &path, Value::Null).await;
    }
    api.call(400, Method::GET, "/apikeys/%FF", Value::Null)
        .await;
    for body in ["{", "{} trailing", "name=n"] {
        let (status, error, _) = api.raw(Method::POST, "/apikeys", body.to_owned()).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert!(
            error["message"].as_str().unwrap().contains("expected JSON"),
            "{error}"
        );
    }
    for (path, body) in [
        ("/apikeys", json!([])),
        ("/apikeys", json!(["name"])),
        ("/usageplans", json!({ "name": "p", "throttle": [1, 2] })),
        (
            "/usageplans",
            json!({ "name": "p", "quota": [1, 0, "DAY"] }),
        ),
        (
            "/usageplans",
            json!({ "name": "p", "apiStages": [["a", "s"]] }),
        ),
    ] {
        api.call(400, Method::POST, path, body).await;
    }
    let (status, ..) = api
        .raw(
            Method::POST,
            "/apikeys",
            format!("\"{}\"", "x".repeat(6_000_000)),
        )
        .await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
}
