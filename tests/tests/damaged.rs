//! Keys can be revoked although their items are damaged, contradict each other, or come from a later version.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use aws_sdk_dynamodb::types::AttributeValue;
use axum::http::Method;
use serde_json::{Value, json};
use tollgate_admin::Error;
use tollgate_core::calendar::PeriodKind;
use tollgate_core::verdict::Reason;
use tollgate_tests::api::{Api, text};
use tollgate_tests::on_both_stores;
use tollgate_tests::stores::{Kind, Store};
use tollgate_tests::world::{Key, PATIENT, admin, decide, engine, linked, make_plan, plan};

use crate::revoked::{QUOTA, admitted};

on_both_stores!(
    a_key_whose_meter_is_ahead_of_its_record_can_be_revoked,
    a_key_whose_record_cannot_be_read_can_be_revoked,
);

/// Changes an attribute of an item by hand; `None` takes it away.
pub(crate) async fn damage(
    store: &Store,
    item: (&str, &str),
    name: &str,
    value: Option<AttributeValue>,
) {
    let update = store.client().await.update_item().table_name(&store.table);
    let update = update
        .key("pk", AttributeValue::S(item.0.to_owned()))
        .key("sk", AttributeValue::S(item.1.to_owned()))
        .expression_attribute_names("#name", name);
    let update = match value {
        Some(value) => update
            .update_expression("SET #name = :value")
            .expression_attribute_values(":value", value),
        None => update.update_expression("REMOVE #name"),
    };
    update.send().await.unwrap();
}

pub(crate) fn key_item(key: &Key) -> String {
    format!("KEY#{}", key.record.id)
}

async fn a_key_whose_meter_is_ahead_of_its_record_can_be_revoked(kind: Kind) {
    for known in [
        "9",
        "18446744073709551614",
        "18446744073709551615",
        "no number",
    ] {
        for deletes in [false, true] {
            let store = Store::new(kind).await;
            let admin = admin(&store).await;
            let (plan, key) = linked(&admin, plan(None, None)).await;
            let (item, meter) = (key_item(&key), format!("METER#{}", plan.id));
            let ahead = match known {
                "no number" => AttributeValue::S(known.to_owned()),
                known => AttributeValue::N(known.to_owned()),
            };
            // As after a restore of the record alone: the instance has seen a later one.
            if known != "no number" {
                damage(&store, (&item, "KEY"), "revision", Some(ahead.clone())).await;
                damage(&store, (&item, &meter), "kr", Some(ahead.clone())).await;
            }
            let warm = engine(&store, PATIENT).await;
            assert_eq!(decide(&warm, &key.value).await, Reason::Ok, "{known}");
            if known == "no number" {
                damage(&store, (&item, &meter), "kr", Some(ahead)).await;
            }
            let before = AttributeValue::N("5".to_owned());
            damage(&store, (&item, "KEY"), "revision", Some(before)).await;
            let id = &key.record.id;
            if deletes {
                admin.delete_key(id).await.unwrap();
                assert_eq!(
                    decide(&warm, &key.value).await,
                    Reason::UnknownKey,
                    "{known}"
                );
                continue;
            }
            let switch = |on: bool| {
                admin.update_key(id, move |record| {
                    record.enabled = on;
                    Ok::<_, Error>(())
                })
            };
            switch(false).await.unwrap();
            assert_eq!(decide(&warm, &key.value).await, Reason::Disabled, "{known}");
            if known == "18446744073709551614" {
                // It has come to the end of its revisions: it can be deleted, and nothing else.
                switch(true).await.unwrap_err();
                admin.delete_key(id).await.unwrap();
                continue;
            }
            // It goes on living.
            switch(true).await.unwrap();
            assert_eq!(decide(&warm, &key.value).await, Reason::Ok, "{known}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_whose_record_is_one_change_behind_can_be_revoked() {
    let store = Store::embedded().await;
    let admin = admin(&store).await;
    let (_, key) = linked(&admin, plan(None, None)).await;
    let item = tollgate_dynamo::item::ItemKey::key(&key.record.id);
    let client = store.client().await;
    let read = client.get_item().table_name(&store.table);
    let read = read.set_key(Some(item.attributes())).consistent_read(true);
    let before = read.send().await.unwrap().item;
    let named = |record: &mut tollgate_dynamo::item::key::KeyRecord| {
        record.name = Some("later".to_owned());
        Ok::<_, Error>(())
    };
    admin.update_key(&key.record.id, named).await.unwrap();
    let warm = engine(&store, PATIENT).await;
    assert_eq!(decide(&warm, &key.value).await, Reason::Ok);
    // The record alone is put back to what it was before the last change.
    let put = client.put_item().table_name(&store.table).set_item(before);
    put.send().await.unwrap();
    let off = |record: &mut tollgate_dynamo::item::key::KeyRecord| {
        record.enabled = false;
        Ok::<_, Error>(())
    };
    admin.update_key(&key.record.id, off).await.unwrap();
    assert_eq!(decide(&warm, &key.value).await, Reason::Disabled);
}

async fn a_key_whose_record_cannot_be_read_can_be_revoked(kind: Kind) {
    let number = |text: &str| Some(AttributeValue::N(text.to_owned()));
    let damages = [
        ("enabled", None),
        ("created", Some(AttributeValue::S("yesterday".to_owned()))),
        ("revision", number("18446744073709551616")),
        ("revision", number("18446744073709551615")),
        ("v", number("2")),
    ];
    for (name, value) in damages {
        for way in ["disable", "unlink", "delete"] {
            let store = Store::new(kind).await;
            let (api, admin) = Api::managed(&store).await;
            let (plan, key) = linked(&admin, plan(None, Some((QUOTA, PeriodKind::Month)))).await;
            let warm = engine(&store, PATIENT).await;
            assert_eq!(admitted(&warm, &key.value, 2).await, 2);
            // Less is left than the quota says.
            let id = &key.record.id;
            admin.set_remaining(&plan.id, id, 1).await.unwrap();
            assert_eq!(admitted(&warm, &key.value, 0).await, 0);
            damage(&store, (&key_item(&key), "KEY"), name, value.clone()).await;
            let what = format!("{name} {value:?} {way}");
            match way {
                "disable" => {
                    let off = json!({ "patchOperations": [{ "op": "replace", "path": "/enabled", "value": "false" }] });
                    let (status, answer, _) =
                        api.raw(Method::PATCH, &key.path(), off.to_string()).await;
                    let heals = matches!(name, "enabled" | "revision");
                    assert_eq!(
                        status.as_u16(),
                        if heals { 200 } else { 500 },
                        "{what} {answer}"
                    );
                    assert_eq!(
                        answer["enabled"],
                        if heals { json!(false) } else { Value::Null },
                        "{what}"
                    );
                }
                "unlink" => {
                    let path = format!("/usageplans/{}/keys/{}", plan.id, key.record.id);
                    let (status, answer, _) = api.raw(Method::DELETE, &path, String::new()).await;
                    assert_eq!(status.as_u16(), 202, "{what} {answer}");
                }
                _ => {
                    let (status, answer, _) =
                        api.raw(Method::DELETE, &key.path(), String::new()).await;
                    assert_eq!(status.as_u16(), 202, "{what} {answer}");
                    assert_eq!(
                        api.raw(Method::GET, &key.path(), String::new())
                            .await
                            .0
                            .as_u16(),
                        404,
                        "{what}"
                    );
                }
            }
            for engine in [&warm, &engine(&store, PATIENT).await] {
                assert_ne!(decide(engine, &key.value).await, Reason::Ok, "{what}");
            }
            if way == "disable" && name == "enabled" {
                let on = |record: &mut tollgate_dynamo::item::key::KeyRecord| {
                    record.enabled = true;
                    Ok::<_, Error>(())
                };
                admin.update_key(&key.record.id, on).await.unwrap();
                assert_eq!(
                    admitted(&warm, &key.value, 9).await,
                    1,
                    "{what}: usage is kept"
                );
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_plan_or_meter_takes_nothing_from_the_keys_sound_plans() {
    let store = Store::embedded().await;
    let (api, admin) = Api::managed(&store).await;
    let mut elsewhere = plan(None, None);
    "dev".clone_into(&mut elsewhere.stages[0].stage);
    let (broken, key) = linked(&admin, elsewhere).await;
    let sound = make_plan(&admin, plan(None, None)).await;
    admin.link(&sound.id, &key.record.id).await.unwrap();
    let warm = engine(&store, PATIENT).await;
    assert_eq!(decide(&warm, &key.value).await, Reason::Ok);
    let plan_item = format!("PLAN#{}", broken.id);
    let meter = format!("METER#{}", broken.id);
    let nonsense = || Some(AttributeValue::S("?".to_owned()));
    damage(&store, (&plan_item, "PLAN"), "limits", nonsense()).await;
    assert_eq!(
        decide(&engine(&store, PATIENT).await, &key.value).await,
        Reason::Ok
    );
    damage(&store, (&key_item(&key), &meter), "count", nonsense()).await;
    assert_eq!(
        decide(&engine(&store, PATIENT).await, &key.value).await,
        Reason::Ok
    );
    let off = [["replace", "/enabled", "false"]];
    api.patch(200, &key.path(), &off).await;
    assert_eq!(decide(&warm, &key.value).await, Reason::Disabled);
    api.patch(200, &key.path(), &[["replace", "/enabled", "true"]])
        .await;
    assert_eq!(decide(&warm, &key.value).await, Reason::Ok);
    let shown = api.get(&key.path()).await;
    assert_eq!(text(&shown["id"]), key.record.id);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_item_of_a_later_version_is_not_understood() {
    for (item, sort) in [
        ("KEY", "KEY"),
        ("KEY", "METER"),
        ("PLAN", "PLAN"),
        ("HASH", "HASH"),
    ] {
        let store = Store::embedded().await;
        let admin = admin(&store).await;
        let (plan, key) = linked(&admin, plan(None, None)).await;
        let pk = match item {
            "KEY" => key_item(&key),
            "PLAN" => format!("PLAN#{}", plan.id),
            _ => format!("HASH#{}", key.record.hash),
        };
        let sk = match sort {
            "METER" => format!("METER#{}", plan.id),
            other => other.to_owned(),
        };
        damage(
            &store,
            (&pk, &sk),
            "v",
            Some(AttributeValue::N("2".to_owned())),
        )
        .await;
        let cold = engine(&store, PATIENT).await;
        assert_eq!(
            decide(&cold, &key.value).await,
            Reason::StoreUnavailable,
            "{pk} {sk}"
        );
    }
}
