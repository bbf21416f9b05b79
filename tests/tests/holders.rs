//! What a key's holder and the APIs' owner are told: what is left, and what may come.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use jiff::{Timestamp, ToSpan};
use serde_json::{Value, json};
use tollgate_core::calendar::{PeriodKind, day_of};
use tollgate_core::limit::Throttle;
use tollgate_core::verdict::Reason;
use tollgate_tests::api::{Api, text};
use tollgate_tests::proxy::Proxy;
use tollgate_tests::stores::Store;
use tollgate_tests::world::{PATIENT, decide, decide_on, engine, linked, plan, target};

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_told_what_it_has_left_and_spends_nothing_by_asking() {
    let store = Store::embedded().await;
    let (api, admin) = Api::managed(&store).await;
    let mut limits = plan(Some((0.001, 5)), Some((10, PeriodKind::Month)));
    let throttle = Throttle::new(Some(0.001), Some(3)).unwrap();
    limits.stages[0]
        .throttle
        .insert("/pets/GET".parse().unwrap(), throttle);
    let (plan, key) = linked(&admin, limits).await;
    let engine = engine(&store, PATIENT).await;
    let pets = target("/pets");
    for _ in 0..2 {
        let told = decide_on(&engine, &key.value, &pets, 1, Timestamp::now()).await;
        assert_eq!(told.reason, Reason::Ok);
    }
    let proxy = Proxy::to(&store.endpoint).await;
    let asked = Api::on(store.through(&proxy.endpoint)).await;
    for _ in 0..3 {
        let (status, told) = asked.whoami(Some(&key.value)).await;
        assert_eq!(status, 200);
        assert_eq!(text(&told["keyId"]), key.record.id);
        let of = &told["usagePlans"][0];
        assert_eq!(text(&of["usagePlanId"]), plan.id);
        let numbers = |limit: &Value| {
            [&limit["limit"], &limit["used"], &limit["left"]].map(|it| it.as_u64().unwrap())
        };
        assert_eq!(numbers(&of["throttle"]), [5, 2, 3]);
        assert_eq!(numbers(&of["quota"]), [10, 2, 8]);
        assert_eq!(of["methods"][0]["method"], "/pets/GET");
        assert_eq!(numbers(&of["methods"][0]), [3, 2, 1]);
        assert!(of["throttle"]["resetAfter"].as_u64().unwrap() > 1_900);
        assert!(of["quota"]["reset"].as_i64().unwrap() > Timestamp::now().as_second());
    }
    assert!(proxy.take_counts().keys().all(|call| call == "GetItem"));

    for (credential, reason) in [
        (None, "missing_key"),
        (Some("tg_x"), "malformed_key"),
        (Some("no-such-key-of-anybody"), "unknown_key"),
    ] {
        let (status, told) = asked.whoami(credential).await;
        assert_eq!((status, &told["reason"]), (401, &json!(reason)));
    }
    proxy.take_calls();
    // A wrong value is not looked up again within the second.
    asked.whoami(Some("no-such-key-of-anybody")).await;
    assert!(proxy.take_calls().len() <= 1);
    api.patch(200, &key.path(), &[["replace", "/enabled", "false"]])
        .await;
    let (status, told) = asked.whoami(Some(&key.value)).await;
    assert_eq!((status, &told["reason"]), (401, &json!("disabled")));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_asks_too_often_is_told_to_wait_and_others_are_not() {
    let store = Store::embedded().await;
    let (api, admin) = Api::managed(&store).await;
    let (_, key) = linked(&admin, plan(None, None)).await;
    let (_, other) = linked(&admin, plan(None, None)).await;
    let mut statuses = Vec::new();
    while statuses.last() != Some(&429) {
        let (status, told) = api.whoami(Some(&key.value)).await;
        assert!(
            status == 200 || text(&told["message"]).starts_with("asked too often"),
            "{told}"
        );
        statuses.push(status);
        assert!(statuses.len() < 200, "it is never told");
    }
    assert!(statuses.len() > 10, "{statuses:?}");
    assert_eq!(api.whoami(Some(&other.value)).await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_of_another_period_is_told_as_requests_meet_it() {
    let store = Store::embedded().await;
    let (api, admin) = Api::managed(&store).await;
    let (plan, key) = linked(&admin, plan(None, Some((10, PeriodKind::Day)))).await;
    let engine = engine(&store, PATIENT).await;
    let now = Timestamp::now();
    let yesterday = now - 24.hours();
    // The meter is made anew as of yesterday.
    let meter = tollgate_dynamo::item::ItemKey::meter(&key.record.id, &plan.id);
    let update = store.client().await.update_item().table_name(&store.table);
    update
        .set_key(Some(meter.attributes()))
        .update_expression("SET #day = :day, period = :period")
        .expression_attribute_names("#day", "day")
        .expression_attribute_values(":day", day_value(&yesterday, ""))
        .expression_attribute_values(":period", day_value(&yesterday, "D"))
        .send()
        .await
        .unwrap();
    for time in [yesterday; 8].into_iter().chain([now; 2]) {
        let told = decide_on(&engine, &key.value, &target("/"), 1, time).await;
        assert_eq!(told.reason, Reason::Ok, "{time}");
    }
    // A week that began yesterday: all ten are of it.
    let weekday = day_of(yesterday).weekday().to_sunday_zero_offset();
    let week = [
        ["replace", "/quota/period", "WEEK"],
        ["replace", "/quota/offset", &weekday.to_string()],
    ];
    api.patch(200, &format!("/usageplans/{}", plan.id), &week)
        .await;
    let (_, told) = api.whoami(Some(&key.value)).await;
    assert_eq!(told["usagePlans"][0]["quota"]["left"], 0, "{told}");
    let today = day_of(now);
    let usage = format!(
        "/usageplans/{}/usage?keyId={}&startDate={today}&endDate={today}",
        plan.id, key.record.id
    );
    let usage = api.get(&usage).await;
    assert_eq!(usage["values"][key.record.id.as_str()], json!([[2, 0]]));
    let other = tollgate_tests::world::engine(&store, PATIENT).await;
    assert_eq!(decide(&other, &key.value).await, Reason::Quota);
}

/// A day as a meter holds it, or the period that it is.
fn day_value(time: &Timestamp, of_kind: &str) -> aws_sdk_dynamodb::types::AttributeValue {
    let day = day_of(*time);
    let text = match of_kind {
        "" => day.to_string(),
        _ => tollgate_core::limit::Quota::new(1, PeriodKind::Day, 0)
            .unwrap()
            .period_of(day)
            .to_string(),
    };
    aws_sdk_dynamodb::types::AttributeValue::S(text)
}

#[tokio::test(flavor = "multi_thread")]
async fn capacity_is_what_the_active_keys_are_entitled_to() {
    let store = Store::embedded().await;
    let (api, admin) = Api::managed(&store).await;
    let mut limits = plan(Some((10.0, 20)), Some((1_000, PeriodKind::Month)));
    let throttle = Throttle::new(Some(2.0), Some(4)).unwrap();
    limits.stages[0]
        .throttle
        .insert("/pets/GET".parse().unwrap(), throttle);
    let (plan, key) = linked(&admin, limits).await;
    let mut keys = vec![key];
    for _ in 0..3 {
        let key = tollgate_tests::world::make_key(&admin).await;
        admin.link(&plan.id, &key.record.id).await.unwrap();
        keys.push(key);
    }
    // One is off, one is elsewhere, one has more than the plan gives.
    api.patch(200, &keys[0].path(), &[["replace", "/enabled", "false"]])
        .await;
    let elsewhere = [["replace", "/tollgate/restriction", r#"{"other:prod":[]}"#]];
    api.patch(200, &keys[1].path(), &elsewhere).await;
    let set = format!("/tollgate/overrides/{}", plan.id);
    let own = r#"{"throttle":{"rateLimit":90,"burstLimit":100},"quotaLimit":5000}"#;
    api.patch(200, &keys[2].path(), &[["replace", &*set, own]])
        .await;
    let yesterday = Timestamp::now() - 24.hours();
    let engine = engine(&store, PATIENT).await;
    // Time does not run back: what is asked for tomorrow makes today yesterday.
    for _ in 0..3 {
        assert_eq!(decide(&engine, &keys[3].value).await, Reason::Ok);
    }
    let shown = api.get(&format!("/usageplans/{}/capacity", plan.id)).await;
    let sums = |of: &Value| {
        ["activeKeys", "rateLimit", "burstLimit", "requestsPerDay"]
            .map(|name| format!("{}", of[name].as_f64().unwrap()))
    };
    assert_eq!(sums(&shown), ["3", "110", "140", "7000"]);
    assert_eq!(shown["apiStages"][0]["apiStage"], "api:prod");
    assert_eq!(sums(&shown["apiStages"][0]), ["2", "100", "120", "6000"]);
    assert_eq!(shown["methods"][0]["method"], "/pets/GET");
    assert_eq!(sums(&shown["methods"][0]), ["2", "4", "8", "6000"]);
    assert_eq!(text(&shown["yesterday"]), day_of(yesterday).to_string());
    assert_eq!(shown["usedYesterday"], 0);
    // Pages add up to the whole.
    let (mut active, mut position) = (0.0, String::new());
    loop {
        let page = format!(
            "/usageplans/{}/capacity?limit=1&position={position}",
            plan.id
        );
        let page = api.get(&page).await;
        active += page["activeKeys"].as_f64().unwrap();
        match page["position"].as_str() {
            Some(next) => next.clone_into(&mut position),
            None => break,
        }
    }
    assert!((active - 3.0).abs() < f64::EPSILON);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_keys_none_is_taken_before_the_others() {
    let store = Store::embedded().await;
    let (api, admin) = Api::managed(&store).await;
    let (_, key) = linked(&admin, plan(None, None)).await;
    let good = key.value.as_str();
    let token = format!("Bearer {good}");
    for several in [
        [("x-api-key", good), ("x-api-key", "another-value-of-a-key")],
        [("x-api-key", good), ("x-api-key", good)],
        [
            ("authorization", token.as_str()),
            ("authorization", "Basic x"),
        ],
    ] {
        let (status, told) = api.whoami_with(&several).await;
        assert_eq!(status, 401, "{several:?}: {told}");
    }
    let (status, told) = api
        .whoami_with(&[("x-api-key", good), ("x-api-key", "")])
        .await;
    assert_eq!(
        (status, &told["reason"]),
        (401, &json!("malformed_key")),
        "{told}"
    );
    assert_eq!(api.whoami_with(&[("authorization", &token)]).await.0, 200);
}
