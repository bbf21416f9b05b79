//! Events of each kind, read.

use serde_json::{Value, json};
use tollgate_core::path::Path;
use tollgate_protocol::credential::KeySource;

use super::target::{resource, route};
use super::{Event, EventError};

fn read(event: &Value) -> Result<Event, EventError> {
    Event::read(&event.to_string())
}

#[test]
fn a_named_stage_is_taken_off_the_path_and_default_is_not() {
    for (raw, stage, expected) in [
        ("/prod/pets", "prod", "/pets"),
        ("/prod", "prod", "/"),
        ("/product/7", "prod", "/product/7"),
        ("/pets", "$default", "/pets"),
        ("/$default/pets", "$default", "/$default/pets"),
        ("/p%65ts/a%20b", "$default", "/pets/a b"),
    ] {
        let event = json!({
            "version": "2.0", "type": "REQUEST", "rawPath": raw,
            "requestContext": { "apiId": "a", "stage": stage, "http": { "method": "GET" } },
        });
        let event = read(&event).expect("an event");
        let path = event.target().path.segments().collect::<Vec<_>>();
        assert_eq!(format!("/{}", path.join("/")), expected, "{raw}");
    }
}

#[test]
fn a_route_key_gives_its_template() {
    assert_eq!(route("GET /pets/{id}").as_deref(), Some("/pets/{id}"));
    assert_eq!(route("$default"), None);
    assert_eq!(resource("/pets/{id}").as_deref(), Some("/pets/{id}"));
    assert_eq!(resource("/$default"), None);
}

#[test]
fn an_event_needs_no_more_than_its_target() {
    let sources = [KeySource::Header("x-api-key".into())];
    let http = json!({
        "version": "2.0", "type": "REQUEST", "rawPath": "/pets",
        "requestContext": { "apiId": "a", "stage": "$default", "http": { "method": "GET" } },
    });
    let rest = json!({ "type": "REQUEST", "methodArn": "arn:aws:execute-api:r:1:a/prod/GET/pets" });
    for minimal in [http, rest] {
        let event = read(&minimal).expect("an event");
        assert_eq!(event.target().path, Path::read("/pets"));
        assert_eq!(event.credential(&sources), None);
        for field in [
            "headers",
            "cookies",
            "queryStringParameters",
            "identitySource",
            "routeKey",
            "pathParameters",
            "resource",
        ] {
            let mut event = minimal.clone();
            event[field] = Value::Null;
            assert!(read(&event).is_ok(), "{field}: null");
        }
        let mut event = minimal;
        event["headers"] = json!({ "X-Api-Key": "k", "x-other": null });
        let event = read(&event).expect("an event");
        assert_eq!(event.credential(&sources), Some("k"));
    }
}

#[test]
fn a_token_is_the_key_with_or_without_its_scheme() {
    for (token, key) in [
        ("tg_1", Some("tg_1")),
        ("Bearer tg_1", Some("tg_1")),
        ("bearer  tg_1 ", Some("tg_1")),
        ("", None),
        ("Bearer ", None),
    ] {
        let event = json!({
            "type": "TOKEN", "authorizationToken": token,
            "methodArn": "arn:aws:execute-api:r:1:a/prod/GET/p%65ts",
            "headers": { "x-api-key": "another" },
        });
        let event = read(&event).expect("an event");
        assert_eq!(event.credential(&[]), key, "{token:?}");
        assert_eq!(event.target().path, Path::read("/pets"));
        assert_eq!(event.target().route, None);
    }
}

#[test]
fn an_event_of_no_known_kind_or_without_its_fields_is_an_error_that_quotes_nothing() {
    let secret = "tg_secret";
    for event in [
        json!({ "headers": { "x-api-key": secret } }),
        json!({ "version": "1.0", "type": "REQUEST", "headers": { "x-api-key": secret } }),
        json!({ "version": "3.0", "type": "REQUEST", "headers": { "x-api-key": secret },
                "methodArn": "arn:aws:execute-api:r:1:a/prod/GET/" }),
        json!({ "version": "2.0", "type": "REQUEST", "headers": { "x-api-key": [secret] } }),
        json!({ "version": "2.0", "type": "REQUEST", "headers": secret }),
        json!({ "version": "2.0", "type": "REQUEST", "headers": { "x-api-key": secret },
                "requestContext": { "http": { "method": "GET" } } }),
        json!({ "type": "TOKEN", "authorizationToken": secret, "methodArn": secret }),
        json!({ "type": "TOKEN", "authorizationToken": secret }),
        json!(null),
        json!([secret]),
        json!(secret),
    ] {
        let error = read(&event).expect_err("no event").to_string();
        assert!(!error.contains(secret), "{error}");
    }
}

#[test]
fn a_field_of_another_type_is_named() {
    let event = json!({ "version": "2.0", "type": "REQUEST", "headers": { "x-api-key": [] } });
    assert_eq!(
        read(&event).expect_err("no event").to_string(),
        "the event's field headers.x-api-key is not of the type it has to be"
    );
}
