//! Keys from CSV files, and tags.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use aws_sdk_dynamodb::types::AttributeValue;
use axum::http::Method;
use serde_json::{Value, json};
use tollgate_core::calendar::PeriodKind;
use tollgate_core::verdict::Reason;
use tollgate_dynamo::item::ItemKey;
use tollgate_tests::api::{Api, text};
use tollgate_tests::on_both_stores;
use tollgate_tests::stores::Kind;
use tollgate_tests::world::{PATIENT, admin, decide, engine, make_plan, plan, used};

on_both_stores!(many_rows_are_imported_and_again_to_the_same);

/// An import: its status and its answer.
async fn import(api: &Api, query: &str, file: &str) -> (u16, Value) {
    let path = format!("/apikeys?mode=import&format=csv{query}");
    let (status, answer, _) = api.raw(Method::POST, &path, file.to_owned()).await;
    (status.as_u16(), answer)
}

fn value(number: usize) -> String {
    format!("imported-value-number-{number:05}")
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_from_a_file_work_at_once_and_are_answered_in_the_order_of_their_rows() {
    let api = Api::embedded().await;
    let admin = admin(&api.store).await;
    let one = make_plan(&admin, plan(None, Some((2, PeriodKind::Day)))).await;
    let mut elsewhere = plan(None, None);
    "other".clone_into(&mut elsewhere.stages[0].stage);
    let two = make_plan(&admin, elsewhere).await;
    let file = format!(
        "name,key,usageplanids,description\nfirst,{},\"{},{}\",about\nsecond,{},,\nthird,{},{},\n",
        value(1),
        one.id,
        two.id,
        value(2),
        value(3),
        one.id
    );
    let (status, answer) = import(&api, "", &file).await;
    assert_eq!(status, 201, "{answer}");
    assert_eq!(answer["warnings"], json!([]));
    let ids = answer["ids"].as_array().unwrap();
    let mut names = Vec::new();
    for id in ids {
        let key = api.get(&format!("/apikeys/{}", id.as_str().unwrap())).await;
        assert_eq!(key["enabled"], json!(true));
        names.push(text(&key["name"]));
    }
    assert_eq!(names, ["first", "second", "third"]);
    let plans = api
        .get(&format!("/usageplans?keyId={}", text(&ids[0])))
        .await;
    assert_eq!(plans["item"].as_array().unwrap().len(), 2);
    let keys = api.get(&format!("/usageplans/{}/keys", one.id)).await;
    assert_eq!(keys["item"].as_array().unwrap().len(), 2);

    let engine = engine(&api.store, PATIENT).await;
    let mut reasons = Vec::new();
    for _ in 0..3 {
        reasons.push(decide(&engine, &value(1)).await);
    }
    assert_eq!(reasons, [Reason::Ok, Reason::Ok, Reason::Quota]);
    assert_eq!(decide(&engine, &value(2)).await, Reason::NotInPlan);
    let yesterday = tollgate_core::calendar::day_of(admin.now())
        .yesterday()
        .unwrap();
    assert_eq!(
        used(&admin, &one.id, &text(&ids[0]).into(), yesterday).await,
        2
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_is_there_already_stays_with_its_key_which_is_changed() {
    let api = Api::embedded().await;
    let admin = admin(&api.store).await;
    let plan = make_plan(&admin, plan(None, None)).await;
    let key = api
        .key(json!({ "name": "old", "description": "kept", "enabled": true, "value": value(1) }))
        .await;
    let file = format!(
        "Name,Key,Enabled,UsagePlanIds\nnew,{},no,{}\n",
        value(1),
        plan.id
    );
    let (status, answer) = import(&api, "", &file).await;
    assert_eq!((status, &answer["ids"]), (201, &json!([key])));
    let changed = api.get(&format!("/apikeys/{key}")).await;
    assert_eq!(
        (
            &changed["name"],
            &changed["description"],
            &changed["enabled"]
        ),
        (&json!("new"), &json!("kept"), &json!(false))
    );
    let engine = engine(&api.store, PATIENT).await;
    assert_eq!(decide(&engine, &value(1)).await, Reason::Disabled);
    assert_eq!(
        api.get("/apikeys").await["item"].as_array().unwrap().len(),
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn warnings_name_the_row_and_with_failonwarnings_nothing_is_imported() {
    let api = Api::embedded().await;
    let file = format!(
        "Name,Key,UsagePlanIds\na,{},nosuchplan\nb,short,\nc,{},\nd,{},\n",
        value(1),
        value(1),
        value(2)
    );
    let (status, error) = import(&api, "&failonwarnings=true", &file).await;
    assert_eq!(
        (status, &error["__type"]),
        (400, &json!("BadRequestException"))
    );
    assert!(text(&error["message"]).starts_with("Nothing was imported: row 2: "));
    assert_eq!(api.get("/apikeys").await["item"], json!([]));

    let (status, answer) = import(&api, "&failonwarnings=false", &file).await;
    assert_eq!((status, answer["ids"].as_array().unwrap().len()), (201, 2));
    let warnings: Vec<_> = answer["warnings"]
        .as_array()
        .unwrap()
        .iter()
        .map(text)
        .collect();
    assert_eq!(
        warnings,
        [
            "row 2: API Key value should be at least 20 characters; left out",
            "row 3: has the Key of row 1; left out",
            "row 1: there is no usage plan nosuchplan; the key is not put into it",
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_read_is_refused() {
    let api = Api::embedded().await;
    for (query, file, message) in [
        (
            "mode=import&format=csv",
            "Name\nn\n",
            "Missing required column 'Key'",
        ),
        (
            "mode=import&format=csv",
            "Name,Key\nn\n",
            "row 1 (line 2): expected 2 columns",
        ),
        (
            "mode=import&format=csv",
            "",
            "Missing required column 'Name'",
        ),
        (
            "mode=import&format=json",
            "Name,Key\n",
            "expected csv, got \"json\"",
        ),
        ("mode=import", "Name,Key\n", "format is required"),
        (
            "mode=export&format=csv",
            "Name,Key\n",
            "expected import, got \"export\"",
        ),
    ] {
        let path = format!("/apikeys?{query}");
        let (status, error, _) = api.raw(Method::POST, &path, file.to_owned()).await;
        assert_eq!(status.as_u16(), 400);
        assert!(text(&error["message"]).contains(message), "{error}");
    }
    let (status, answer) = import(&api, "", "Key,Name\n").await;
    assert_eq!(
        (status, answer),
        (201, json!({ "ids": [], "warnings": [] }))
    );
}

async fn many_rows_are_imported_and_again_to_the_same(kind: Kind) {
    let api = Api::new(kind).await;
    let admin = admin(&api.store).await;
    let plan = make_plan(&admin, plan(None, Some((10, PeriodKind::Month)))).await;
    let rows = (0..250).map(|number| format!("key {number},{},{}\n", value(number), plan.id));
    let file = format!("Name,Key,UsagePlanIds\n{}", rows.collect::<String>());
    let (status, first) = import(&api, "&failonwarnings=true", &file).await;
    assert_eq!(status, 201, "{first}");
    let (status, again) = import(&api, "&failonwarnings=true", &file).await;
    assert_eq!(status, 201, "{again}");
    assert_eq!(first["ids"], again["ids"]);
    assert_eq!(first["ids"].as_array().unwrap().len(), 250);
    let engine = engine(&api.store, PATIENT).await;
    for number in [0, 99, 100, 249] {
        assert_eq!(decide(&engine, &value(number)).await, Reason::Ok);
    }
    let linked = api
        .get(&format!("/usageplans/{}/keys?limit=500", plan.id))
        .await;
    assert_eq!(linked["item"].as_array().unwrap().len(), 250);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_row_says_nothing_of_stays_as_it_is() {
    let api = Api::embedded().await;
    let new = json!({ "name": "n", "description": "d", "enabled": false, "value": value(1) });
    let key = api.key(new).await;
    for file in [
        format!("Name,Key\n,{}\n", value(1)),
        format!("Name,Key,Enabled,Description\n,{},,\n", value(1)),
    ] {
        assert_eq!(import(&api, "&failonwarnings=true", &file).await.0, 201);
        let shown = api.get(&format!("/apikeys/{key}")).await;
        let fields = (&shown["name"], &shown["description"], &shown["enabled"]);
        assert_eq!(fields, (&json!("n"), &json!("d"), &json!(false)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_failonwarnings_a_stage_that_is_taken_keeps_everything_as_it_is() {
    let api = Api::embedded().await;
    let admin = admin(&api.store).await;
    let one = make_plan(&admin, plan(None, None)).await;
    let two = make_plan(&admin, plan(None, None)).await;
    let key = api.key(json!({ "name": "old", "value": value(1) })).await;
    admin.link(&one.id, &key.as_str().into()).await.unwrap();
    let file = format!(
        "Name,Key,Enabled,UsagePlanIds\nnew,{},true,{}\nother,{},true,\n",
        value(1),
        two.id,
        value(2)
    );
    let (status, error) = import(&api, "&failonwarnings=true", &file).await;
    assert_eq!(status, 400);
    let message = text(&error["message"]);
    assert!(
        message.contains("opens API stage api:prod as another plan"),
        "{message}"
    );
    let shown = api.get(&format!("/apikeys/{key}")).await;
    assert_eq!(
        (&shown["name"], &shown["enabled"]),
        (&json!("old"), &json!(false))
    );
    assert_eq!(
        api.get("/apikeys").await["item"].as_array().unwrap().len(),
        1
    );
}

/// Sets a switch in a key's record and nothing else, as a call leaves it that got no further.
async fn only_record(api: &Api, key: &str, name: &str, value: bool) {
    let update = api.store.client().await.update_item();
    update
        .table_name(&api.store.table)
        .set_key(Some(ItemKey::key(&key.into()).attributes()))
        .update_expression(format!("SET {name} = :value, revision = revision + :one"))
        .expression_attribute_values(":one", AttributeValue::N("1".to_owned()))
        .expression_attribute_values(":value", AttributeValue::Bool(value))
        .send()
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_makes_good_a_disabling_that_was_interrupted() {
    let api = Api::embedded().await;
    let admin = admin(&api.store).await;
    let one = make_plan(&admin, plan(None, None)).await;
    let key = api.key(json!({ "enabled": true, "value": value(1) })).await;
    admin.link(&one.id, &key.as_str().into()).await.unwrap();
    let engine = engine(&api.store, PATIENT).await;
    assert_eq!(decide(&engine, &value(1)).await, Reason::Ok);
    only_record(&api, &key, "enabled", false).await;
    // The meter has not been told.
    assert_eq!(decide(&engine, &value(1)).await, Reason::Ok);
    let file = format!("Name,Key,Enabled\n,{},false\n", value(1));
    assert_eq!(import(&api, "", &file).await.0, 201);
    assert_eq!(decide(&engine, &value(1)).await, Reason::Disabled);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_being_deleted_is_left_out_with_a_warning() {
    let api = Api::embedded().await;
    let key = api.key(json!({ "value": value(1) })).await;
    only_record(&api, &key, "deleted", true).await;
    let file = format!("Name,Key\na,{}\nb,{}\n", value(1), value(2));
    let (status, answer) = import(&api, "", &file).await;
    assert_eq!((status, answer["ids"].as_array().unwrap().len()), (201, 1));
    let warning = text(&answer["warnings"][0]);
    assert!(warning.starts_with("row 1: its Key belongs to a key that is being deleted"));
    api.delete(&format!("/apikeys/{key}")).await;
    let (status, answer) = import(&api, "&failonwarnings=true", &file).await;
    assert_eq!((status, answer["ids"].as_array().unwrap().len()), (201, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_with_too_many_plans_and_a_key_in_the_wrong_column_are_warned_of() {
    let api = Api::embedded().await;
    let many: Vec<_> = (0..99).map(|number| format!("plan{number}")).collect();
    let secret = "a-secret-value-in-the-wrong-column";
    let file = format!(
        "Name,Key,UsagePlanIds\na,{},\"{}\"\nb,{},{secret}\n",
        value(1),
        many.join(","),
        value(2)
    );
    let (status, answer) = import(&api, "", &file).await;
    assert_eq!((status, answer["ids"].as_array().unwrap().len()), (201, 1));
    assert_eq!(
        answer["warnings"][0],
        "row 1: names more than 50 usage plans; left out"
    );
    assert!(!answer.to_string().contains(secret), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_are_put_on_keys_and_plans_and_taken_off() {
    let api = Api::embedded().await;
    let key = api.key(json!({ "tags": { "a": "1" } })).await;
    let plan = text(&api.post("/usageplans", json!({ "name": "p" })).await["id"]);
    for (resource, id, before) in [
        ("apikeys", &key, json!({ "a": "1" })),
        ("usageplans", &plan, json!({})),
    ] {
        // As boto3 sends it, and as it stands.
        let encoded = format!("/tags/arn%3Aaws%3Aapigateway%3Aus-east-1%3A%3A%2F{resource}%2F{id}");
        let raw = format!("/tags/arn:aws:apigateway:us-east-1::/{resource}/{id}");
        assert_eq!(api.get(&encoded).await, json!({ "tags": before }));
        let body = json!({ "tags": { "a": "2", "b c": "3" } });
        api.call(204, Method::PUT, &raw, body).await;
        let shown = api.get(&format!("/{resource}/{id}")).await;
        assert_eq!(shown["tags"], json!({ "a": "2", "b c": "3" }));
        let off = format!("{encoded}?tagKeys=b%20c&tagKeys=nosuchtag");
        api.call(204, Method::DELETE, &off, Value::Null).await;
        assert_eq!(api.get(&raw).await, json!({ "tags": { "a": "2" } }));
        api.call(400, Method::DELETE, &raw, Value::Null).await;
        api.call(400, Method::PUT, &raw, json!({})).await;
        api.call(400, Method::PUT, &raw, json!({ "tags": { "": "x" } }))
            .await;
        assert_eq!(api.get(&raw).await, json!({ "tags": { "a": "2" } }));
    }
    for (status, arn) in [
        (404, "arn:aws:apigateway:us-east-1::/apikeys/nosuchkey"),
        (404, "arn:aws:apigateway:us-east-1::/usageplans/nosuchplan"),
        (400, "arn:aws:apigateway:us-east-1::/restapis/x"),
        (400, "nothing"),
    ] {
        api.call(status, Method::GET, &format!("/tags/{arn}"), Value::Null)
            .await;
    }
}
