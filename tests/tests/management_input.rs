//! What clients send, and the bounds of it: lists in the place of objects, numbers that no client could read, very many stages.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use axum::http::Method;
use serde_json::{Map, Value, json};
use tollgate_core::calendar::PeriodKind;
use tollgate_core::verdict::Reason;
use tollgate_tests::api::{Api, text};
use tollgate_tests::on_both_stores;
use tollgate_tests::stores::{Kind, Store};
use tollgate_tests::world::{PATIENT, decide, engine, linked, plan};

on_both_stores!(
    stages_and_method_throttles_are_bounded_and_the_most_of_them_work,
    a_position_of_one_list_is_taken_by_no_other,
);

/// `whole` with each of its objects in turn written as a list of its values, and as an empty one.
fn with_lists(whole: &Value) -> Vec<Value> {
    let Value::Object(members) = whole else {
        let Value::Array(entries) = whole else {
            return Vec::new();
        };
        let inside = entries.iter().enumerate().flat_map(|(place, entry)| {
            let changed = with_lists(entry).into_iter();
            changed.map(move |entry| (place, entry))
        });
        let changed = inside.map(|(place, entry)| {
            let mut entries = entries.clone();
            entries[place] = entry;
            Value::Array(entries)
        });
        return changed.collect();
    };
    let mut all = vec![members.values().cloned().collect(), json!([])];
    for (name, member) in members {
        for changed in with_lists(member) {
            let mut members: Map<String, Value> = members.clone();
            members.insert(name.clone(), changed);
            all.push(Value::Object(members));
        }
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_never_an_object_anywhere() {
    let api = Api::embedded().await;
    let quota = json!({ "limit": 5, "offset": 0, "period": "DAY" });
    let throttle = json!({ "rateLimit": 1.0, "burstLimit": 2 });
    let stage = json!({ "apiId": "a", "stage": "s", "throttle": { "/x/GET": throttle } });
    let a_plan = json!({ "name": "p", "description": "d", "apiStages": [stage], "throttle": throttle,
        "quota": quota, "tags": { "a": "b" }, "tollgate": { "methods": { "a:s": ["/x/GET"] } } });
    let plan = text(&api.post("/usageplans", a_plan.clone()).await["id"]);
    let other = text(&api.post("/usageplans", json!({ "name": "q" })).await["id"]);
    let own = json!({ "expiresAt": 4_000_000_000_i64, "restriction": { "a:s": ["/x/GET"] } });
    let a_key = json!({ "name": "k", "enabled": true, "tags": { "a": "b" }, "tollgate": own });
    let key = text(&api.post("/apikeys", a_key.clone()).await["id"]);
    let link = json!({ "keyId": key, "keyType": "API_KEY" });
    let keys = format!("/usageplans/{plan}/keys");
    api.post(&keys, link.clone()).await;
    let path = |what: &str| format!("/apikeys/{key}{what}");
    let operation = json!({ "op": "replace", "path": "/name", "value": "n" });
    let renaming = json!({ "patchOperations": [operation] });
    let remaining = json!({ "op": "replace", "path": "/remaining", "value": "3" });
    let remaining = json!({ "patchOperations": [remaining] });
    let tags = format!("/tags/arn:aws:apigateway:us-east-1::/apikeys/{key}");
    let rotation = json!({ "overlapSeconds": 0, "value": "a-value-of-the-users-own" });
    let a_move = json!({ "fromUsagePlanId": plan, "toUsagePlanId": other, "usage": "carry" });
    for (method, path, body) in [
        (Method::POST, "/usageplans".to_owned(), a_plan),
        (Method::POST, "/apikeys".to_owned(), a_key),
        (Method::POST, keys.clone(), link),
        (Method::PATCH, path(""), renaming.clone()),
        (Method::PATCH, format!("/usageplans/{plan}"), renaming),
        (Method::PATCH, format!("{keys}/{key}/usage"), remaining),
        (Method::PUT, tags, json!({ "tags": { "a": "b" } })),
        (Method::POST, path("/rotations"), rotation),
        (Method::POST, path("/moves"), a_move),
    ] {
        for changed in with_lists(&body) {
            api.call(400, method.clone(), &path, changed).await;
        }
    }
    let override_path = format!("/tollgate/overrides/{plan}");
    let overrides = json!({ "throttle": throttle, "quotaLimit": 7, "until": "2999-01-01",
        "methods": { "a:s": { "/x/GET": throttle } } });
    let stage_path = "/apiStages/a:s/throttle";
    let restricted = json!({ "a:s": ["/x/GET"] });
    for (resource, path, value) in [
        (path(""), override_path.as_str(), overrides),
        (path(""), "/tollgate/restriction", restricted),
        (
            format!("/usageplans/{plan}"),
            stage_path,
            json!({ "/x/GET": throttle }),
        ),
    ] {
        api.patch(200, &resource, &[["replace", path, &value.to_string()]])
            .await;
        for changed in with_lists(&value) {
            api.patch(400, &resource, &[["replace", path, &changed.to_string()]])
                .await;
        }
    }
    // The one that was found: a time that was read by its place.
    let by_place = json!({ "tollgate": [1_893_456_000_i64] });
    let refused = api.call(400, Method::POST, "/apikeys", by_place).await;
    let message = text(&refused["message"]);
    assert!(
        message.contains("tollgate") && message.contains("expected a JSON object"),
        "{message}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_that_clients_cannot_read_are_not_taken() {
    let api = Api::embedded().await;
    let most = i64::from(i32::MAX);
    let largest = json!({ "name": "p", "quota": { "limit": most, "period": "DAY" } });
    let plan = api.post("/usageplans", largest).await;
    assert_eq!(plan["quota"]["limit"], json!(most));
    let path = format!("/usageplans/{}", text(&plan["id"]));
    let over = most + 1;
    for body in [
        json!({ "name": "p", "quota": { "limit": over, "period": "DAY" } }),
        json!({ "name": "p", "quota": { "limit": 1, "period": "DAY", "offset": over } }),
        json!({ "name": "p", "throttle": { "burstLimit": over } }),
    ] {
        api.call(400, Method::POST, "/usageplans", body).await;
    }
    let over = over.to_string();
    for path_of in ["/quota/limit", "/quota/offset", "/throttle/burstLimit"] {
        let refused = api.patch(400, &path, &[["replace", path_of, &over]]).await;
        assert!(text(&refused["message"]).contains(&over), "{refused}");
    }
    let key = api.key(json!({})).await;
    let link = json!({ "keyId": key, "keyType": "API_KEY" });
    api.post(&format!("{path}/keys"), link).await;
    let overrides = format!("/tollgate/overrides/{}", text(&plan["id"]));
    let value = format!("{{\"quotaLimit\": {over}}}");
    let key = format!("/apikeys/{key}");
    api.patch(400, &key, &[["add", &overrides, &value]]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_larger_quota_of_an_earlier_release_is_enforced_as_stored_and_shown_as_the_largest() {
    const STORED: u64 = 5_000_000_000;
    let store = Store::embedded().await;
    let (api, admin) = Api::managed(&store).await;
    let (plan, key) = linked(&admin, plan(None, Some((STORED, PeriodKind::Month)))).await;
    let path = format!("/usageplans/{}", plan.id);
    let shown = json!(i32::MAX);
    assert_eq!(api.get(&path).await["quota"]["limit"], shown);
    let list = api.get("/usageplans").await;
    assert_eq!(list["item"][0]["quota"]["limit"], shown);
    let changed = api
        .patch(200, &path, &[["replace", "/name", "renamed"]])
        .await;
    assert_eq!(changed["quota"]["limit"], shown);
    let stored = async || {
        let quota = admin.plan(&plan.id).await.unwrap().limits.quota;
        quota.unwrap().limit()
    };
    assert_eq!(stored().await, STORED);
    let engine = engine(&store, PATIENT).await;
    assert_eq!(decide(&engine, &key.value).await, Reason::Ok);
    let today = jiff::Timestamp::now().to_string();
    let today = &today[..10];
    let usage = api
        .get(&format!("{path}/usage?startDate={today}&endDate={today}"))
        .await;
    assert_eq!(
        usage["values"][key.record.id.as_str()][0],
        json!([1, STORED - 1]),
        "{usage}"
    );
    let most = i32::MAX.to_string();
    api.patch(200, &path, &[["replace", "/quota/limit", &most]])
        .await;
    assert_eq!(stored().await, u64::try_from(i32::MAX).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_method_throttle_in_the_place_of_the_plans_is_refused() {
    let api = Api::embedded().await;
    let body =
        json!({ "name": "p", "throttle": { "/pets/GET": { "rateLimit": 1, "burstLimit": 2 } } });
    let refused = api.call(400, Method::POST, "/usageplans", body).await;
    let expected = "Invalid value for throttle: expected rateLimit and burstLimit, got \"/pets/GET\"; \
         throttles of methods belong in apiStages[].throttle";
    assert!(text(&refused["message"]).starts_with(expected), "{refused}");
    // What is unknown and no throttle is ignored, as everywhere.
    let body = json!({ "name": "p", "throttle": { "rateLimit": 1, "unit": "s" } });
    let plan = api.post("/usageplans", body).await;
    assert_eq!(plan["throttle"], json!({ "rateLimit": 1.0 }));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_throttle_of_every_method_is_made_changed_and_removed() {
    let api = Api::embedded().await;
    let every = json!({ "*/*": { "rateLimit": 1.0, "burstLimit": 2 } });
    let stage = json!({ "apiId": "a", "stage": "s", "throttle": every });
    let body = json!({ "name": "p", "apiStages": [stage] });
    let path = format!(
        "/usageplans/{}",
        text(&api.post("/usageplans", body).await["id"])
    );
    let shown = async || api.get(&path).await["apiStages"][0]["throttle"].clone();
    assert_eq!(shown().await, every);
    let method = "/apiStages/a:s/throttle/*/*";
    let (rate, burst) = (
        &format!("{method}/rateLimit"),
        &format!("{method}/burstLimit"),
    );
    let both = [["replace", rate, "5"], ["add", burst, "6"]];
    api.patch(200, &path, &both).await;
    assert_eq!(
        shown().await,
        json!({ "*/*": { "rateLimit": 5.0, "burstLimit": 6 } })
    );
    api.patch(200, &path, &[["remove", method, ""]]).await;
    assert_eq!(shown().await, Value::Null);
    api.patch(400, &path, &[["remove", method, ""]]).await;
    api.patch(200, &path, &[["add", rate, "2.5"]]).await;
    assert_eq!(shown().await, json!({ "*/*": { "rateLimit": 2.5 } }));
}

async fn stages_and_method_throttles_are_bounded_and_the_most_of_them_work(kind: Kind) {
    const MOST: usize = 10_000;
    let api = Api::new(kind).await;
    let stages = |number: usize| {
        let stages = (0..number).map(|number| json!({ "apiId": "a", "stage": number.to_string() }));
        json!({ "name": "p", "apiStages": stages.collect::<Vec<_>>() })
    };
    let plan = api.post("/usageplans", stages(MOST)).await;
    let path = format!("/usageplans/{}", text(&plan["id"]));
    let all = |op: &'static str| {
        let operations = (0..MOST).map(
            move |number| json!({ "op": op, "path": "/apiStages", "value": format!("a:{number}") }),
        );
        json!({ "patchOperations": operations.collect::<Vec<_>>() })
    };
    let bare = api.call(200, Method::PATCH, &path, all("remove")).await;
    assert_eq!(bare["apiStages"], json!([]));
    let full = api.call(200, Method::PATCH, &path, all("add")).await;
    assert_eq!(full["apiStages"].as_array().unwrap().len(), MOST);
    let refused = api.patch(400, &path, &[["add", "/apiStages", "b:s"]]).await;
    assert_eq!(
        refused["message"],
        "apiStages: expected at most 10000 API stages in a usage plan, got 10001"
    );
    api.call(400, Method::POST, "/usageplans", stages(60_000))
        .await;
    let mut operations = all("add");
    let one = operations["patchOperations"][0].clone();
    operations["patchOperations"]
        .as_array_mut()
        .unwrap()
        .push(one);
    api.call(400, Method::PATCH, &path, operations).await;

    // Two plans of a key that have no stage in common are compared.
    let key = api.key(json!({})).await;
    let link = json!({ "keyId": key, "keyType": "API_KEY" });
    api.post(&format!("{path}/keys"), link.clone()).await;
    let throttles = |number: usize| {
        let throttles = (0..number).map(|number| {
            let throttle = json!({ "rateLimit": 1 });
            (format!("/{number}/GET"), throttle)
        });
        let throttles: Map<_, _> = throttles.collect();
        json!({ "name": "p", "apiStages": [{ "apiId": "b", "stage": "s", "throttle": throttles }] })
    };
    let other = text(&api.post("/usageplans", throttles(MOST)).await["id"]);
    api.post(&format!("/usageplans/{other}/keys"), link).await;
    let refused = api
        .call(400, Method::POST, "/usageplans", throttles(MOST + 1))
        .await;
    assert_eq!(
        refused["message"],
        "apiStages: expected at most 10000 method throttles in a usage plan, got 10001"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_has_an_id_of_its_own() {
    let api = Api::embedded().await;
    let mut seen = std::collections::BTreeSet::new();
    for path in [
        "/apikeys",
        "/apikeys",
        "/apikeys/nope",
        "/nowhere",
        "/whoami",
    ] {
        let id = api.request_id(path).await;
        assert_eq!(id.len(), 36, "{id}");
        assert!(seen.insert(id), "{path}");
    }
}

async fn a_position_of_one_list_is_taken_by_no_other(kind: Kind) {
    let api = Api::new(kind).await;
    let mut plans = Vec::new();
    for _ in 0..2 {
        let plan = api.post("/usageplans", json!({ "name": "p" })).await;
        plans.push(text(&plan["id"]));
    }
    let mut keys = Vec::new();
    for _ in 0..2 {
        let key = api
            .key(json!({ "name": "name", "customerId": "acme" }))
            .await;
        for plan in &plans {
            let link = json!({ "keyId": key, "keyType": "API_KEY" });
            api.post(&format!("/usageplans/{plan}/keys"), link).await;
        }
        keys.push(key);
    }
    let mut lists = vec![
        "/apikeys?".to_owned(),
        "/apikeys?name=na&".to_owned(),
        "/apikeys?name=name&".to_owned(),
        "/apikeys?customerId=acme&".to_owned(),
        "/apikeys?customerId=acme&name=na&".to_owned(),
        "/usageplans?".to_owned(),
    ];
    lists.extend(keys.iter().map(|key| format!("/usageplans?keyId={key}&")));
    for plan in &plans {
        let of = format!("/usageplans/{plan}");
        lists.push(format!("{of}/keys?"));
        lists.push(format!("{of}/keys?name=na&"));
        lists.push(format!("{of}/capacity?"));
        lists.push(format!(
            "{of}/usage?startDate=2026-01-01&endDate=2026-01-01&"
        ));
    }
    for of in &lists {
        let page = api.get(&format!("{of}limit=1")).await;
        let position = text(&page["position"]);
        for list in &lists {
            let expected = if list == of { 200 } else { 400 };
            let path = format!("{list}limit=1&position={position}");
            let answer = api.call(expected, Method::GET, &path, Value::Null).await;
            if list != of {
                assert!(text(&answer["message"]).starts_with("Invalid position specified"));
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restriction_names_stages_that_plans_can_have() {
    let api = Api::embedded().await;
    let key = api.key(json!({})).await;
    let path = format!("/apikeys/{key}");
    for stage in ["a", ":s", "a:", "a:s:t", "a b:s", "a:\u{e9}", "a/b:s"] {
        let restriction = json!({ stage: [] });
        let body = json!({ "tollgate": { "restriction": restriction } });
        let refused = api.call(400, Method::POST, "/apikeys", body).await;
        assert!(text(&refused["message"]).contains("expected apiId:stage"));
        let value = restriction.to_string();
        let operation = ["replace", "/tollgate/restriction", value.as_str()];
        api.patch(400, &path, &[operation]).await;
    }
    let good = json!({ "tollgate": { "restriction": { "a:$default": [] } } });
    api.post("/apikeys", good).await;
}
