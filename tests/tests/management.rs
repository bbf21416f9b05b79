//! The management API on the wire: shapes, codes, paging, errors, and that bad input changes nothing.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tollgate_core::verdict::Reason;
use tollgate_tests::on_both_stores;
use tollgate_tests::proxy::{Fault, Proxy};
use tollgate_tests::stores::{Kind, Store};
use tollgate_tests::world::{decide, manager};
use tower::ServiceExt;

on_both_stores!(
    a_key_is_made_shown_changed_and_deleted,
    a_value_is_shown_once_and_only_its_hash_is_kept,
    keys_are_listed_newest_first_by_name_and_by_customer,
    pages_hold_while_keys_are_made_and_deleted_between_them,
    a_plan_is_made_changed_and_deleted,
    a_patch_applies_whole_or_not_at_all,
    keys_of_a_plan_are_linked_listed_and_unlinked,
    usage_has_a_pair_for_every_day_of_the_range,
    bad_input_is_told_what_was_expected_and_changes_nothing,
    unknown_routes_and_methods_and_bodies_have_their_codes,
    a_deletion_that_was_interrupted_is_taken_up_again,
    a_link_that_was_interrupted_is_finished_by_the_next_call,
    an_unlinking_that_was_interrupted_revokes_with_the_next_change,
    a_key_linked_to_two_plans_of_one_stage_at_once_gets_into_one,
    the_plans_of_a_key_are_paged,
    a_damaged_item_is_left_out_of_lists_and_told_when_asked_for,
    changes_at_the_same_time_all_count,
);

struct Api {
    app: Router,
    store: Store,
}

impl Api {
    async fn new(kind: Kind) -> Self {
        let store = Store::new(kind).await;
        Self::on(store).await
    }

    async fn on(store: Store) -> Self {
        let app = tollgate_keys::app(Arc::new(manager(&store).await));
        Self { app, store }
    }

    async fn raw(&self, method: Method, path: &str, body: String) -> (StatusCode, Value, String) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .body(Body::from(body))
            .unwrap();
        let response = self.app.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let error = response
            .headers()
            .get("x-amzn-ErrorType")
            .map(|name| name.to_str().unwrap().to_owned());
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        (status, body, error.unwrap_or_default())
    }

    /// A call that must be answered with this status.
    async fn call(&self, expected: u16, method: Method, path: &str, body: Value) -> Value {
        let text = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let (status, answer, error) = self.raw(method, path, text).await;
        assert_eq!(status.as_u16(), expected, "{path} {body}: {answer}");
        if expected >= 400 {
            assert_eq!(answer["__type"], json!(error));
            assert!(
                answer["message"]
                    .as_str()
                    .is_some_and(|message| !message.is_empty())
            );
        }
        answer
    }

    async fn get(&self, path: &str) -> Value {
        self.call(200, Method::GET, path, Value::Null).await
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        self.call(201, Method::POST, path, body).await
    }

    async fn delete(&self, path: &str) {
        self.call(202, Method::DELETE, path, Value::Null).await;
    }

    async fn patch(&self, expected: u16, path: &str, operations: &[[&str; 3]]) -> Value {
        let operations: Vec<_> = operations
            .iter()
            .map(|[op, path, value]| json!({ "op": op, "path": path, "value": value }))
            .collect();
        self.call(
            expected,
            Method::PATCH,
            path,
            json!({ "patchOperations": operations }),
        )
        .await
    }

    async fn key(&self, body: Value) -> String {
        text(&self.post("/apikeys", body).await["id"])
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn ids(list: &Value) -> Vec<String> {
    list["item"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| text(&item["id"]))
        .collect()
}

fn members(value: &Value) -> BTreeSet<&str> {
    value
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect()
}

async fn a_key_is_made_shown_changed_and_deleted(kind: Kind) {
    let api = Api::new(kind).await;
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

async fn a_value_is_shown_once_and_only_its_hash_is_kept(kind: Kind) {
    let api = Api::new(kind).await;
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

    let mut even = ids(&api.get("/apikeys?name=Even").await);
    even.reverse();
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

async fn a_plan_is_made_changed_and_deleted(kind: Kind) {
    let api = Api::new(kind).await;
    let bare = api.post("/usageplans", json!({ "name": "bare" })).await;
    assert_eq!(members(&bare), BTreeSet::from(["id", "name", "apiStages"]));
    assert_eq!(bare["apiStages"], json!([]));
    let body = json!({ "name": "p", "description": "d", "tags": { "a": "b" },
        "apiStages": [{ "apiId": "a", "stage": "s", "throttle": { "/pets/GET": { "rateLimit": 1, "burstLimit": 2 } } }],
        "throttle": { "rateLimit": 10, "burstLimit": 5 }, "quota": { "limit": 7, "period": "WEEK" } });
    let plan = api.post("/usageplans", body).await;
    assert_eq!(
        plan["throttle"],
        json!({ "rateLimit": 10.0, "burstLimit": 5 })
    );
    assert_eq!(
        plan["quota"],
        json!({ "limit": 7, "offset": 0, "period": "WEEK" })
    );
    assert_eq!(
        plan["apiStages"][0]["throttle"],
        json!({ "/pets/GET": { "rateLimit": 1.0, "burstLimit": 2 } })
    );
    let id = text(&plan["id"]);
    let path = format!("/usageplans/{id}");
    assert_eq!(api.get(&path).await, plan);
    assert_eq!(
        ids(&api.get("/usageplans").await),
        [id.clone(), text(&bare["id"])]
    );
    assert!(
        api.get("/usageplans").await["item"][0]
            .get("tags")
            .is_none()
    );

    let operations = [
        ["replace", "/name", "q"],
        ["add", "/apiStages", "b:t"],
        [
            "replace",
            "/apiStages/b:t/throttle/~1x~1{y}/ANY/rateLimit",
            "3.5",
        ],
        ["remove", "/apiStages/a:s/throttle/~1pets/GET", ""],
        ["replace", "/quota/offset", "6"],
        ["remove", "/throttle", ""],
        ["replace", "/productCode", "code"],
    ];
    let changed = api.patch(200, &path, &operations).await;
    assert_eq!(
        changed["apiStages"][1]["throttle"],
        json!({ "/x/{y}/ANY": { "rateLimit": 3.5 } })
    );
    assert!(changed.get("throttle").is_none() && changed["apiStages"][0].get("throttle").is_none());
    assert_eq!(
        (&changed["quota"]["offset"], &changed["productCode"]),
        (&json!(6), &json!("code"))
    );
    assert_eq!(api.get(&path).await, changed);

    let error = api.call(400, Method::DELETE, &path, Value::Null).await;
    assert_eq!(
        error["message"],
        json!(format!(
            "Cannot delete Usage Plan {id} because there are API Stages associated with it, including a:s"
        ))
    );
    let key = api.key(json!({})).await;
    api.post(
        &format!("{path}/keys"),
        json!({ "keyId": key, "keyType": "API_KEY" }),
    )
    .await;
    api.patch(
        200,
        &path,
        &[
            ["remove", "/apiStages", "a:s"],
            ["remove", "/apiStages", "b:t"],
        ],
    )
    .await;
    api.delete(&path).await;
    let gone = api.call(404, Method::GET, &path, Value::Null).await;
    assert_eq!(gone["message"], "Invalid Usage Plan ID specified");
    assert_eq!(
        api.get(&format!("/usageplans?keyId={key}")).await,
        json!({ "item": [] })
    );
}

async fn a_patch_applies_whole_or_not_at_all(kind: Kind) {
    let api = Api::new(kind).await;
    let plan = api.post("/usageplans", json!({ "name": "p" })).await;
    let path = format!("/usageplans/{}", text(&plan["id"]));
    for wrong in [
        ["replace", "/quota/limit", "5"],
        ["replace", "/throttle/rateLimit", "-1"],
        ["replace", "/throttle/burstLimit", "1.5"],
        ["replace", "/throttle/rateLimit", "fast"],
        ["replace", "/name", ""],
        ["remove", "/apiStages", "a:s"],
        ["add", "/apiStages", "as"],
        ["replace", "/apiStages/a:s/throttle/~1x/GET/rateLimit", "1"],
        ["remove", "/name", ""],
        ["copy", "/name", "x"],
        ["replace", "/quota/period", "YEAR"],
    ] {
        api.patch(400, &path, &[["replace", "/description", "changed"], wrong])
            .await;
    }
    let mut shown = api.get(&path).await;
    shown.as_object_mut().unwrap().remove("tags");
    assert_eq!(shown, plan);
    let both = [
        ["replace", "/quota/limit", "5"],
        ["replace", "/quota/period", "MONTH"],
    ];
    let changed = api.patch(200, &path, &both).await;
    assert_eq!(
        changed["quota"],
        json!({ "limit": 5, "offset": 0, "period": "MONTH" })
    );
}

async fn keys_of_a_plan_are_linked_listed_and_unlinked(kind: Kind) {
    let api = Api::new(kind).await;
    let plan = text(&api.post("/usageplans", json!({ "name": "p" })).await["id"]);
    let path = format!("/usageplans/{plan}/keys");
    assert_eq!(api.get(&path).await, json!({ "item": [] }));
    assert_eq!(
        api.get("/usageplans/nope/keys").await,
        json!({ "item": [] })
    );
    let mut keys = Vec::new();
    for number in 0..5 {
        let key = api.key(json!({ "name": format!("n{number}") })).await;
        let linked = api
            .post(&path, json!({ "keyId": key, "keyType": "API_KEY" }))
            .await;
        assert_eq!(
            linked,
            json!({ "id": key, "type": "API_KEY", "name": format!("n{number}") })
        );
        keys.insert(0, key);
    }
    assert_eq!(ids(&api.get(&path).await), keys);
    assert_eq!(
        ids(&api.get(&format!("{path}?name=n3")).await),
        [keys[1].clone()]
    );
    let first = api.get(&format!("{path}?limit=2")).await;
    assert_eq!(ids(&first), keys[..2]);
    let rest = api
        .get(&format!(
            "{path}?limit=9&position={}",
            text(&first["position"])
        ))
        .await;
    assert_eq!(ids(&rest), keys[2..]);
    assert_eq!(
        api.get(&format!("{path}/{}", keys[0])).await["id"],
        json!(keys[0])
    );
    assert_eq!(
        ids(&api.get(&format!("/usageplans?keyId={}", keys[0])).await),
        std::slice::from_ref(&plan)
    );

    let again = api
        .call(
            409,
            Method::POST,
            &path,
            json!({ "keyId": keys[0], "keyType": "API_KEY" }),
        )
        .await;
    assert_eq!(again["__type"], "ConflictException");
    api.call(
        404,
        Method::POST,
        &path,
        json!({ "keyId": "nope", "keyType": "API_KEY" }),
    )
    .await;
    api.call(
        404,
        Method::POST,
        "/usageplans/nope/keys",
        json!({ "keyId": keys[0], "keyType": "API_KEY" }),
    )
    .await;

    api.delete(&format!("{path}/{}", keys[0])).await;
    api.call(
        404,
        Method::DELETE,
        &format!("{path}/{}", keys[0]),
        Value::Null,
    )
    .await;
    api.call(
        404,
        Method::GET,
        &format!("{path}/{}", keys[0]),
        Value::Null,
    )
    .await;
    api.delete(&format!("/apikeys/{}", keys[1])).await;
    assert_eq!(ids(&api.get(&path).await), keys[2..]);
    api.post(&path, json!({ "keyId": keys[0], "keyType": "API_KEY" }))
        .await;
    assert_eq!(ids(&api.get(&path).await)[0], keys[0]);
}

async fn usage_has_a_pair_for_every_day_of_the_range(kind: Kind) {
    let api = Api::new(kind).await;
    let quota = json!({ "limit": 5, "period": "DAY" });
    let plan = text(
        &api.post("/usageplans", json!({ "name": "p", "quota": quota }))
            .await["id"],
    );
    let free = text(&api.post("/usageplans", json!({ "name": "free" })).await["id"]);
    let key = api.key(json!({})).await;
    for plan in [&plan, &free] {
        api.post(
            &format!("/usageplans/{plan}/keys"),
            json!({ "keyId": key, "keyType": "API_KEY" }),
        )
        .await;
    }
    let path = |plan: &str, range: &str| format!("/usageplans/{plan}/usage?{range}");
    let usage = api
        .get(&path(&plan, "startDate=2026-11-01&endDate=2026-11-03"))
        .await;
    assert_eq!(
        usage,
        json!({ "usagePlanId": plan, "startDate": "2026-11-01", "endDate": "2026-11-03",
                "values": { key.clone(): [[0, 5], [0, 5], [0, 5]] } })
    );
    let one = api
        .get(&path(
            &free,
            &format!("startDate=2026-11-01&endDate=2026-11-01&keyId={key}"),
        ))
        .await;
    assert_eq!(one["values"], json!({ key: [[0, -1]] }));
    let ninety = api
        .get(&path(&plan, "startDate=2026-01-01&endDate=2026-03-31"))
        .await;
    assert_eq!(
        ninety["values"]
            .as_object()
            .unwrap()
            .values()
            .next()
            .unwrap()
            .as_array()
            .unwrap()
            .len(),
        90
    );
    for wrong in [
        "startDate=2026-01-01&endDate=2026-04-01",
        "startDate=2026-01-02&endDate=2026-01-01",
        "startDate=2026-01-01",
        "endDate=2026-01-01",
        "startDate=2026-1-1&endDate=2026-01-01",
        "startDate=2026-02-30&endDate=2026-03-01",
        "startDate=today&endDate=2026-03-01",
    ] {
        api.call(400, Method::GET, &path(&plan, wrong), Value::Null)
            .await;
    }
    api.call(
        404,
        Method::GET,
        &path("nope", "startDate=2026-01-01&endDate=2026-01-01"),
        Value::Null,
    )
    .await;
    let unknown = path(&plan, "startDate=2026-01-01&endDate=2026-01-01&keyId=nope");
    api.call(404, Method::GET, &unknown, Value::Null).await;
}

#[expect(clippy::too_many_lines, reason = "a table")]
async fn bad_input_is_told_what_was_expected_and_changes_nothing(kind: Kind) {
    let api = Api::new(kind).await;
    for (path, body, expected) in [
        (
            "/apikeys",
            json!({ "name": "n".repeat(1025) }),
            "Invalid API Key name, can be at most 1024 characters.",
        ),
        (
            "/apikeys",
            json!({ "description": "d".repeat(125_001) }),
            "Invalid API Key description specified.",
        ),
        (
            "/apikeys",
            json!({ "value": "short" }),
            "API Key value should be at least 20 characters",
        ),
        (
            "/apikeys",
            json!({ "value": "v".repeat(129) }),
            "API Key value exceeds maximum size of 128 characters",
        ),
        (
            "/apikeys",
            json!({ "value": "spaces are not allowed here" }),
            "API Key value must be visible ASCII",
        ),
        (
            "/apikeys",
            json!({ "value": "tg_not-one-that-was-generated" }),
            "API Key value starts with tg_",
        ),
        (
            "/apikeys",
            json!({ "customerId": "c".repeat(257) }),
            "Invalid customerId, can be at most 256 characters.",
        ),
        (
            "/apikeys",
            json!({ "description": "\u{1F600}".repeat(125_000) }),
            "Invalid API Key description specified.",
        ),
        (
            "/apikeys",
            json!({ "tags": { "": "v" } }),
            "Invalid tags: expected keys of 1 to 128",
        ),
        (
            "/apikeys",
            json!({ "tollgate": { "x": 1 } }),
            "Invalid value for tollgate.x: unknown field",
        ),
        (
            "/usageplans",
            json!({ "name": "p", "tollgate": { "typo": 1 } }),
            "Invalid value for tollgate.typo: unknown field",
        ),
        (
            "/usageplans",
            json!({ "name": "n".repeat(1025) }),
            "Invalid Usage Plan name, can be at most 1024",
        ),
        (
            "/usageplans",
            json!({ "name": "p", "throttle": { "rateLimit": 1e308 } }),
            "throttle: rateLimit must be 0 or a number",
        ),
        (
            "/apikeys",
            json!({ "enabled": "yes" }),
            "Invalid value for enabled: invalid type: string",
        ),
        (
            "/apikeys",
            json!({ "tags": { "a": 1 } }),
            "Invalid value for tags.a: invalid type: integer",
        ),
        ("/usageplans", json!({}), "Usage Plan name is required"),
        (
            "/usageplans",
            json!({ "name": "p", "throttle": { "rateLimit": -1 } }),
            "throttle: rateLimit must be 0 or a number",
        ),
        (
            "/usageplans",
            json!({ "name": "p", "throttle": { "burstLimit": -1 } }),
            "throttle.burstLimit must be a whole number from 0 to 2147483647, got -1",
        ),
        (
            "/usageplans",
            json!({ "name": "p", "throttle": { "burstLimit": 1.5 } }),
            "Invalid value for throttle.burstLimit",
        ),
        (
            "/usageplans",
            json!({ "name": "p", "quota": { "period": "DAY" } }),
            "quota.limit is required",
        ),
        (
            "/usageplans",
            json!({ "name": "p", "quota": { "limit": -1, "period": "DAY" } }),
            "quota.limit must be a whole number from 0 up, got -1",
        ),
        (
            "/usageplans",
            json!({ "name": "p", "quota": { "limit": 1 } }),
            "quota.period: expected DAY, WEEK or MONTH",
        ),
        (
            "/usageplans",
            json!({ "name": "p", "quota": { "limit": 1, "period": "WEEK", "offset": 9 } }),
            "quota offset for WEEK must be from 0 to 6, got 9",
        ),
        (
            "/usageplans",
            json!({ "name": "p", "apiStages": [{ "apiId": "a" }] }),
            "Invalid API Stage specified",
        ),
        (
            "/usageplans",
            json!({ "name": "p", "apiStages": [{ "apiId": "a", "stage": "s" }, { "apiId": "a", "stage": "s" }] }),
            "apiStages names a:s twice",
        ),
        (
            "/usageplans",
            json!({ "name": "p", "apiStages": [{ "apiId": "a", "stage": "s", "throttle": { "pets/GET": {} } }] }),
            "apiStages[a:s].throttle[pets/GET]: expected a method throttle key such as /pets/{id}/GET",
        ),
    ] {
        let error = api.call(400, Method::POST, path, body).await;
        let message = error["message"].as_str().unwrap();
        assert!(
            message.starts_with(expected),
            "{message:?} should start with {expected:?}"
        );
        assert_eq!(error["__type"], "BadRequestException");
    }
    for path in [
        "/apikeys?limit=many",
        "/apikeys?position=%21",
        "/usageplans?limit=1.5",
    ] {
        api.call(400, Method::GET, path, Value::Null).await;
    }
    let plan = text(&api.post("/usageplans", json!({ "name": "p" })).await["id"]);
    for body in [
        json!({}),
        json!({ "keyId": "k" }),
        json!({ "keyId": "k", "keyType": "OTHER" }),
    ] {
        api.call(400, Method::POST, &format!("/usageplans/{plan}/keys"), body)
            .await;
    }
    assert_eq!(api.get("/apikeys").await, json!({ "item": [] }));
    assert_eq!(ids(&api.get("/usageplans").await), [plan]);
}

async fn unknown_routes_and_methods_and_bodies_have_their_codes(kind: Kind) {
    let api = Api::new(kind).await;
    for path in ["/", "/apikey", "/usageplans/x/y", "/apikeys/x/y"] {
        let error = api.call(404, Method::GET, path, Value::Null).await;
        assert_eq!(error["__type"], "NotFoundException");
    }
    for (method, path) in [
        (Method::PUT, "/apikeys"),
        (Method::POST, "/apikeys/x"),
        (Method::DELETE, "/usageplans"),
        (Method::POST, "/usageplans/x/usage"),
    ] {
        api.call(405, method, path, Value::Null).await;
    }
    let long = "x".repeat(3_000);
    for path in [
        format!("/apikeys/{long}"),
        format!("/usageplans/{long}"),
        format!("/usageplans?keyId={long}"),
    ] {
        api.call(404, Method::GET, &path, Value::Null).await;
    }
    api.call(400, Method::GET, "/apikeys/%FF", Value::Null)
        .await;
    for body in ["{", "{} trailing", "name=n"] {
        let (status, error, _) = api.raw(Method::POST, "/apikeys", body.to_owned()).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert!(
            error["message"].as_str().unwrap().contains("expected JSON"),
            "{error}"
        );
    }
    for (path, body) in [
        ("/apikeys", json!([])),
        ("/apikeys", json!(["name"])),
        ("/usageplans", json!({ "name": "p", "throttle": [1, 2] })),
        (
            "/usageplans",
            json!({ "name": "p", "quota": [1, 0, "DAY"] }),
        ),
        (
            "/usageplans",
            json!({ "name": "p", "apiStages": [["a", "s"]] }),
        ),
    ] {
        api.call(400, Method::POST, path, body).await;
    }
    let (status, ..) = api
        .raw(
            Method::POST,
            "/apikeys",
            format!("\"{}\"", "x".repeat(3_000_000)),
        )
        .await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
}

/// An API whose store refuses, for good, the `n`th call from here on, and lets all others through.
async fn failing(kind: Kind) -> (Api, Proxy) {
    let store = Store::new(kind).await;
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

async fn a_deletion_that_was_interrupted_is_taken_up_again(kind: Kind) {
    let (api, proxy) = failing(kind).await;
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

async fn a_link_that_was_interrupted_is_finished_by_the_next_call(kind: Kind) {
    let (api, proxy) = failing(kind).await;
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
async fn an_unlinking_that_was_interrupted_revokes_with_the_next_change(kind: Kind) {
    let (api, proxy) = failing(kind).await;
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

async fn the_plans_of_a_key_are_paged(kind: Kind) {
    let api = Api::new(kind).await;
    let key = api.key(json!({})).await;
    let mut made = Vec::new();
    for _ in 0..5 {
        let plan = text(&api.post("/usageplans", json!({ "name": "p" })).await["id"]);
        api.post(
            &format!("/usageplans/{plan}/keys"),
            json!({ "keyId": key, "keyType": "API_KEY" }),
        )
        .await;
        made.push(plan);
    }
    let (mut seen, mut path) = (Vec::new(), format!("/usageplans?keyId={key}&limit=2"));
    loop {
        let page = api.get(&path).await;
        seen.extend(ids(&page));
        let Some(position) = page.get("position") else {
            break;
        };
        path = format!(
            "/usageplans?keyId={key}&limit=2&position={}",
            text(position)
        );
    }
    assert_eq!(seen, made);
    api.call(
        400,
        Method::GET,
        &format!("/usageplans?keyId={key}&position=nope"),
        Value::Null,
    )
    .await;
}

async fn a_damaged_item_is_left_out_of_lists_and_told_when_asked_for(kind: Kind) {
    use aws_sdk_dynamodb::types::AttributeValue;
    let api = Api::new(kind).await;
    let (good, bad) = (api.key(json!({})).await, api.key(json!({})).await);
    api.store
        .client()
        .await
        .update_item()
        .table_name(&api.store.table)
        .set_key(Some(
            tollgate_store::record::ItemKey::key(&bad).attributes(),
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
