//! API keys on the wire: shapes, lists, pages, and that a value is shown once.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use std::collections::BTreeSet;

use axum::http::Method;
use serde_json::json;
use tollgate_tests::api::{Api, ids, members, text};
use tollgate_tests::on_both_stores;
use tollgate_tests::stores::Kind;

on_both_stores!(
    keys_are_listed_newest_first_by_name_and_by_customer,
    pages_hold_while_keys_are_made_and_deleted_between_them,
);

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_made_shown_changed_and_deleted() {
    let api = Api::embedded().await;
    let bare = api.post("/apikeys", json!({})).await;
    assert_eq!(
        members(&bare),
        BTreeSet::from([
            "id",
            "value",
            "enabled",
            "createdDate",
            "lastUpdatedDate",
            "stageKeys"
        ])
    );
    assert_eq!(
        (&bare["enabled"], &bare["stageKeys"]),
        (&json!(false), &json!([]))
    );
    let now = jiff::Timestamp::now().as_second();
    assert!((now - bare["createdDate"].as_i64().unwrap()).abs() < 30);

    let full = json!({ "name": "n", "description": "d", "customerId": "c", "enabled": true, "tags": { "a": "b" },
                       "generateDistinctId": true, "stageKeys": [{ "restApiId": "x", "stageName": "y" }] });
    let made = api.post("/apikeys", full).await;
    assert_eq!(made["tags"], json!({ "a": "b" }));
    let id = text(&made["id"]);
    let path = format!("/apikeys/{id}");
    let shown = api.get(&format!("{path}?includeValue=true")).await;
    assert!(shown.get("value").is_none());
    assert_eq!(
        (&shown["name"], &shown["customerId"]),
        (&json!("n"), &json!("c"))
    );

    let changed = api
        .patch(
            200,
            &path,
            &[["replace", "/name", "m"], ["replace", "/enabled", "maybe"]],
        )
        .await;
    assert_eq!(
        (&changed["name"], &changed["enabled"]),
        (&json!("m"), &json!(false))
    );
    assert_eq!(changed["tags"], json!({ "a": "b" }));
    assert!(changed.get("value").is_none());
    let changed = api
        .patch(
            200,
            &path,
            &[["replace", "/enabled", "true"], ["add", "/labels", "x"]],
        )
        .await;
    assert_eq!(changed["enabled"], json!(true));
    let error = api
        .patch(
            400,
            &path,
            &[["replace", "/enabled", "false"], ["replace", "/id", "x"]],
        )
        .await;
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .starts_with("Invalid patch path  '/id' specified")
    );
    assert_eq!(api.get(&path).await["enabled"], json!(true));

    api.delete(&path).await;
    for method in [Method::GET, Method::DELETE, Method::PATCH] {
        let gone = api.call(404, method, &path, json!({})).await;
        assert_eq!(gone["message"], "Invalid API Key identifier specified");
        assert_eq!(gone["__type"], "NotFoundException");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_is_shown_once_and_only_its_hash_is_kept() {
    let api = Api::embedded().await;
    let own = "my own key".replace(' ', "-") + "-of-enough-characters";
    let generated = text(&api.post("/apikeys", json!({ "value": "" })).await["value"]);
    let made = api.post("/apikeys", json!({ "value": own })).await;
    assert_eq!(made["value"], json!(own));
    let taken = api
        .call(409, Method::POST, "/apikeys", json!({ "value": own }))
        .await;
    assert_eq!(
        (&taken["message"], &taken["__type"]),
        (
            &json!("API Key already exists"),
            &json!("ConflictException")
        )
    );

    let client = api.store.client().await;
    let everything = client
        .scan()
        .table_name(&api.store.table)
        .send()
        .await
        .unwrap();
    let everything = format!("{:?}", everything.items());
    assert!(everything.contains("HASH#"));
    assert!(!everything.contains(&own) && !everything.contains(&generated));
}

async fn keys_are_listed_newest_first_by_name_and_by_customer(kind: Kind) {
    let api = Api::new(kind).await;
    assert_eq!(api.get("/apikeys").await, json!({ "item": [] }));
    let mut made = Vec::new();
    for number in 0..12 {
        let name = if number % 2 == 0 { "Even" } else { "odd" };
        let body = json!({ "name": format!("{name}-{number:02}"), "customerId": format!("c{}", number % 3) });
        made.insert(0, api.key(body).await);
    }
    let list = api.get("/apikeys?includeValues=true").await;
    assert_eq!(ids(&list), made);
    assert!(list.get("position").is_none());
    assert!(list["item"][0].get("tags").is_none() && list["item"][0].get("value").is_none());

    let even = ids(&api.get("/apikeys?name=Even").await);
    let expected: Vec<_> = made.iter().skip(1).step_by(2).cloned().collect();
    assert_eq!(even, expected);
    assert_eq!(ids(&api.get("/apikeys?name=even").await), [""; 0]);
    assert_eq!(
        ids(&api.get("/apikeys?name=odd-11").await),
        [made[0].clone()]
    );
    let of_customer = ids(&api.get("/apikeys?customerId=c2").await);
    let expected: Vec<_> = made.iter().step_by(3).cloned().collect();
    assert_eq!(of_customer, expected);
    assert_eq!(ids(&api.get("/apikeys?limit=-1").await), [""; 0]);
}

async fn pages_hold_while_keys_are_made_and_deleted_between_them(kind: Kind) {
    let api = Api::new(kind).await;
    let mut made = Vec::new();
    for number in 0..23 {
        made.insert(0, api.key(json!({ "name": format!("n{number}") })).await);
    }
    let (mut seen, mut path) = (Vec::new(), "/apikeys?limit=5".to_owned());
    loop {
        let page = api.get(&path).await;
        assert!(ids(&page).len() <= 5);
        seen.extend(ids(&page));
        let Some(position) = page.get("position") else {
            break;
        };
        path = format!("/apikeys?limit=5&position={}", text(position));
        // One newer than all, and one already seen, are nothing to the pages to come.
        api.key(json!({ "name": "late" })).await;
        api.delete(&format!("/apikeys/{}", seen[seen.len() - 1]))
            .await;
    }
    assert_eq!(seen, made);
}

#[tokio::test(flavor = "multi_thread")]
async fn stage_keys_are_kept_shown_and_patched() {
    let api = Api::embedded().await;
    let stage = |api: &str, name: &str| json!({ "restApiId": api, "stageName": name });
    let twice = [stage("a", "s"), stage("b", "$default"), stage("a", "s")];
    let made = api.post("/apikeys", json!({ "stageKeys": twice })).await;
    assert_eq!(made["stageKeys"], json!(["a/s", "b/$default"]));
    let path = format!("/apikeys/{}", text(&made["id"]));
    assert_eq!(api.get(&path).await["stageKeys"], made["stageKeys"]);
    assert_eq!(
        api.get("/apikeys").await["item"][0]["stageKeys"],
        made["stageKeys"]
    );
    let operations = [
        ["add", "/stages", "c/t"],
        ["add", "/stages", "c/t"],
        ["remove", "/stages", "a/s"],
    ];
    let changed = api.patch(200, &path, &operations).await;
    assert_eq!(changed["stageKeys"], json!(["b/$default", "c/t"]));
    for wrong in [
        "", "a", "/s", "a/", "a/s/t", "a b/s", "a:s", "a:s/t", "a/s:t",
    ] {
        let operation = ["add", "/stages", wrong];
        let refused = api.patch(400, &path, &[operation]).await;
        let message = text(&refused["message"]);
        assert!(
            message.starts_with("Invalid stage key specified"),
            "{message}"
        );
    }
    let absent = ["remove", "/stages", "a/s"];
    api.patch(404, &path, &[absent]).await;
    for wrong in [
        json!([{ "restApiId": "a" }]),
        json!([{ "stageName": "s" }]),
        json!([stage("a/b", "s")]),
        json!(["a/s"]),
        json!([["a", "s"]]),
        json!({}),
    ] {
        let body = json!({ "stageKeys": wrong });
        api.call(400, Method::POST, "/apikeys", body).await;
    }
    let many = |number: usize| {
        let stages = (0..number).map(|number| stage("a", &number.to_string()));
        json!({ "stageKeys": stages.collect::<Vec<_>>() })
    };
    let full = api.post("/apikeys", many(100)).await;
    let refused = api.call(400, Method::POST, "/apikeys", many(101)).await;
    assert_eq!(
        refused["message"],
        "Invalid stageKeys: expected at most 100, got 101"
    );
    let path = format!("/apikeys/{}", text(&full["id"]));
    let more = ["add", "/stages", "b/s"];
    api.patch(400, &path, &[more]).await;
    assert_eq!(api.get(&path).await["stageKeys"], full["stageKeys"]);
}
