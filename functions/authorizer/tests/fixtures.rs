//! Real events, as `aws_lambda_events` keeps them beside its types.

#![expect(clippy::too_many_lines, reason = "a table of events")]

use std::fs;
use std::path::Path;

use tollgate_authorizer::event::{Event, Format};
use tollgate_core::path::Path as RequestPath;
use tollgate_protocol::credential::KeySource;

#[test]
fn every_real_authorizer_event_is_read() {
    let sources = [
        KeySource::Header("headerauth1".into()),
        KeySource::Header("header1".into()),
    ];
    // file, api, stage, method, path, route, key
    let expected = [
        (
            "custom-auth-request",
            "ymy8tbxw7b",
            "*",
            "GET",
            "/",
            None,
            "allow",
        ),
        (
            "custom-auth-request-type-request",
            "s4x3opwd6i",
            "test",
            "GET",
            "/request",
            Some("/request"),
            "headerValue1",
        ),
        (
            "v2-custom-authorizer-v1-request",
            "abcdef123",
            "test",
            "GET",
            "/request",
            Some("/request"),
            "headerValue1",
        ),
        (
            "v2-custom-authorizer-v2-request",
            "api-id",
            "$default",
            "POST",
            "/my/path",
            None,
            "value1",
        ),
        (
            "v2-custom-authorizer-v2-request-null-maps",
            "api-id",
            "$default",
            "POST",
            "/my/path",
            None,
            "value1",
        ),
        (
            "v2-custom-authorizer-v2-request-without-cookies",
            "api-id",
            "$default",
            "POST",
            "/my/path",
            None,
            "value1",
        ),
        (
            "v2-custom-authorizer-v2-request-without-identity-source",
            "api-id",
            "$default",
            "POST",
            "/my/path",
            None,
            "value1",
        ),
        (
            "v2-custom-authorizer-websocket-request",
            "abcdef123",
            "test",
            "GET",
            "/$connect",
            None,
            "value1",
        ),
    ];
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let files = fs::read_dir(&fixtures).expect("the fixtures").count();
    assert_eq!(files, expected.len(), "every fixture is expected here");
    for (name, api, stage, method, path, route, key) in expected {
        let file = fixtures.join(format!("example-apigw-{name}.json"));
        let json = fs::read_to_string(&file).expect("a fixture");
        let event = Event::read(&json).unwrap_or_else(|error| panic!("{name}: {error}"));
        let target = event.target();
        assert_eq!((&*target.api_id, &*target.stage), (api, stage), "{name}");
        assert_eq!(target.method, method, "{name}");
        assert_eq!(target.path, RequestPath::read(path), "{name}");
        assert_eq!(target.route.as_deref(), route, "{name}");
        assert_eq!(event.credential(&sources), Some(key), "{name}");
        let format = format_of(name);
        assert_eq!(event.format(), format, "{name}");
    }
}

fn format_of(name: &str) -> Format {
    if name.contains("v2-request") {
        Format::Http2
    } else if name.contains("v1-request") {
        Format::Http1
    } else if name.starts_with("custom-auth") {
        Format::Rest
    } else {
        Format::Policy
    }
}
