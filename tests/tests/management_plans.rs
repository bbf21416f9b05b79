//! Usage plans, their keys and their usage on the wire.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use std::collections::BTreeSet;

use axum::http::Method;
use serde_json::{Value, json};
use tollgate_tests::api::{Api, ids, members, text};
use tollgate_tests::on_both_stores;
use tollgate_tests::stores::Kind;

on_both_stores!(
    keys_of_a_plan_are_linked_listed_and_unlinked,
    usage_has_a_pair_for_every_day_of_the_range,
    the_plans_of_a_key_are_paged,
);

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_is_made_changed_and_deleted() {
    let api = Api::embedded().await;
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

#[tokio::test(flavor = "multi_thread")]
async fn a_patch_applies_whole_or_not_at_all() {
    let api = Api::embedded().await;
    let plan = api.post("/usageplans", json!({ "name": "p" })).await;
    let path = format!("/usageplans/{}", text(&plan["id"]));
    for wrong in [
        ["replace", "/quota/limit", "5"],
        ["replace", "/throttle/rateLimit", "-1"],
        ["replace", "/throttle/burstLimit", "1.5"],
        ["replace", "/throttle/rateLimit", "fast"],
        ["replace", "/name", ""],
        ["remove", "/apiStages", "a"],
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
    for (stage, named) in [("a:s", "api: a, stage: s"), ("a:b:c", "api: a, stage: b:c")] {
        let gone = api
            .patch(404, &path, &[["remove", "/apiStages", stage]])
            .await;
        let id = text(&plan["id"]);
        assert_eq!(
            gone["message"],
            json!(format!(
                "Invalid API Stage {{{named}}} specified for usageplan {id}"
            ))
        );
    }
    for (missing, stage) in [
        ("apiId", json!({ "apiId": "", "stage": "s" })),
        ("stage", json!({ "apiId": "a" })),
    ] {
        let body = json!({ "name": "p", "apiStages": [stage] });
        let refused = api.call(400, Method::POST, "/usageplans", body).await;
        assert_eq!(
            refused["message"],
            json!(format!(
                "Invalid API Stage specified: each of apiStages needs {missing}, which must not be empty"
            ))
        );
    }
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
    let unknown = api.call(404, Method::GET, &unknown, Value::Null).await;
    assert_eq!(unknown["message"], "Invalid Key identifier specified");
    assert_eq!(unknown["__type"], "NotFoundException");
    let outside = api.key(json!({})).await;
    let day = "startDate=2026-01-01&endDate=2026-01-01";
    let outside = path(&plan, &format!("{day}&keyId={outside}"));
    api.get(&outside).await;
}

async fn the_plans_of_a_key_are_paged(kind: Kind) {
    let api = Api::new(kind).await;
    let key = api.key(json!({})).await;
    let mut made = Vec::new();
    for _ in 0..6 {
        let plan = text(&api.post("/usageplans", json!({ "name": "p" })).await["id"]);
        api.post(
            &format!("/usageplans/{plan}/keys"),
            json!({ "keyId": key, "keyType": "API_KEY" }),
        )
        .await;
        made.insert(0, plan);
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
        // The position is that of a plan which the key is taken out of.
        let last = &seen[seen.len() - 1];
        api.delete(&format!("/usageplans/{last}/keys/{key}")).await;
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
