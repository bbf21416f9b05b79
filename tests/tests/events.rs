//! Every kind of authorizer event, through the real binary.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use serde_json::{Value, json};
use tollgate_core::limit::Throttle;
use tollgate_tests::lambda::{Function, Start, event};
use tollgate_tests::on_both_stores;
use tollgate_tests::stores::{Kind, Store};
use tollgate_tests::world::{linked, manager, plan};

on_both_stores!(
    every_kind_is_admitted_and_refused_in_the_form_that_its_api_takes,
    an_http_api_is_answered_by_policy_where_its_authorizer_takes_one,
    with_caching_a_policy_covers_the_whole_stage,
    a_native_key_is_named_to_rest_apis_on_admitted_requests_only,
    an_event_that_cannot_be_read_is_denied_in_the_form_that_its_api_takes,
    every_kind_is_charged_to_the_throttle_of_its_method,
);

/// The kinds that are answered by a policy, and whether they know the route's template.
const BY_POLICY: [&str; 4] = [
    "http-api-v1",
    "rest-request",
    "rest-token",
    "websocket-connect",
];

async fn start(store: &Store, environment: &[(&str, &str)]) -> Function {
    Function::start("authorizer", store, Start::with(environment)).await
}

/// The one statement of a policy: its effect and its resource.
fn statement(answer: &Value) -> (&str, &str) {
    let document = &answer["policyDocument"];
    assert_eq!(document["Version"], "2012-10-17");
    let statements = document["Statement"].as_array().unwrap();
    assert_eq!(statements.len(), 1);
    assert_eq!(statements[0]["Action"], json!(["execute-api:Invoke"]));
    (
        statements[0]["Effect"].as_str().unwrap(),
        statements[0]["Resource"][0].as_str().unwrap(),
    )
}

/// REST and WebSocket APIs take a context of strings, numbers and booleans only.
fn reason(answer: &Value) -> &str {
    let context = answer["context"].as_object().unwrap();
    assert!(
        context
            .values()
            .all(|value| value.is_string() || value.is_number())
    );
    answer["context"]["reason"].as_str().unwrap()
}

async fn every_kind_is_admitted_and_refused_in_the_form_that_its_api_takes(kind: Kind) {
    let store = Store::new(kind).await;
    let (plan, key) = linked(&manager(&store).await, plan(Some((100.0, 100)), None)).await;
    let function = start(&store, &[]).await;
    for kind in BY_POLICY {
        let request = event(kind, Some(&key.value));
        let arn = request["methodArn"].as_str().unwrap();
        let answer = function.invoke(request.clone()).await;
        assert_eq!(statement(&answer), ("Allow", arn), "{kind}");
        assert_eq!(reason(&answer), "ok");
        assert_eq!(answer["principalId"], json!(key.record.id));
        assert_eq!(answer["context"]["planId"], json!(plan.id));
        assert!(answer.get("usageIdentifierKey").is_none() && answer.get("isAuthorized").is_none());
        for (outcome, expected) in [
            ("missing-key", "missing_key"),
            ("malformed-key", "malformed_key"),
            ("unknown-key", "unknown_key"),
        ] {
            let answer = function
                .invoke(event(&format!("{kind}-{outcome}"), Some("")))
                .await;
            assert_eq!(statement(&answer), ("Deny", arn), "{kind} {outcome}");
            assert_eq!(reason(&answer), expected, "{kind}");
            assert_eq!(answer["principalId"], "anonymous");
        }
    }
}

async fn an_http_api_is_answered_by_policy_where_its_authorizer_takes_one(kind: Kind) {
    let store = Store::new(kind).await;
    let (_, key) = linked(&manager(&store).await, plan(None, None)).await;
    let request = event("http-api-v2", Some(&key.value));
    let function = start(&store, &[("TOLLGATE_HTTP_RESPONSE", "policy")]).await;
    let answer = function.invoke(request.clone()).await;
    let arn = request["routeArn"].as_str().unwrap();
    assert_eq!(statement(&answer), ("Allow", arn));
    let answer = function.invoke(event("http-api-v2", None)).await;
    assert_eq!(statement(&answer), ("Deny", arn));
    let answer = function
        .invoke(event("http-api-v2-bad-event", Some(&key.value)))
        .await;
    assert_eq!(statement(&answer), ("Deny", "*"));
    assert_eq!(reason(&answer), "bad_event");
}

async fn with_caching_a_policy_covers_the_whole_stage(kind: Kind) {
    let store = Store::new(kind).await;
    let (_, key) = linked(&manager(&store).await, plan(None, None)).await;
    let function = start(&store, &[("TOLLGATE_RESULT_CACHING", "on")]).await;
    for kind in BY_POLICY {
        let answer = function.invoke(event(kind, Some(&key.value))).await;
        let stage = "arn:aws:execute-api:eu-west-1:123456789012:api/prod/*";
        assert_eq!(statement(&answer), ("Allow", stage), "{kind}");
    }
}

async fn a_native_key_is_named_to_rest_apis_on_admitted_requests_only(kind: Kind) {
    let store = Store::new(kind).await;
    let (_, key) = linked(&manager(&store).await, plan(None, None)).await;
    let function = start(&store, &[("TOLLGATE_USAGE_IDENTIFIER_KEY", "presented")]).await;
    for kind in BY_POLICY {
        let admitted = function.invoke(event(kind, Some(&key.value))).await;
        assert_eq!(reason(&admitted), "ok");
        let named = admitted.get("usageIdentifierKey");
        let expected = json!(key.value);
        assert_eq!(
            named,
            kind.starts_with("rest").then_some(&expected),
            "{kind}"
        );
        let refused = function
            .invoke(event(&format!("{kind}-unknown-key"), Some("")))
            .await;
        assert!(refused.get("usageIdentifierKey").is_none());
    }
}

async fn an_event_that_cannot_be_read_is_denied_in_the_form_that_its_api_takes(kind: Kind) {
    let store = Store::new(kind).await;
    let function = start(&store, &[]).await;
    let token = json!({ "type": "TOKEN", "authorizationToken": "tg_secret" });
    let rest = event("rest-request-bad-event", Some("tg_secret"));
    for unreadable in [token, rest] {
        let answer = function.invoke(unreadable).await;
        assert_eq!(statement(&answer), ("Deny", "*"));
        assert_eq!(reason(&answer), "bad_event");
    }
    let answer = function
        .invoke(event("http-api-v2-bad-event", Some("tg_secret")))
        .await;
    assert_eq!(answer["isAuthorized"], json!(false));
    assert_eq!(reason(&answer), "bad_event");
    let log = function.stop().await;
    assert_eq!(log.matches("cannot read the event").count(), 3);
    assert!(!log.contains("tg_secret"), "{log}");
}

async fn every_kind_is_charged_to_the_throttle_of_its_method(kind: Kind) {
    let store = Store::new(kind).await;
    for (kind, template) in [
        ("http-api-v2", "/pets/{id}/GET"),
        ("http-api-v1", "/pets/{id}/GET"),
        ("rest-request", "/pets/{id}/GET"),
        // A token's event has no template; its path is matched.
        ("rest-token", "/pets/{id}/GET"),
        ("websocket-connect", "/$connect/ANY"),
    ] {
        let mut limits = plan(None, None);
        let throttle = Throttle::new(Some(0.001), Some(2)).unwrap();
        limits.stages[0]
            .throttle
            .insert(template.parse().unwrap(), throttle);
        let (_, key) = linked(&manager(&store).await, limits).await;
        let function = start(&store, &[]).await;
        let mut reasons = Vec::new();
        for _ in 0..3 {
            let answer = function.invoke(event(kind, Some(&key.value))).await;
            reasons.push(reason(&answer).to_owned());
        }
        assert_eq!(reasons, ["ok", "ok", "method_rate"], "{kind}");
    }
}
