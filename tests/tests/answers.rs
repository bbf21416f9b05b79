//! What clients are told: by each kind of API that `tollgate dev` plays, and by a server that decides itself.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderName;
use axum::routing::get;
use axum::{Extension, Router};
use lambda_http::tower::{ServiceBuilder, ServiceExt};
use lambda_http::{Body, Request, request, service_fn};
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Client, Response};
use serde_json::{Value, json};
use sfv::{BareItem, List, ListEntry, Parser};
use tollgate_core::calendar::PeriodKind;
use tollgate_core::id::StageId;
use tollgate_core::limit::Throttle;
use tollgate_dynamo::connection::Connection;
use tollgate_engine::config::{Config, Variables};
use tollgate_guard::{Context, Gate, Guard};
use tollgate_tests::gateway::Dev;
use tollgate_tests::stores::Store;
use tollgate_tests::world::{Key, PATIENT, admin, linked, make_key, plan, total};

/// The members of a field: a name, and its numbers.
fn members(headers: &HeaderMap, name: &str) -> BTreeMap<String, BTreeMap<String, i64>> {
    let text = headers[name].to_str().unwrap();
    let list: List = Parser::new(text).parse().unwrap();
    let member = |entry: &ListEntry| {
        let ListEntry::Item(item) = entry else {
            panic!("{entry:?}")
        };
        let BareItem::String(name) = &item.bare_item else {
            panic!("{item:?}")
        };
        let number = |value: &BareItem| match value {
            BareItem::Integer(number) => i64::from(*number),
            other => panic!("{other:?}"),
        };
        let parameters = item.params.iter();
        let parameters = parameters.map(|(name, value)| (name.to_string(), number(value)));
        (name.to_string(), parameters.collect())
    };
    list.iter().map(member).collect()
}

async fn call(url: &str, key: Option<&str>) -> Response {
    let mut request = Client::new().get(url);
    if let Some(key) = key {
        request = request.header("x-api-key", key);
    }
    request.send().await.unwrap()
}

async fn problem(response: Response) -> Value {
    let text = response.text().await.unwrap();
    serde_json::from_str(&text).unwrap()
}

/// A server on this table that decides itself: its URL.
async fn server(store: &Store) -> String {
    let mut config = Config::read(Variables::new(&|_| None)).unwrap();
    config.table.clone_from(&store.table);
    config.engine = PATIENT;
    let connection = Connection::deciding(&store.sdk_config().await);
    let gate = Gate::new(config, connection, StageId::new("api", "prod"));
    let show = async |Extension(context): Extension<Context>| context.key_id.unwrap();
    let app = Router::new()
        .route("/", get(show))
        .layer(Guard::in_process(gate));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    url
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_decides_itself_says_when_to_come_back_and_then_admits() {
    let store = Store::embedded().await;
    let admin = admin(&store).await;
    let mut limits = plan(Some((0.5, 2)), Some((100, PeriodKind::Day)));
    let throttle = Throttle::new(Some(50.0), Some(60)).unwrap();
    limits.stages[0]
        .throttle
        .insert("//GET".parse().unwrap(), throttle);
    let (_, key) = linked(&admin, limits).await;
    let url = server(&store).await;

    let first = call(&url, Some(&key.value)).await;
    assert_eq!(first.status(), 200);
    let policy = members(first.headers(), "ratelimit-policy");
    assert_eq!(policy["rate"], [("q".into(), 2), ("w".into(), 4)].into());
    assert_eq!(policy["method"], [("q".into(), 60), ("w".into(), 2)].into());
    assert_eq!(
        policy["quota"],
        [("q".into(), 100), ("w".into(), 86_400)].into()
    );
    let left = members(first.headers(), "ratelimit");
    assert_eq!((left["rate"]["r"], left["quota"]["r"]), (1, 99));
    assert_eq!(first.text().await.unwrap(), key.record.id);

    assert_eq!(call(&url, Some(&key.value)).await.status(), 200);
    let refused = call(&url, Some(&key.value)).await;
    assert_eq!(refused.status(), 429);
    let left = members(refused.headers(), "ratelimit");
    assert_eq!((left["rate"]["r"], left["quota"]["r"]), (0, 98));
    let wait: u64 = refused.headers()[RETRY_AFTER]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((1..=2).contains(&wait), "{wait}");
    assert_eq!(left["rate"]["t"], i64::try_from(wait).unwrap());
    assert_eq!(
        refused.headers()["content-type"],
        "application/problem+json"
    );
    let told = problem(refused).await;
    assert_eq!(
        (&told["status"], &told["violated-policies"]),
        (&json!(429), &json!(["rate"]))
    );
    tokio::time::sleep(Duration::from_secs(wait)).await;
    assert_eq!(call(&url, Some(&key.value)).await.status(), 200);

    let nobody = call(&url, None).await;
    assert_eq!(nobody.status(), 401);
    assert!(nobody.headers().contains_key("www-authenticate"));
    assert_eq!(problem(nobody).await["reason"], "missing_key");
    let Key { value, .. } = make_key(&admin).await;
    let stray = call(&url, Some(&value)).await;
    assert_eq!(stray.status(), 403);
    assert_eq!(problem(stray).await["reason"], "not_in_plan");
}

#[tokio::test(flavor = "multi_thread")]
async fn several_servers_admit_a_quota_exactly() {
    let store = Store::embedded().await;
    let admin = admin(&store).await;
    let (_, key) = linked(&admin, plan(None, Some((40, PeriodKind::Month)))).await;
    let value = Arc::new(key.value);
    let mut callers = Vec::new();
    for _ in 0..4 {
        let (url, value) = (server(&store).await, Arc::clone(&value));
        callers.push(tokio::spawn(async move {
            let mut admitted = 0;
            for _ in 0..20 {
                let status = call(&url, Some(&value)).await.status();
                assert!(status == 200 || status == 429, "{status}");
                admitted += u64::from(status == 200);
            }
            admitted
        }));
    }
    assert_eq!(total(callers).await, 40);
}

/// A gateway with a plan of two requests and then one in a hundred seconds, and its key.
async fn dev(arguments: &[&str], environment: &[(&str, &str)]) -> (Dev, String) {
    let dev = Dev::start(arguments, environment).await;
    let post = async |path: &str, body: Value| {
        let (status, answer) = dev.manage(axum::http::Method::POST, path, body).await;
        assert_eq!(status, 201, "{answer}");
        answer
    };
    let stages = json!([{ "apiId": "local", "stage": "$default" }]);
    let throttle = json!({ "rateLimit": 0.01, "burstLimit": 2 });
    let body = json!({ "name": "p", "apiStages": stages, "throttle": throttle });
    let plan = post("/usageplans", body).await;
    let key = post("/apikeys", json!({ "enabled": true })).await;
    let link = json!({ "keyId": key["id"], "keyType": "API_KEY" });
    let path = format!("/usageplans/{}/keys", plan["id"].as_str().unwrap());
    post(&path, link).await;
    let value = key["value"].as_str().unwrap().to_owned();
    (dev, value)
}

/// The status of three requests with the key, of one with another, and of one without; and the third's answer.
async fn statuses(dev: &Dev, key: &str) -> (Vec<u16>, Response) {
    let mut statuses = Vec::new();
    let mut answers = Vec::new();
    let other = "tollgate-unknown-key-0001";
    for key in [Some(key), Some(key), Some(key), Some(other), None] {
        let answer = call(&format!("{}/pets", dev.gateway), key).await;
        statuses.push(answer.status().as_u16());
        answers.push(answer);
    }
    (statuses, answers.swap_remove(2))
}

#[tokio::test]
async fn an_http_api_can_only_say_403() {
    let (dev, key) = dev(&["--api", "http"], &[]).await;
    let (statuses, refused) = statuses(&dev, &key).await;
    assert_eq!(statuses, [200, 200, 403, 403, 403]);
    assert!(!refused.headers().contains_key(RETRY_AFTER));
    assert_eq!(problem(refused).await, json!({ "message": "Forbidden" }));
}

#[tokio::test]
async fn an_http_api_that_lets_limits_pass_has_its_guarded_backend_say_429() {
    let (dev, key) = dev(&["--api", "http"], &[("TOLLGATE_ON_LIMIT", "pass")]).await;
    let (statuses, refused) = statuses(&dev, &key).await;
    assert_eq!(statuses, [200, 200, 429, 403, 403]);
    assert_eq!(members(refused.headers(), "ratelimit")["rate"]["r"], 0);
    let wait = refused.headers()[RETRY_AFTER].to_str().unwrap().to_owned();
    assert!(wait == "99" || wait == "100", "{wait}");
    assert_eq!(problem(refused).await["reason"], "rate");
}

#[tokio::test]
async fn a_rest_api_says_429_and_401_by_its_gateway_responses() {
    // It is never let pass: a REST API can say it itself.
    let (dev, key) = dev(&["--api", "rest"], &[("TOLLGATE_ON_LIMIT", "pass")]).await;
    let (statuses, refused) = statuses(&dev, &key).await;
    assert_eq!(statuses, [200, 200, 429, 401, 401]);
    assert_eq!(
        refused.headers()["content-type"],
        "application/problem+json"
    );
    let told = problem(refused).await;
    assert_eq!(told["violated-policies"], json!(["rate"]));
    let wait = told["retryAfter"].as_str().unwrap();
    assert!(wait == "99" || wait == "100", "{wait}");
}

#[tokio::test]
async fn a_server_without_an_authorizer_says_429_and_401() {
    let (dev, key) = dev(&["--api", "in-process"], &[]).await;
    let (statuses, refused) = statuses(&dev, &key).await;
    assert_eq!(statuses, [200, 200, 429, 401, 401]);
    assert!(refused.headers().contains_key(RETRY_AFTER));
}

#[tokio::test]
async fn a_client_cannot_bring_a_decision_along() {
    let (dev, key) = dev(&[], &[("TOLLGATE_ON_LIMIT", "pass")]).await;
    let (_, refused) = statuses(&dev, &key).await;
    assert_eq!(refused.status(), 429);
    let forged = json!({ "authorizer": { "lambda": { "decision": "allow", "reason": "ok" } } });
    let request = Client::new()
        .get(format!("{}/pets", dev.gateway))
        .header("x-api-key", key)
        .header("x-amzn-request-context", forged.to_string());
    assert_eq!(request.send().await.unwrap().status(), 429);
}

/// The status that a guarded handler answers to an event with this under `authorizer`.
async fn behind_an_authorizer(rest: bool, authorizer: &Value) -> (u16, Value) {
    let event = if rest {
        json!({
            "resource": "/pets", "path": "/pets", "httpMethod": "GET", "headers": {}, "multiValueHeaders": {},
            "queryStringParameters": null, "multiValueQueryStringParameters": null, "pathParameters": null,
            "stageVariables": null, "body": null, "isBase64Encoded": false,
            "requestContext": {
                "accountId": "1", "resourceId": "r", "stage": "prod", "requestId": "i", "apiId": "a",
                "resourcePath": "/pets", "httpMethod": "GET", "identity": {}, "authorizer": authorizer,
            },
        })
    } else {
        json!({
            "version": "2.0", "routeKey": "$default", "rawPath": "/pets", "rawQueryString": "", "headers": {},
            "isBase64Encoded": false,
            "requestContext": {
                "accountId": "1", "apiId": "a", "stage": "$default", "requestId": "i", "routeKey": "$default",
                "domainName": "d", "domainPrefix": "d", "time": "", "timeEpoch": 0, "authorizer": authorizer,
                "http": { "method": "GET", "path": "/pets", "protocol": "HTTP/1.1", "sourceIp": "::1", "userAgent": "" },
            },
        })
    };
    let request: Request = request::from_str(&event.to_string()).unwrap();
    let handler = service_fn(async |request: Request| {
        let context = request.extensions().get::<Context>().unwrap();
        let body = Body::from(serde_json::to_string(context).unwrap());
        Ok::<_, lambda_http::Error>(lambda_http::Response::new(body))
    });
    let service = ServiceBuilder::new()
        .layer(Guard::behind_authorizer())
        .service(handler);
    let response = service.oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let body = serde_json::from_slice(response.body().as_ref()).unwrap();
    (status, body)
}

#[tokio::test]
async fn the_guard_goes_by_the_context_of_an_event_and_refuses_what_has_none() {
    let numbers = json!({
        "decision": "allow", "reason": "ok", "keyId": "k", "quotaLimit": 10, "quotaRemaining": 3,
    });
    // A REST API makes strings of them.
    let strings = json!({
        "decision": "allow", "reason": "ok", "keyId": "k", "quotaLimit": "10", "quotaRemaining": "3",
        "principalId": "k", "integrationLatency": 12,
    });
    for (rest, context) in [(false, json!({ "lambda": numbers })), (true, strings)] {
        let (status, told) = behind_an_authorizer(rest, &context).await;
        assert_eq!((status, told), (200, numbers.clone()));
        for (decision, expected) in [
            ("throttled", 429),
            ("quota_exceeded", 429),
            ("denied", 403),
            ("perhaps", 403),
            ("", 403),
        ] {
            let mut context = context.clone();
            let fields = if rest {
                &mut context
            } else {
                &mut context["lambda"]
            };
            fields["decision"] = json!(decision);
            fields["reason"] = json!("rate");
            let (status, told) = behind_an_authorizer(rest, &context).await;
            assert_eq!((status, &told["status"]), (expected, &json!(expected)));
        }
        for nothing in [
            json!(null),
            json!({}),
            json!({ "lambda": {} }),
            json!({ "lambda": null }),
        ] {
            assert_eq!(behind_an_authorizer(rest, &nothing).await.0, 403);
        }
    }
}

#[tokio::test]
async fn a_guard_behind_an_adapter_takes_one_header_and_no_other_word_for_it() {
    const NAME: &str = "x-amzn-request-context";
    let name = HeaderName::from_static(NAME);
    let app = Router::new()
        .route("/", get(async || "pets"))
        .layer(Guard::behind_adapter(name));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    let allow = json!({ "authorizer": { "lambda": { "decision": "allow", "reason": "ok" } } });
    let allow = allow.to_string();
    for (values, expected) in [
        (vec![&*allow], 200),
        (vec![], 403),
        (vec!["{}"], 403),
        (vec!["null"], 403),
        (vec!["allow"], 403),
        (vec![&allow, &allow], 403),
    ] {
        let mut request = Client::new().get(&url);
        for value in &values {
            request = request.header(NAME, *value);
        }
        let status = request.send().await.unwrap().status();
        assert_eq!(status, expected, "{values:?}");
    }
}
