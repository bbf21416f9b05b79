//! `tollgate dev` and `tollgate table`, as people run them.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use std::io::{BufRead, BufReader};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use axum::http::{Method, StatusCode};
use futures_util::future::join_all;
use serde_json::{Value, json};
use tollgate_core::calendar::day_of;
use tollgate_tests::gateway::Dev;
use tollgate_tests::lambda::binary;
use tollgate_tests::on_both_stores;
use tollgate_tests::proxy::{Fault, Proxy};
use tollgate_tests::stores::{Kind, Store};

on_both_stores!(the_table_is_created_shown_and_deleted);

async fn demo_keys(dev: &mut Dev) -> Vec<(String, String)> {
    let mut keys = Vec::new();
    while keys.len() < 2 {
        let line = dev.lines.next_line().await.unwrap().unwrap();
        if let Some(demo) = line.strip_prefix("demo plan=") {
            let (plan, key) = demo.split_once(" key=").unwrap();
            keys.push((plan.to_owned(), key.to_owned()));
        }
    }
    keys
}

#[tokio::test]
async fn the_demo_serves_two_plans_with_burst_and_quota() {
    let mut dev = Dev::start(&["--demo"], &[]).await;
    let keys = demo_keys(&mut dev).await;
    assert_eq!([&*keys[0].0, &*keys[1].0], ["Basic", "Premium"]);
    let mut reasons = Vec::new();
    for _ in 0..7 {
        let (status, decision, reason) = dev.get("/pets", Some(&keys[0].1)).await;
        assert_eq!(status == StatusCode::OK, decision == "allow");
        reasons.push(reason);
    }
    assert_eq!(reasons[..5], ["ok"; 5]);
    assert_eq!(reasons[6], "rate");
    for _ in 0..20 {
        assert_eq!(dev.get("/", Some(&keys[1].1)).await.2, "ok");
    }
    assert_eq!(
        dev.get("/", None).await,
        (StatusCode::FORBIDDEN, "denied".into(), "missing_key".into())
    );
}

#[tokio::test]
async fn keys_are_taken_from_where_the_environment_says() {
    let mut dev = Dev::start(
        &["--demo"],
        &[("TOLLGATE_KEY_SOURCE", "query:key,header:x-api-key")],
    )
    .await;
    let keys = demo_keys(&mut dev).await;
    let premium = &keys[1].1;
    assert_eq!(dev.get(&format!("/?key={premium}"), None).await.2, "ok");
    assert_eq!(dev.get("/", Some(premium)).await.2, "ok");
    // The echo keeps it to itself, wherever it was.
    let echo = reqwest::get(format!("{}/?key={premium}", dev.gateway));
    let echo = echo.await.unwrap().text().await.unwrap();
    assert!(
        echo.contains("(hidden)") && !echo.contains(premium),
        "{echo}"
    );
    assert_eq!(
        dev.get("/?key=tg_wrong_wrong_wrong_wrong", Some(premium))
            .await
            .2,
        "malformed_key"
    );
}

#[tokio::test]
async fn an_upstream_gets_what_is_admitted() {
    let upstream = axum::Router::new().fallback(async |request: axum::extract::Request| {
        (StatusCode::IM_A_TEAPOT, request.uri().to_string())
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, upstream).await });
    let mut dev = Dev::start(&["--demo", "--upstream", &url], &[]).await;
    let keys = demo_keys(&mut dev).await;
    assert_eq!(
        dev.get("/a?b=c", Some(&keys[1].1)).await.0,
        StatusCode::IM_A_TEAPOT
    );
    assert_eq!(dev.get("/a?b=c", None).await.0, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn what_cannot_be_started_says_why_and_what_to_do() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for (arguments, environment, expected) in [
        (
            vec!["dev", "--gateway-port", &port],
            vec![],
            "choose another with --gateway-port",
        ),
        (
            vec![
                "dev",
                "--gateway-port",
                "0",
                "--management-port",
                "0",
                "--dynamodb-endpoint",
                "http://127.0.0.1:1",
            ],
            vec![],
            "is DynamoDB running at http://127.0.0.1:1?",
        ),
        (
            vec!["dev", "--upstream", "ftp://x"],
            vec![],
            "--upstream must be a URL such as http://127.0.0.1:8080",
        ),
        (
            vec!["dev"],
            vec![("TOLLGATE_KEY_SOURCE", "cookie")],
            "TOLLGATE_KEY_SOURCE must be",
        ),
        (
            vec!["dev", "--gateway-port", "many"],
            vec![],
            "invalid value 'many'",
        ),
    ] {
        let output = run(&arguments, &environment);
        assert!(!output.status.success());
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.contains(expected), "{error}");
    }
}

fn run(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    Command::new(binary("tollgate"))
        .args(arguments)
        .env_remove("AWS_ENDPOINT_URL_DYNAMODB")
        .envs(environment.iter().copied())
        .output()
        .unwrap()
}

async fn the_table_is_created_shown_and_deleted(kind: Kind) {
    let store = Store::new(kind).await;
    let name = format!("{}-by-hand", store.table);
    let table = async |action: &'static str| {
        let (endpoint, name) = (store.endpoint.clone(), name.clone());
        let output = tokio::task::spawn_blocking(move || {
            run(
                &[
                    "table",
                    action,
                    "--dynamodb-endpoint",
                    &endpoint,
                    "--table",
                    &name,
                ],
                &[],
            )
        });
        let output = output.await.unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        (
            output.status.code().unwrap(),
            said.trim_end().replace(&store.table, ""),
        )
    };
    assert_eq!(
        table("status").await,
        (1, "table -by-hand: missing".to_owned())
    );
    assert_eq!(
        table("create").await,
        (0, "table -by-hand: created".to_owned())
    );
    assert_eq!(
        table("create").await,
        (0, "table -by-hand: was there already".to_owned())
    );
    assert_eq!(
        table("status").await,
        (0, "table -by-hand: ACTIVE".to_owned())
    );
    assert_eq!(
        table("delete").await,
        (0, "table -by-hand: deleted".to_owned())
    );
    assert_eq!(
        table("delete").await,
        (0, "table -by-hand: was not there".to_owned())
    );
    let far = run(
        &[
            "table",
            "delete",
            "--dynamodb-endpoint",
            "http://192.0.2.1:8000",
        ],
        &[],
    );
    assert!(String::from_utf8(far.stderr).unwrap().contains("say --yes"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gateway_honours_a_new_key_at_once_and_another_process_counts_on() {
    let store = Store::embedded().await;
    let (one, two) = (Dev::on(&store).await, Dev::on(&store).await);
    assert_eq!(one.dynamodb, store.endpoint);
    let stage = json!({ "apiId": "local", "stage": "$default" });
    let plan =
        json!({ "name": "p", "apiStages": [stage], "quota": { "limit": 3, "period": "DAY" } });
    let (_, plan) = one.manage(Method::POST, "/usageplans", plan).await;
    let (_, key) = one
        .manage(Method::POST, "/apikeys", json!({ "enabled": true }))
        .await;
    let value = key["value"].as_str().unwrap();
    assert_eq!(two.get("/", Some(value)).await.2, "not_in_plan");
    let keys = format!("/usageplans/{}/keys", plan["id"].as_str().unwrap());
    let link = json!({ "keyId": key["id"], "keyType": "API_KEY" });
    assert_eq!(
        one.manage(Method::POST, &keys, link).await.0,
        StatusCode::CREATED
    );
    assert_eq!(one.get("/", Some(value)).await.2, "ok");
    assert_eq!(two.get("/", Some(value)).await.2, "ok");
    assert_eq!(one.get("/", Some(value)).await.2, "ok");
    assert_eq!(two.get("/", Some(value)).await.2, "quota");
    let disable =
        json!({ "patchOperations": [{ "op": "replace", "path": "/enabled", "value": "false" }] });
    let path = format!("/apikeys/{}", key["id"].as_str().unwrap());
    assert_eq!(
        one.manage(Method::PATCH, &path, disable).await.0,
        StatusCode::OK
    );
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    assert_eq!(two.get("/", Some(value)).await.2, "disabled");
    assert_eq!(
        one.manage(Method::GET, &path, Value::Null).await.1["enabled"],
        json!(false)
    );
}

/// 64 connections, as many requests at once, a store of 3 ms.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_decides_itself_admits_what_the_plan_allows_however_many_ask_at_once() {
    let store = Store::embedded().await;
    let proxy = Proxy::to(&store.endpoint).await;
    let through = store.through(&proxy.endpoint);
    let table = [
        "--api",
        "in-process",
        "--dynamodb-endpoint",
        &through.endpoint,
        "--table",
        &through.table,
    ];
    // The machine may be slow, and a time-out is another test's matter.
    let patient = [
        ("TOLLGATE_ATTEMPT_TIMEOUT_MS", "10000"),
        ("TOLLGATE_TOTAL_TIMEOUT_MS", "30000"),
    ];
    let dev = Dev::start(&table, &patient).await;
    let stage = json!({ "apiId": "local", "stage": "$default" });
    let plan = json!({
        "name": "p", "apiStages": [stage],
        "throttle": { "rateLimit": 100_000, "burstLimit": 100_000 },
        "quota": { "limit": 10_000_000, "period": "MONTH" },
    });
    let (_, plan) = dev.manage(Method::POST, "/usageplans", plan).await;
    let new = json!({ "enabled": true });
    let (_, key) = dev.manage(Method::POST, "/apikeys", new).await;
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let (plan, id, value) = (text(&plan["id"]), text(&key["id"]), text(&key["value"]));
    let link = json!({ "keyId": id, "keyType": "API_KEY" });
    let keys = format!("/usageplans/{plan}/keys");
    let (status, _) = dev.manage(Method::POST, &keys, link).await;
    assert_eq!(status, StatusCode::CREATED);
    assert_eq!(dev.status("/", &value).await, StatusCode::OK);

    proxy.rule(|_, _| Fault::Delay(Duration::from_millis(3)));
    proxy.take_calls();
    let caller = async || {
        for _ in 0..20 {
            assert_eq!(dev.status("/", &value).await, StatusCode::OK);
        }
    };
    join_all((0..64).map(|_| caller())).await;
    let writes = proxy.take_counts()["UpdateItem"];
    assert!(writes <= 640, "{writes} writes for 1,280 requests");
    let usage = format!("/usageplans/{plan}/usage?{}", around_today());
    let (_, usage) = dev.manage(Method::GET, &usage, Value::Null).await;
    let days = usage["values"][&id].as_array().unwrap();
    let counted: u64 = days.iter().map(|day| day[0].as_u64().unwrap()).sum();
    assert_eq!(counted, 1_281);
}

/// Yesterday to tomorrow, as a query: midnight may pass.
fn around_today() -> String {
    let today = day_of(jiff::Timestamp::now());
    let (yesterday, tomorrow) = (today.yesterday().unwrap(), today.tomorrow().unwrap());
    format!("startDate={yesterday}&endDate={tomorrow}")
}

#[tokio::test]
async fn a_connection_that_asks_for_nothing_is_not_kept() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let dev = Dev::start(&[], &[]).await;
    for url in [&dev.gateway, &dev.management] {
        let address = url.strip_prefix("http://").unwrap();
        let mut connection = tokio::net::TcpStream::connect(address).await.unwrap();
        // Half a request, and then silence.
        connection
            .write_all(b"GET /pets HTTP/1.1\r\nhost: x\r\n")
            .await
            .unwrap();
        let mut rest = Vec::new();
        let ended = tokio::time::timeout(Duration::from_mins(1), connection.read_to_end(&mut rest));
        ended.await.expect("it is closed").ok();
    }
}

#[test]
fn a_reader_that_has_left_is_no_panic() {
    let program = binary("tollgate").display().to_string();
    for line in ["table status", "table create"] {
        let command = format!(
            "{program} {line} --dynamodb-endpoint http://127.0.0.1:1 2>&1 >/dev/full; true"
        );
        let output = Command::new("sh").args(["-c", &command]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(!said.contains("panicked"), "{said}");
    }
}

#[tokio::test]
async fn what_is_served_and_each_request_is_told_on_standard_error() {
    let mut command = Command::new(binary("tollgate"));
    command
        .args(["dev", "--demo", "--gateway-port", "0"])
        .args(["--management-port", "0", "--dynamodb-port", "0"])
        .env_remove("AWS_ENDPOINT_URL_DYNAMODB")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut dev = command.spawn().unwrap();
    let mut lines = BufReader::new(dev.stdout.take().unwrap()).lines();
    let mut line = || lines.next().unwrap().unwrap();
    let ready = line();
    let gateway = ready.split("gateway=").nth(1).unwrap();
    let gateway = gateway.split(' ').next().unwrap().to_owned();
    let key = line().split("key=").nth(1).unwrap().to_owned();
    let export = std::iter::repeat_with(line).find(|line| line.starts_with("export "));
    assert!(export.unwrap().contains(&format!(" KEY={key} ")));

    let client = reqwest::Client::new();
    for _ in 0..6 {
        let request = client.get(format!("{gateway}/pets"));
        request.header("x-api-key", &key).send().await.unwrap();
    }
    // What is written comes after what is answered.
    let errors = BufReader::new(dev.stderr.take().unwrap()).lines();
    let mut errors = errors.map_while(Result::ok);
    let banner: Vec<_> = errors.by_ref().take(6).collect();
    assert!(
        banner.iter().any(|line| line.contains(&gateway)),
        "{banner:?}"
    );
    let refused = errors.find(|line| line.contains(" 403 ")).unwrap();
    for expected in ["throttled", "rate", "GET /pets", "key ", "again in 1 s"] {
        assert!(refused.contains(expected), "{refused}");
    }
    assert!(!refused.contains(&key) && !refused.contains('\u{1b}'));
    dev.kill().unwrap();
    dev.wait().unwrap();
}

#[tokio::test]
async fn a_state_file_keeps_keys_and_what_they_have_used() {
    let file = std::env::temp_dir().join(format!("tollgate-state-{}", std::process::id()));
    let arguments = ["--demo", "--state", file.to_str().unwrap()];
    let mut dev = Dev::start(&arguments, &[]).await;
    let keys = demo_keys(&mut dev).await;
    let key = keys[1].1.as_str();
    assert_eq!(dev.get("/", Some(key)).await.2, "ok");
    dev.stop().await;
    let dev = Dev::start(&arguments, &[]).await;
    assert_eq!(dev.get("/", Some(key)).await.2, "ok");
    let whoami = reqwest::Client::new().get(format!("{}/whoami", dev.management));
    let whoami = whoami.header("x-api-key", key).send().await.unwrap();
    let whoami: Value = serde_json::from_str(&whoami.text().await.unwrap()).unwrap();
    assert_eq!(whoami["usagePlans"][0]["quota"]["used"], 2);
    // The demo's plans are there once.
    let plans = dev.manage(Method::GET, "/usageplans", Value::Null).await.1;
    assert_eq!(plans["item"].as_array().unwrap().len(), 2);
    dev.stop().await;
    for suffix in ["", "-wal", "-shm"] {
        drop(std::fs::remove_file(format!("{}{suffix}", file.display())));
    }
}
