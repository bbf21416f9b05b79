//! What management refuses, and what interrupted and simultaneous calls leave behind.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use std::sync::Arc;

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};
use tollgate_core::verdict::Reason;
use tollgate_tests::api::{Api, ids, text};
use tollgate_tests::on_both_stores;
use tollgate_tests::proxy::{Fault, Proxy};
use tollgate_tests::stores::{Kind, Store};
use tollgate_tests::world::decide;

on_both_stores!(
    a_key_linked_to_two_plans_of_one_stage_at_once_gets_into_one,
    changes_at_the_same_time_all_count,
);

/// An API whose store refuses, for good, the `n`th call from here on, and lets all others through.
async fn failing() -> (Api, Proxy) {
    let store = Store::embedded().await;
    let proxy = Proxy::to(&store.endpoint).await;
    (Api::on(store.through(&proxy.endpoint)).await, proxy)
}

fn fail_at(proxy: &Proxy, call: usize) {
    proxy.rule(move |number, _| {
        if number >= call {
            Fault::Refuse("AccessDeniedException")
        } else {
            Fault::None
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_that_was_interrupted_is_taken_up_again() {
    let (api, proxy) = failing().await;
    let plan = text(&api.post("/usageplans", json!({ "name": "p" })).await["id"]);
    for interrupted_at in 0..6 {
        let value = format!("my-own-value-of-enough-characters-{interrupted_at}");
        let key = api.key(json!({ "value": value })).await;
        api.post(
            &format!("/usageplans/{plan}/keys"),
            json!({ "keyId": key, "keyType": "API_KEY" }),
        )
        .await;
        fail_at(&proxy, interrupted_at);
        let (status, ..) = api
            .raw(Method::DELETE, &format!("/apikeys/{key}"), String::new())
            .await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        proxy.rule(|_, _| Fault::None);
        let (_, list, _) = api.raw(Method::GET, "/apikeys", String::new()).await;
        let (status, ..) = api
            .raw(Method::GET, &format!("/apikeys/{key}"), String::new())
            .await;
        // Nothing half visible: it is there, or it is gone.
        assert_eq!(
            status == StatusCode::OK,
            ids(&list).contains(&key),
            "interrupted at {interrupted_at}"
        );
        api.delete(&format!("/apikeys/{key}")).await;
        api.call(404, Method::DELETE, &format!("/apikeys/{key}"), Value::Null)
            .await;
        let again = api.key(json!({ "value": value })).await;
        api.delete(&format!("/apikeys/{again}")).await;
    }
    assert_eq!(
        api.get(&format!("/usageplans/{plan}/keys")).await,
        json!({ "item": [] })
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_was_interrupted_is_finished_by_the_next_call() {
    let (api, proxy) = failing().await;
    let plan = text(&api.post("/usageplans", json!({ "name": "p" })).await["id"]);
    let path = format!("/usageplans/{plan}/keys");
    for interrupted_at in 0..5 {
        let key = api.key(json!({})).await;
        let link = json!({ "keyId": key, "keyType": "API_KEY" });
        fail_at(&proxy, interrupted_at);
        let (status, ..) = api.raw(Method::POST, &path, link.to_string()).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        proxy.rule(|_, _| Fault::None);
        let (status, ..) = api.raw(Method::POST, &path, link.to_string()).await;
        assert_eq!(
            status,
            StatusCode::CREATED,
            "interrupted at {interrupted_at}"
        );
        assert_eq!(ids(&api.get(&path).await)[0], key);
    }
}

/// Whatever step an unlinking stops at: the next change of the key makes it whole, and a key that is revoked is revoked.
#[tokio::test(flavor = "multi_thread")]
async fn an_unlinking_that_was_interrupted_revokes_with_the_next_change() {
    let (api, proxy) = failing().await;
    let engine = tollgate_tests::world::engine(&api.store, tollgate_tests::world::PATIENT).await;
    let stage = json!({ "apiId": "api", "stage": "prod" });
    let plan =
        json!({ "name": "p", "apiStages": [stage], "quota": { "limit": 5, "period": "MONTH" } });
    let plan = text(&api.post("/usageplans", plan).await["id"]);
    let path = format!("/usageplans/{plan}/keys");
    for interrupted_at in 0..12 {
        let made = api.post("/apikeys", json!({ "enabled": true })).await;
        let (key, value) = (text(&made["id"]), text(&made["value"]));
        let link = json!({ "keyId": key, "keyType": "API_KEY" });
        api.post(&path, link.clone()).await;
        assert_eq!(decide(&engine, &value).await, Reason::Ok);
        fail_at(&proxy, interrupted_at);
        let (first, ..) = api
            .raw(Method::DELETE, &format!("{path}/{key}"), String::new())
            .await;
        proxy.rule(|_, _| Fault::None);
        if interrupted_at % 2 == 0 {
            api.patch(
                200,
                &format!("/apikeys/{key}"),
                &[["replace", "/enabled", "false"]],
            )
            .await;
        } else {
            let (again, ..) = api
                .raw(Method::DELETE, &format!("{path}/{key}"), String::new())
                .await;
            assert!(
                again == StatusCode::ACCEPTED
                    || first == StatusCode::ACCEPTED
                    || again == StatusCode::NOT_FOUND
            );
        }
        let reason = decide(&engine, &value).await;
        assert_ne!(reason, Reason::Ok, "interrupted at {interrupted_at}");
        // Linked again, the quota goes on from where it was.
        api.patch(
            200,
            &format!("/apikeys/{key}"),
            &[["replace", "/enabled", "true"]],
        )
        .await;
        let (status, ..) = api.raw(Method::POST, &path, link.to_string()).await;
        assert!(status == StatusCode::CREATED || status == StatusCode::CONFLICT);
        let mut admitted = 0;
        for _ in 0..6 {
            admitted += u32::from(decide(&engine, &value).await == Reason::Ok);
        }
        assert_eq!(admitted, 4, "interrupted at {interrupted_at}");
    }
}

/// A link that stopped at the record, whose plan is then deleted: the key's other plan is not harmed by what is left.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_lost_link_leaves_harms_no_other_plan_of_the_key() {
    let (api, proxy) = failing().await;
    let engine = tollgate_tests::world::engine(&api.store, tollgate_tests::world::PATIENT).await;
    let stage = json!({ "apiId": "api", "stage": "prod" });
    let good = json!({ "name": "good", "apiStages": [stage] });
    let good = text(&api.post("/usageplans", good).await["id"]);
    let lost = text(&api.post("/usageplans", json!({ "name": "lost" })).await["id"]);
    let made = api.post("/apikeys", json!({ "enabled": true })).await;
    let (key, value) = (text(&made["id"]), text(&made["value"]));
    let link = json!({ "keyId": key, "keyType": "API_KEY" });
    api.post(&format!("/usageplans/{good}/keys"), link.clone())
        .await;
    // The plan, the key, the key again, its other plan, the record; and no further.
    fail_at(&proxy, 5);
    let path = format!("/usageplans/{lost}/keys");
    let (status, ..) = api.raw(Method::POST, &path, link.to_string()).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    proxy.rule(|_, _| Fault::None);
    api.delete(&format!("/usageplans/{lost}")).await;
    api.patch(
        200,
        &format!("/apikeys/{key}"),
        &[["replace", "/name", "n"]],
    )
    .await;
    assert_eq!(decide(&engine, &value).await, Reason::Ok);
    let range = "startDate=2026-01-01&endDate=2026-01-01";
    api.get(&format!("/usageplans/{good}/usage?{range}&keyId={key}"))
        .await;
}

async fn a_key_linked_to_two_plans_of_one_stage_at_once_gets_into_one(kind: Kind) {
    let api = Arc::new(Api::new(kind).await);
    let mut plans = Vec::new();
    for _ in 0..4 {
        let plan = json!({ "name": "p", "apiStages": [{ "apiId": "a", "stage": "s" }] });
        plans.push(text(&api.post("/usageplans", plan).await["id"]));
    }
    let key = api.key(json!({})).await;
    let mut links = Vec::new();
    for plan in plans {
        let (api, key) = (Arc::clone(&api), key.clone());
        links.push(tokio::spawn(async move {
            let body = json!({ "keyId": key, "keyType": "API_KEY" });
            api.raw(
                Method::POST,
                &format!("/usageplans/{plan}/keys"),
                body.to_string(),
            )
            .await
            .0
        }));
    }
    let mut made = 0;
    for link in links {
        match link.await.unwrap() {
            StatusCode::CREATED => made += 1,
            status => assert_eq!(status, StatusCode::CONFLICT),
        }
    }
    assert_eq!(made, 1);
    assert_eq!(
        ids(&api.get(&format!("/usageplans?keyId={key}")).await).len(),
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_item_is_left_out_of_lists_and_told_when_asked_for() {
    use aws_sdk_dynamodb::types::AttributeValue;
    let api = Api::embedded().await;
    let (good, bad) = (api.key(json!({})).await, api.key(json!({})).await);
    api.store
        .client()
        .await
        .update_item()
        .table_name(&api.store.table)
        .set_key(Some(
            tollgate_dynamo::item::ItemKey::key(&bad.as_str().into()).attributes(),
        ))
        .update_expression("SET enabled = :text")
        .expression_attribute_values(":text", AttributeValue::S("yes".to_owned()))
        .send()
        .await
        .unwrap();
    assert_eq!(ids(&api.get("/apikeys").await), [good]);
    let error = api
        .call(500, Method::GET, &format!("/apikeys/{bad}"), Value::Null)
        .await;
    assert_eq!(error["message"], "the stored item is damaged; see the log");
}

async fn changes_at_the_same_time_all_count(kind: Kind) {
    let api = Arc::new(Api::new(kind).await);
    let plan = api.post("/usageplans", json!({ "name": "p" })).await;
    let path = format!("/usageplans/{}", text(&plan["id"]));
    let mut changes = Vec::new();
    for number in 0..4 {
        let (api, path) = (Arc::clone(&api), path.clone());
        changes.push(tokio::spawn(async move {
            api.patch(
                200,
                &path,
                &[["add", "/apiStages", &format!("a:s{number}")]],
            )
            .await;
        }));
    }
    for change in changes {
        change.await.unwrap();
    }
    assert_eq!(
        api.get(&path).await["apiStages"].as_array().unwrap().len(),
        4
    );
}
