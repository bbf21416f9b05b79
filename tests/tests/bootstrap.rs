//! The real binaries, driven over a Runtime API as Lambda drives them.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tollgate_core::calendar::{PeriodKind, day_of};
use tollgate_core::limit::Throttle;
use tollgate_tests::lambda::{Function, Start, event};
use tollgate_tests::proxy::{Fault, Proxy};
use tollgate_tests::stores::Store;
use tollgate_tests::world::{admin, at, linked, plan, total, usage, used};

async fn authorizer(store: &Store) -> Function {
    Function::start("authorizer", store, Start::default()).await
}

fn reason(answer: &Value) -> &str {
    answer["context"]["reason"].as_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_authorizer_admits_with_the_whole_context_and_refuses_with_its_reason() {
    let store = Store::embedded().await;
    let mut limits = plan(Some((0.5, 3)), Some((1_000, PeriodKind::Month)));
    let throttle = Throttle::new(Some(0.1), Some(2)).unwrap();
    limits.stages[0]
        .throttle
        .insert("/pets/{id}/GET".parse().unwrap(), throttle);
    let (plan, key) = linked(&admin(&store).await, limits).await;
    let function = authorizer(&store).await;
    let request = event("http-api-v2", Some(&key.value));

    let answer = function.invoke(request.clone()).await;
    assert_eq!(answer["isAuthorized"], json!(true));
    let context = &answer["context"];
    assert_eq!(context["decision"], "allow");
    assert_eq!(context["reason"], "ok");
    assert_eq!(context["keyId"], json!(key.record.id));
    assert_eq!(context["planId"], json!(plan.id));
    assert_eq!(context["quotaLimit"], 1_000);
    assert_eq!(context["quotaRemaining"], 999);
    assert!(context["quotaReset"].as_i64().unwrap() > jiff::Timestamp::now().as_second());
    assert!(context.get("retryAfter").is_none() && context.get("customerId").is_none());
    let policy = context["rateLimitPolicy"].as_str().unwrap();
    assert!(
        policy.starts_with(r#""rate";q=3;w=6, "method";q=2;w=20, "quota";q=1000;w="#),
        "{policy}"
    );
    let left = context["rateLimit"].as_str().unwrap();
    assert!(
        left.starts_with(r#""rate";r=2;t=2, "method";r=1;t=10, "quota";r=999;t="#),
        "{left}"
    );

    assert_eq!(reason(&function.invoke(request.clone()).await), "ok");
    let refused = function.invoke(request.clone()).await;
    assert_eq!(refused["isAuthorized"], json!(false));
    assert_eq!(refused["context"]["decision"], "throttled");
    assert_eq!(reason(&refused), "method_rate");
    let wait = refused["context"]["retryAfter"].as_u64().unwrap();
    assert!((1..=10).contains(&wait), "{wait}");

    let mut elsewhere = request.clone();
    elsewhere["requestContext"]["apiId"] = json!("other");
    let no_such = event("http-api-v2", Some("a-value-that-nobody-ever-made"));
    for (event, expected) in [
        (event("http-api-v2", None), "missing_key"),
        (event("http-api-v2", Some("short")), "malformed_key"),
        (
            event(
                "http-api-v2",
                Some("tg_000000000000000000000000000000000000000"),
            ),
            "malformed_key",
        ),
        (no_such, "unknown_key"),
        (elsewhere, "not_in_plan"),
    ] {
        let answer = function.invoke(event).await;
        assert_eq!(answer["isAuthorized"], json!(false));
        assert_eq!(
            (reason(&answer), &answer["context"]["decision"]),
            (expected, &json!("denied"))
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_cannot_be_read_is_denied_and_the_function_lives_on() {
    let store = Store::embedded().await;
    let (_, key) = linked(&admin(&store).await, plan(None, None)).await;
    let function = authorizer(&store).await;
    for event in [
        json!(null),
        json!([]),
        json!("x"),
        json!({}),
        json!({ "version": "2.0", "type": "REQUEST" }),
    ] {
        let answer = function.invoke(event).await;
        assert_eq!(answer["isAuthorized"], json!(false));
        assert_eq!(reason(&answer), "bad_event");
    }
    assert_eq!(
        reason(
            &function
                .invoke(event("http-api-v2", Some(&key.value)))
                .await
        ),
        "ok"
    );
    let log = function.stop().await;
    assert_eq!(
        log.lines()
            .filter(|line| line.contains("cannot read the event"))
            .count(),
        5,
        "{log}"
    );
    for line in log.lines() {
        let line: Value = serde_json::from_str(line).expect("every line is JSON");
        assert!(line["level"].is_string() || line["_aws"].is_object());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_logged_per_request_and_no_key_ever() {
    let store = Store::embedded().await;
    let (_, key) = linked(&admin(&store).await, plan(Some((0.001, 3)), None)).await;
    for level in ["", "trace"] {
        let start = Start::with(&[("AWS_LAMBDA_LOG_LEVEL", level)]);
        let function = Function::start("authorizer", &store, start).await;
        for _ in 0..5 {
            function
                .invoke(event("http-api-v2", Some(&key.value)))
                .await;
        }
        let log = function.stop().await;
        let metrics = log.lines().filter(|line| line.contains("\"_aws\""));
        assert_eq!(metrics.count(), 1, "{log}");
        assert!(log.lines().count() == 1 || !level.is_empty(), "{log}");
        assert!(
            !log.contains(&key.value),
            "the key is in the log at level {level:?}"
        );
    }
}

fn faketime(text: &str) -> (String, i64) {
    let offset = at(text).as_second() - jiff::Timestamp::now().as_second();
    (
        format!("{}{offset}s", if offset < 0 { "" } else { "+" }),
        offset,
    )
}

/// A store whose clock is not ours: functions with moved clocks must not be put right by it.
async fn timeless(store: &Store) -> Store {
    let proxy = Proxy::to(&store.endpoint).await;
    proxy.set_date("no date");
    store.through(&proxy.endpoint)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs libfaketime; ./test runs it"]
async fn two_clocks_a_second_apart_at_midnight_count_into_the_right_days() {
    let store = Store::embedded().await;
    let admin = admin(&store).await;
    let (plan, key) = linked(&admin, plan(None, Some((100_000, PeriodKind::Month)))).await;
    let timeless = timeless(&store).await;
    let mut callers = Vec::new();
    for second in [57, 58] {
        let start = Start {
            faketime: Some(faketime(&format!("2055-01-31T23:59:{second}Z"))),
            ..Start::default()
        };
        let function = Function::start("authorizer", &timeless, start).await;
        let key = key.value.clone();
        callers.push(tokio::spawn(async move {
            let (mut admitted, until) = (0, tokio::time::Instant::now() + Duration::from_secs(5));
            while tokio::time::Instant::now() < until {
                let answer = function.invoke(event("http-api-v2", Some(&key))).await;
                assert_eq!(reason(&answer), "ok", "{answer}");
                admitted += 1;
            }
            admitted
        }));
    }
    let admitted = total(callers).await;
    let (last, first) = (
        day_of(at("2055-01-31T12:00:00Z")),
        day_of(at("2055-02-01T12:00:00Z")),
    );
    let days = usage(&admin, &plan.id, &key.record.id, (last, first)).await;
    assert_eq!(days.iter().map(|day| day.used).sum::<u64>(), admitted);
    assert!(days.iter().all(|day| day.used > 0), "{days:?}");
    // Each month's quota has paid for its own day.
    assert!(
        days.iter()
            .all(|day| day.remaining == Some(100_000 - day.used)),
        "{days:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs libfaketime; ./test runs it"]
async fn with_frozen_clocks_four_functions_admit_exactly_the_burst() {
    let store = Store::embedded().await;
    let admin = admin(&store).await;
    let (plan, key) = linked(&admin, plan(Some((100.0, 60)), None)).await;
    let timeless = timeless(&store).await;
    let frozen = "2055-01-31 12:00:00";
    let mut callers = Vec::new();
    for _ in 0..4 {
        let start = Start {
            faketime: Some((frozen.to_owned(), faketime("2055-01-31T12:00:00Z").1)),
            environment: vec![("TZ".to_owned(), "UTC".to_owned())],
        };
        let function = Function::start("authorizer", &timeless, start).await;
        let key = key.value.clone();
        callers.push(tokio::spawn(async move {
            let mut admitted = 0;
            for _ in 0..40 {
                let answer = function.invoke(event("http-api-v2", Some(&key))).await;
                admitted += u64::from(answer["isAuthorized"] == json!(true));
            }
            admitted
        }));
    }
    let admitted = total(callers).await;
    assert_eq!(admitted, 60);
    let day = day_of(at("2055-01-31T12:00:00Z"));
    assert_eq!(used(&admin, &plan.id, &key.record.id, day).await, 60);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs libfaketime; ./test runs it"]
async fn a_clock_that_is_an_hour_off_follows_the_stores() {
    let store = Store::embedded().await;
    let (_, key) = linked(&admin(&store).await, plan(None, Some((5, PeriodKind::Day)))).await;
    let start = Start {
        faketime: Some(("+49h".to_owned(), 49 * 3600)),
        ..Start::default()
    };
    let function = Function::start("authorizer", &store, start).await;
    let answer = function
        .invoke(event("http-api-v2", Some(&key.value)))
        .await;
    assert_eq!(reason(&answer), "ok");
    let reset = answer["context"]["quotaReset"].as_i64().unwrap();
    let away = reset - jiff::Timestamp::now().as_second();
    assert!((0..=86_400 + 5).contains(&away), "{away}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_not_there_is_a_denial_in_time() {
    let store = Store::embedded().await;
    let (_, key) = linked(&admin(&store).await, plan(None, None)).await;
    let proxy = Proxy::to(&store.endpoint).await;
    let function = authorizer(&store.through(&proxy.endpoint)).await;
    assert_eq!(
        reason(
            &function
                .invoke(event("http-api-v2", Some(&key.value)))
                .await
        ),
        "ok"
    );
    proxy.rule(|_, _| Fault::Stall);
    let started = std::time::Instant::now();
    let answer = function
        .invoke(event("http-api-v2", Some(&key.value)))
        .await;
    assert_eq!(answer["isAuthorized"], json!(false));
    assert_eq!(reason(&answer), "store_unavailable");
    assert!(
        started.elapsed() < Duration::from_secs(3),
        "{:?}",
        started.elapsed()
    );
    assert!(function.stop().await.contains("no decision by the store"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_variable_that_is_empty_is_as_good_as_absent() {
    let store = Store::embedded().await;
    let (_, key) = linked(&admin(&store).await, plan(None, None)).await;
    let start = Start::with(&[
        ("AWS_ENDPOINT_URL_DYNAMODB", ""),
        ("AWS_ENDPOINT_URL", &store.endpoint),
    ]);
    let function = Function::start("authorizer", &store, start).await;
    let answer = function
        .invoke(event("http-api-v2", Some(&key.value)))
        .await;
    assert_eq!(reason(&answer), "ok");
}

/// As on Lambda Managed Instances.
#[tokio::test(flavor = "multi_thread")]
async fn a_function_that_is_sent_several_events_at_once_charges_them_together() {
    let store = Store::embedded().await;
    let proxy = Proxy::to(&store.endpoint).await;
    let admin = admin(&store).await;
    let limits = plan(Some((1e6, 100_000)), Some((1_000_000, PeriodKind::Month)));
    let (plan, key) = linked(&admin, limits).await;
    // The machine may be slow, and a time-out is another test's matter.
    let start = Start::with(&[
        ("AWS_LAMBDA_MAX_CONCURRENCY", "32"),
        ("TOLLGATE_ATTEMPT_TIMEOUT_MS", "10000"),
        ("TOLLGATE_TOTAL_TIMEOUT_MS", "30000"),
    ]);
    let function = Function::start("authorizer", &store.through(&proxy.endpoint), start).await;
    let request = event("http-api-v2", Some(&key.value));
    assert_eq!(reason(&function.invoke(request.clone()).await), "ok");
    proxy.rule(|_, _| Fault::Delay(Duration::from_millis(100)));
    proxy.take_calls();
    let caller = async || {
        for _ in 0..4 {
            assert_eq!(reason(&function.invoke(request.clone()).await), "ok");
        }
    };
    join_all((0..32).map(|_| caller())).await;
    let writes = proxy.take_counts()["UpdateItem"];
    assert!(writes <= 32, "{writes} writes for 128 requests");
    let today = day_of(jiff::Timestamp::now()).yesterday().unwrap();
    assert_eq!(used(&admin, &plan.id, &key.record.id, today).await, 129);
}
