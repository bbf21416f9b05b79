//! What the authorizer tells of itself: metrics and logs of the real binary.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use serde_json::{Value, json};
use tollgate_core::calendar::PeriodKind;
use tollgate_tests::lambda::{Function, Start, event};
use tollgate_tests::proxy::{Fault, Proxy};
use tollgate_tests::stores::Store;
use tollgate_tests::world::{admin, linked, plan};

async fn start(store: &Store, environment: &[(&str, &str)]) -> Function {
    Function::start("authorizer", store, Start::with(environment)).await
}

/// The lines of a log that are metrics, checked against the format's rules.
fn metrics(log: &str) -> Vec<Value> {
    let lines = log.lines().map(|line| serde_json::from_str(line).unwrap());
    let lines: Vec<Value> = lines
        .filter(|line: &Value| line.get("_aws").is_some())
        .collect();
    for line in &lines {
        assert!(line["_aws"]["Timestamp"].is_u64());
        let directive = &line["_aws"]["CloudWatchMetrics"][0];
        assert_eq!(directive["Namespace"], "Tollgate");
        for dimension in directive["Dimensions"][0].as_array().unwrap() {
            assert!(line[dimension.as_str().unwrap()].is_string(), "{line}");
        }
        for metric in directive["Metrics"].as_array().unwrap() {
            let value = &line[metric["Name"].as_str().unwrap()];
            let values = value.as_array().map_or(1, Vec::len);
            assert!((1..=100).contains(&values) && !value.is_null(), "{line}");
            assert!(metric["Unit"] == "Count" || metric["Unit"] == "Milliseconds");
        }
    }
    lines
}

/// The sum of a metric over lines without further dimensions.
fn total(lines: &[Value], name: &str) -> u64 {
    let of_function = lines.iter().filter(|line| line.get("Plan").is_none());
    of_function.filter_map(|line| line[name].as_u64()).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_are_written_once_in_ten_seconds_and_the_rest_at_shutdown() {
    let store = Store::embedded().await;
    let limits = plan(Some((0.001, 130)), Some((110, PeriodKind::Day)));
    let (_, key) = linked(&admin(&store).await, limits).await;
    let proxy = Proxy::to(&store.endpoint).await;
    let function = start(&store.through(&proxy.endpoint), &[]).await;
    let started = std::time::Instant::now();
    for _ in 0..115 {
        function
            .invoke(event("http-api-v2", Some(&key.value)))
            .await;
    }
    function.invoke(event("http-api-v2", None)).await;
    let windows = 1 + usize::try_from(started.elapsed().as_secs() / 10).unwrap();
    let log = function.shut_down().await;

    let lines = metrics(&log);
    // The first at once, at most one for each ten seconds, the last at shutdown.
    assert!((2..=windows + 1).contains(&lines.len()), "{log}");
    assert_eq!(total(&lines[..1], "Allowed"), 1);
    assert_eq!(total(&lines, "Allowed"), 110);
    assert_eq!(total(&lines, "QuotaExceeded"), 5);
    assert_eq!(total(&lines, "Denied"), 1);
    assert_eq!(
        total(&lines, "StoreCalls"),
        u64::try_from(proxy.take_calls().len()).unwrap()
    );
    assert_eq!(total(&lines, "StoreFailures"), 0);
    assert!(
        lines
            .iter()
            .all(|line| line["FunctionName"] == "authorizer")
    );
    assert!(lines[1]["StoreLatency"].as_array().unwrap().len() <= 100);
    assert!(
        !log.contains("StoreFailures") && !log.contains("Contended"),
        "{log}"
    );
    // Nothing complains of the latencies beyond the hundred.
    assert_eq!(log.lines().count(), lines.len(), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn decisions_are_counted_per_plan_where_that_is_asked_for() {
    let store = Store::embedded().await;
    let admin = admin(&store).await;
    let (one, first) = linked(&admin, plan(Some((0.001, 2)), None)).await;
    let (two, second) = linked(&admin, plan(None, None)).await;
    let function = start(&store, &[("TOLLGATE_METRICS_BY_PLAN", "on")]).await;
    for key in [&first, &first, &first, &second, &second] {
        function
            .invoke(event("http-api-v2", Some(&key.value)))
            .await;
    }
    let lines = metrics(&function.shut_down().await);
    let of_plan = |id: &str, name: &str| -> u64 {
        let lines = lines.iter().filter(|line| line["Plan"] == json!(id));
        lines.filter_map(|line| line[name].as_u64()).sum()
    };
    assert_eq!(of_plan(&one.id, "Allowed"), 2);
    assert_eq!(of_plan(&one.id, "Throttled"), 1);
    assert_eq!(of_plan(&two.id, "Allowed"), 2);
    assert_eq!(total(&lines, "Allowed"), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_fails_shows_in_the_metrics_at_every_log_level() {
    let store = Store::embedded().await;
    let (_, key) = linked(&admin(&store).await, plan(None, None)).await;
    let proxy = Proxy::to(&store.endpoint).await;
    let store = store.through(&proxy.endpoint);
    let function = start(&store, &[("TOLLGATE_LOG_LEVEL", "ERROR")]).await;
    let request = event("http-api-v2", Some(&key.value));
    function.invoke(request.clone()).await;
    proxy.rule(|_, _| Fault::Stall);
    function.invoke(request).await;
    let lines = metrics(&function.shut_down().await);
    assert_eq!(total(&lines, "Allowed"), 1);
    assert_eq!(total(&lines, "Denied"), 1);
    assert_eq!(total(&lines, "StoreUnavailable"), 1);
    assert!(total(&lines, "StoreFailures") >= 1, "{lines:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sampled_share_of_decisions_is_logged_with_ids_and_without_keys() {
    let store = Store::embedded().await;
    let (plan, key) = linked(&admin(&store).await, plan(None, None)).await;
    for (share, range) in [("1", 200..=200), ("0", 0..=0), ("0.5", 60..=140)] {
        let function = start(&store, &[("TOLLGATE_LOG_SAMPLE", share)]).await;
        for _ in 0..200 {
            function
                .invoke(event("rest-request", Some(&key.value)))
                .await;
        }
        let log = function.stop().await;
        let lines = log.lines().map(|line| serde_json::from_str(line).unwrap());
        let decisions: Vec<Value> = lines
            .filter(|line: &Value| line["fields"]["message"] == "decision")
            .collect();
        assert!(
            range.contains(&decisions.len()),
            "{share}: {}",
            decisions.len()
        );
        for line in decisions {
            let fields = &line["fields"];
            assert_eq!(fields["key_id"], json!(key.record.id));
            assert_eq!(fields["plan_id"], json!(plan.id));
            assert_eq!(
                (&fields["decision"], &fields["reason"]),
                (&json!("allow"), &json!("ok"))
            );
            assert_eq!(fields["route"], "/pets/{id}");
        }
        assert!(!log.contains(&key.value));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn management_counts_its_calls_and_failures() {
    let store = Store::embedded().await;
    let proxy = Proxy::to(&store.endpoint).await;
    let function = Function::start("keys", &store.through(&proxy.endpoint), Start::default()).await;
    let mut list = event("http-api-v2", None);
    list["requestContext"]["stage"] = json!("$default");
    list["rawPath"] = json!("/apikeys");
    list["requestContext"]["http"]["path"] = json!("/apikeys");
    let listed = function.invoke(list.clone()).await;
    assert_eq!(listed["statusCode"], 200, "{listed}");
    proxy.rule(|_, _| Fault::Refuse("AccessDeniedException"));
    let failed = function.invoke(list).await;
    assert_eq!(failed["statusCode"], 503, "{failed}");
    let log = function.shut_down().await;
    let lines = metrics(&log);
    assert_eq!(total(&lines, "ManagementCalls"), 2, "{log}");
    assert_eq!(total(&lines, "ManagementFailures"), 1);
}
