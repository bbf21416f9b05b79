//! Every kind of authorizer event, through the real binary.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use serde_json::{Value, json};
use tollgate_core::limit::Throttle;
use tollgate_tests::lambda::{Function, Start, event};
use tollgate_tests::stores::Store;
use tollgate_tests::world::{admin, linked, plan};

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

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_is_admitted_and_refused_in_the_form_that_its_api_takes() {
    let store = Store::embedded().await;
    let (plan, key) = linked(&admin(&store).await, plan(Some((100.0, 100)), None)).await;
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

#[tokio::test(flavor = "multi_thread")]
async fn an_http_api_is_answered_by_policy_where_its_authorizer_takes_one() {
    let store = Store::embedded().await;
    let (_, key) = linked(&admin(&store).await, plan(None, None)).await;
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

#[tokio::test(flavor = "multi_thread")]
async fn with_caching_a_policy_covers_the_whole_stage() {
    let store = Store::embedded().await;
    let (_, key) = linked(&admin(&store).await, plan(None, None)).await;
    let function = start(&store, &[("TOLLGATE_RESULT_CACHING", "on")]).await;
    for kind in BY_POLICY {
        let answer = function.invoke(event(kind, Some(&key.value))).await;
        let stage = "arn:aws:execute-api:eu-west-1:123456789012:api/prod/*";
        assert_eq!(statement(&answer), ("Allow", stage), "{kind}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_native_key_is_named_to_rest_apis_on_admitted_requests_only() {
    let store = Store::embedded().await;
    let (_, key) = linked(&admin(&store).await, plan(None, None)).await;
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

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_cannot_be_read_is_denied_in_the_form_that_its_api_takes() {
    let store = Store::embedded().await;
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

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_is_charged_to_the_throttle_of_its_method() {
    let store = Store::embedded().await;
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
        let (_, key) = linked(&admin(&store).await, limits).await;
        let function = start(&store, &[]).await;
        let mut reasons = Vec::new();
        for _ in 0..3 {
            let answer = function.invoke(event(kind, Some(&key.value))).await;
            reasons.push(reason(&answer).to_owned());
        }
        assert_eq!(reasons, ["ok", "ok", "method_rate"], "{kind}");
    }
}

/// An event of `kind` for a method and a path of the stage, on a catch-all route.
fn asked(kind: &str, key: &str, method: &str, path: &str) -> Value {
    let mut event = event(kind, Some(key));
    if kind == "http-api-v2" {
        event["routeKey"] = json!("$default");
        event["rawPath"] = json!(format!("/prod{path}"));
        event["requestContext"]["routeKey"] = json!("$default");
        event["requestContext"]["http"]["method"] = json!(method);
    } else {
        let stage = "arn:aws:execute-api:eu-west-1:123456789012:api/prod";
        event["methodArn"] = json!(format!("{stage}/{method}{path}"));
        if event.get("resource").is_some() {
            event["resource"] = json!("/{proxy+}");
        }
    }
    event
}

/// The kinds whose events may tell no more of a request than its path.
const BY_PATH: [&str; 4] = ["http-api-v2", "http-api-v1", "rest-request", "rest-token"];

#[tokio::test(flavor = "multi_thread")]
async fn with_caching_a_policy_opens_what_the_key_may_call_and_no_more() {
    let store = Store::embedded().await;
    let admin = admin(&store).await;
    let (_, key) = linked(&admin, plan(None, None)).await;
    let only = ["/pets/GET", "/pets/{id}/GET"].map(|text| text.parse().unwrap());
    admin
        .update_key(&key.record.id, move |record| {
            record.restriction = Some([("api:prod".into(), only.clone().into())].into());
            Ok::<_, tollgate_admin::Error>(())
        })
        .await
        .unwrap();
    let function = start(&store, &[("TOLLGATE_RESULT_CACHING", "on")]).await;
    let stage = "arn:aws:execute-api:eu-west-1:123456789012:api/prod";
    let both = json!([format!("{stage}/GET/pets"), format!("{stage}/HEAD/pets")]);
    for kind in ["http-api-v1", "rest-request", "rest-token"] {
        let answer = function
            .invoke(asked(kind, &key.value, "GET", "/pets/7"))
            .await;
        let statements = answer["policyDocument"]["Statement"].as_array().unwrap();
        assert_eq!(statements.len(), 1, "{kind}");
        let mut open = both.as_array().unwrap().clone();
        open.insert(0, json!(format!("{stage}/GET/pets/7")));
        assert_eq!(statements[0]["Resource"], json!(open), "{kind}");

        let answer = function
            .invoke(asked(kind, &key.value, "DELETE", "/admin"))
            .await;
        assert_eq!(reason(&answer), "method_not_allowed");
        let statements = &answer["policyDocument"]["Statement"];
        assert_eq!(statements[0]["Effect"], "Deny");
        assert_eq!(
            statements[0]["Resource"],
            json!([format!("{stage}/DELETE/admin")])
        );
        assert_eq!(statements[1]["Effect"], "Allow");
        assert_eq!(statements[1]["Resource"], both, "{kind}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_caching_a_refused_method_opens_nothing_for_a_key_whose_quota_is_spent() {
    let store = Store::embedded().await;
    let mut limits = plan(None, Some((1, tollgate_core::calendar::PeriodKind::Month)));
    limits.stages[0].methods = Some(["/pets/GET".parse().unwrap()].into());
    let (_, key) = linked(&admin(&store).await, limits).await;
    let function = start(&store, &[("TOLLGATE_RESULT_CACHING", "on")]).await;
    let ask = async |path: &str| {
        let answer = function
            .invoke(asked("rest-request", &key.value, "GET", path))
            .await;
        let statements = answer["policyDocument"]["Statement"]
            .as_array()
            .unwrap()
            .clone();
        let effects = statements
            .iter()
            .map(|it| it["Effect"].as_str().unwrap().to_owned());
        (reason(&answer).to_owned(), effects.collect::<Vec<_>>())
    };
    let both = vec!["Deny".to_owned(), "Allow".to_owned()];
    assert_eq!(ask("/nope").await, ("method_not_allowed".to_owned(), both));
    assert_eq!(ask("/pets").await.0, "ok");
    assert_eq!(
        ask("/nope").await,
        ("method_not_allowed".to_owned(), vec!["Deny".to_owned()])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_closed_stays_closed_however_its_path_is_spelled() {
    let store = Store::embedded().await;
    let admin = admin(&store).await;
    let closed = || Throttle::new(Some(0.0), Some(0)).unwrap();
    let mut limits = plan(None, None);
    for template in ["/pets/{id}/GET", "/cats/GET"] {
        let throttles = &mut limits.stages[0].throttle;
        throttles.insert(template.parse().unwrap(), closed());
    }
    let (_, key) = linked(&admin, limits).await;
    let mut listed = plan(None, None);
    listed.stages[0].methods = Some(["/pets/{id}/GET".parse().unwrap()].into());
    let (_, other) = linked(&admin, listed).await;
    let function = start(&store, &[]).await;
    for kind in BY_PATH {
        for path in [
            "/pets/a%2Fb",
            "/pets/7",
            "/./cats",
            "/x/../cats",
            "/c%61ts",
            "//cats",
            "/cats;v=1",
            "/cats%2F",
        ] {
            for method in ["GET", "HEAD"] {
                let answer = function.invoke(asked(kind, &key.value, method, path)).await;
                assert_eq!(
                    answer["context"]["reason"], "method_rate",
                    "{kind} {method} {path}"
                );
            }
        }
        for path in ["/pets%2F7", "/pets/../pets/7", "/pets/7/x", "/pets"] {
            let answer = function
                .invoke(asked(kind, &other.value, "GET", path))
                .await;
            assert_eq!(
                answer["context"]["reason"], "method_not_allowed",
                "{kind} {path}"
            );
        }
        for path in ["/pets/7", "/pets/a%2Fb"] {
            for method in ["GET", "HEAD"] {
                let answer = function
                    .invoke(asked(kind, &other.value, method, path))
                    .await;
                assert_eq!(answer["context"]["reason"], "ok", "{kind} {method} {path}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_that_cannot_be_decoded_is_refused_where_something_goes_by_it() {
    let store = Store::embedded().await;
    let admin = admin(&store).await;
    let (_, free) = linked(&admin, plan(None, None)).await;
    let mut limits = plan(None, None);
    let throttle = Throttle::new(Some(9.0), Some(9)).unwrap();
    limits.stages[0]
        .throttle
        .insert("/cats/GET".parse().unwrap(), throttle);
    let (_, limited) = linked(&admin, limits).await;
    let function = start(&store, &[]).await;
    for kind in BY_PATH {
        for path in ["/pets/%", "/%zz", "/%ff"] {
            for (key, expected) in [(&free, "ok"), (&limited, "malformed_path")] {
                let answer = function.invoke(asked(kind, &key.value, "GET", path)).await;
                assert_eq!(answer["context"]["reason"], expected, "{kind} {path}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_method_of_a_stage_has_the_throttle_for_all_to_itself() {
    let store = Store::embedded().await;
    let mut limits = plan(None, None);
    let throttle = Throttle::new(Some(0.001), Some(1)).unwrap();
    limits.stages[0]
        .throttle
        .insert("*/*".parse().unwrap(), throttle);
    let (_, key) = linked(&admin(&store).await, limits).await;
    let function = start(&store, &[]).await;
    let ask = async |method: &str, route: &str| {
        let mut event = asked("rest-request", &key.value, method, "/a");
        event["resource"] = json!(route);
        let answer = function.invoke(event).await;
        reason(&answer).to_owned()
    };
    for (method, route) in [("GET", "/a"), ("POST", "/a"), ("GET", "/b/{id}")] {
        assert_eq!(ask(method, route).await, "ok", "{method} {route}");
        assert_eq!(ask(method, route).await, "method_rate", "{method} {route}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wildcards_in_a_path_are_not_passed_on() {
    let store = Store::embedded().await;
    let (_, key) = linked(&admin(&store).await, plan(None, None)).await;
    let function = start(&store, &[]).await;
    let stage = "arn:aws:execute-api:eu-west-1:123456789012:api/prod";
    for kind in ["http-api-v1", "rest-request", "rest-token"] {
        let answer = function.invoke(asked(kind, &key.value, "GET", "/*")).await;
        let expected = format!("{stage}/GET/?");
        assert_eq!(statement(&answer), ("Allow", &*expected), "{kind}");
    }
}
