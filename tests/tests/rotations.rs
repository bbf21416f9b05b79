//! A rotation replaces a key's value while requests go on, and interrupted rotations can be finished.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use std::sync::Arc;
use std::time::Duration;

use axum::http::Method;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use tollgate_admin::keys::{NewKey, generate_value};
use tollgate_admin::{Admin, Error};
use tollgate_core::calendar::{PeriodKind, day_of};
use tollgate_core::key::KeyValue;
use tollgate_core::verdict::Reason;
use tollgate_dynamo::item::ItemKey;
use tollgate_keys::vault::Vault;
use tollgate_tests::api::{Api, text};
use tollgate_tests::on_both_stores;
use tollgate_tests::proxy::{Fault, Proxy};
use tollgate_tests::stores::{Kind, Store};
use tollgate_tests::world::{
    PATIENT, admin, decide, decide_at, engine, linked, plan, stopped_at, total, used,
};

on_both_stores!(
    a_rotation_under_load_loses_no_request_and_charges_none_twice,
    a_rotation_whose_answer_is_lost_is_whole_or_not_made,
    wherever_a_rotation_is_interrupted_asking_again_finishes_it,
);

#[tokio::test(flavor = "multi_thread")]
async fn the_value_before_is_good_until_its_time_and_both_are_charged_to_one_meter() {
    let store = Store::embedded().await;
    let api = Api::with(store.clone(), Vault::local()).await;
    let admin = admin(&store).await;
    let (plan, key) = linked(&admin, plan(None, Some((6, PeriodKind::Month)))).await;
    let engine = engine(&store, PATIENT).await;
    assert_eq!(decide(&engine, &key.value).await, Reason::Ok);
    let path = format!("/apikeys/{}", key.record.id);
    let rotated = api
        .post(
            &format!("{path}/rotations"),
            json!({ "overlapSeconds": 3_600 }),
        )
        .await;
    let new = text(&rotated["value"]);
    assert_ne!(new, key.value);
    assert_eq!(rotated["id"], json!(key.record.id));
    let until = rotated["tollgate"]["earlierValueUntil"].as_i64().unwrap();
    assert!((3_590..=3_601).contains(&(until - Timestamp::now().as_second())));
    let shown = api.get(&format!("{path}?includeValue=true")).await;
    assert_eq!(shown["value"], json!(new));

    for value in [&key.value, &new, &key.value, &new] {
        assert_eq!(decide(&engine, value).await, Reason::Ok);
    }
    let over = Timestamp::from_second(until + 1).unwrap();
    let first = over - SignedDuration::from_secs(5);
    assert_eq!(
        decide_at(&engine, &key.value, over).await.reason,
        Reason::Expired
    );
    // Another one that never saw the rotation says the same.
    let other = tollgate_tests::world::engine(&store, PATIENT).await;
    assert_eq!(
        decide_at(&other, &key.value, over).await.reason,
        Reason::Expired
    );
    assert_eq!(
        decide_at(&other, &key.value, first).await.reason,
        Reason::Ok
    );
    assert_eq!(decide_at(&other, &new, over).await.reason, Reason::Quota);
    // A day later it is forgotten, though its item may be there for longer.
    let forgotten = over + SignedDuration::from_hours(24);
    let cold = tollgate_tests::world::engine(&store, PATIENT).await;
    for engine in [&engine, &cold] {
        let told = decide_at(engine, &key.value, forgotten).await;
        assert_eq!(told.reason, Reason::UnknownKey);
    }
    let day = day_of(Timestamp::now());
    assert_eq!(used(&admin, &plan.id, &key.record.id, day).await, 6);
    // The next rotation waits for the end of this one.
    let again = json!({ "overlapSeconds": 0 });
    let rotations = format!("{path}/rotations");
    let error = api.call(409, Method::POST, &rotations, again).await;
    assert!(
        text(&error["message"]).contains("end that first"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_with_an_expired_value_cost_those_with_the_live_one_no_calls() {
    let store = Store::embedded().await;
    let (api, admin) = Api::managed(&store).await;
    let (_, key) = linked(&admin, plan(None, Some((100, PeriodKind::Month)))).await;
    let rotations = format!("/apikeys/{}/rotations", key.record.id);
    let rotated = api.post(&rotations, json!({ "overlapSeconds": 60 })).await;
    let live = text(&rotated["value"]);
    let over = Timestamp::now() + SignedDuration::from_secs(61);
    let proxy = Proxy::to(&store.endpoint).await;
    let engine = engine(&store.through(&proxy.endpoint), PATIENT).await;
    assert_eq!(decide_at(&engine, &live, over).await.reason, Reason::Ok);
    for _ in 0..3 {
        let refused = decide_at(&engine, &key.value, over).await;
        assert_eq!(refused.reason, Reason::Expired);
        proxy.take_calls();
        assert_eq!(decide_at(&engine, &live, over).await.reason, Reason::Ok);
        assert_eq!(proxy.take_counts(), [("UpdateItem".to_owned(), 1)].into());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_overlap_that_is_ended_early_and_one_of_nothing_end_the_value_at_once() {
    let store = Store::embedded().await;
    let (api, admin) = Api::managed(&store).await;
    let (_, key) = linked(&admin, plan(None, None)).await;
    let engines = [engine(&store, PATIENT).await, engine(&store, PATIENT).await];
    let rotations = format!("/apikeys/{}/rotations", key.record.id);
    let rotate = async |overlap: i64| {
        let body = json!({ "overlapSeconds": overlap });
        text(&api.post(&rotations, body).await["value"])
    };
    let all = async |value: &str, expected: Reason| {
        for engine in &engines {
            assert_eq!(decide(engine, value).await, expected, "{value}");
        }
    };
    all(&key.value, Reason::Ok).await;
    let second = rotate(600).await;
    all(&key.value, Reason::Ok).await;
    all(&second, Reason::Ok).await;
    api.delete(&rotations).await;
    all(&key.value, Reason::UnknownKey).await;
    all(&second, Reason::Ok).await;
    let third = rotate(0).await;
    all(&second, Reason::UnknownKey).await;
    all(&third, Reason::Ok).await;
    // A value that is no key's any more can be another's.
    api.key(json!({ "value": second })).await;
    api.key(json!({ "value": key.value })).await;
}

async fn a_rotation_under_load_loses_no_request_and_charges_none_twice(kind: Kind) {
    let store = Store::new(kind).await;
    let admin = Arc::new(admin(&store).await);
    let (plan, key) = linked(&admin, plan(None, Some((1_000_000, PeriodKind::Month)))).await;
    let day = day_of(Timestamp::now());
    let current = Arc::new(std::sync::Mutex::new(key.value.clone()));
    let callers = (0..4).map(|caller| {
        let (store, current, first) = (store.clone(), Arc::clone(&current), key.value.clone());
        tokio::spawn(async move {
            let engine = engine(&store, PATIENT).await;
            let mut admitted = 0;
            for number in 0..120 {
                // Half of the clients know the new value at once, the others never hear of it.
                let new = current.lock().unwrap().clone();
                let value = if (number + caller) % 2 == 0 {
                    &first
                } else {
                    &new
                };
                assert_eq!(decide(&engine, value).await, Reason::Ok);
                admitted += 1;
            }
            admitted
        })
    });
    let callers: Vec<_> = callers.collect();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let new = generate_value();
    let until = Timestamp::now() + SignedDuration::from_mins(10);
    let rotated = admin
        .rotate_key(&key.record.id, &new, None, Some(until))
        .await;
    rotated.unwrap();
    new.expose().clone_into(&mut current.lock().unwrap());
    let admitted = total(callers).await;
    assert_eq!(admitted, 480);
    assert_eq!(used(&admin, &plan.id, &key.record.id, day).await, admitted);
}

async fn a_rotation_whose_answer_is_lost_is_whole_or_not_made(kind: Kind) {
    for fault in [
        Fault::CutAnswer,
        Fault::InternalErrorAfter,
        Fault::InternalError,
    ] {
        let store = Store::new(kind).await;
        let admin = admin(&store).await;
        let (_, key) = linked(&admin, plan(None, None)).await;
        let proxy = Proxy::to(&store.endpoint).await;
        let shaken = tollgate_tests::world::admin(&store.through(&proxy.endpoint)).await;
        let shown = format!("{fault:?}");
        proxy.rule(move |_, operation| match operation {
            "TransactWriteItems" => fault.clone(),
            _ => Fault::None,
        });
        let new = generate_value();
        let until = Some(Timestamp::now() + SignedDuration::from_mins(10));
        let outcome = shaken.rotate_key(&key.record.id, &new, None, until).await;
        assert!(
            matches!(outcome, Err(Error::Store(_)) | Ok(_)),
            "{shown}: {outcome:?}"
        );
        let engine = engine(&store, PATIENT).await;
        assert_eq!(decide(&engine, &key.value).await, Reason::Ok, "{shown}");
        let record = admin.key(&key.record.id).await.unwrap();
        let made = record.hash == new.hash();
        let expected = if made { Reason::Ok } else { Reason::UnknownKey };
        assert_eq!(decide(&engine, new.expose()).await, expected, "{shown}");
        if made {
            admin.end_rotation(&record.id).await.unwrap();
        }
        let after = generate_value();
        admin
            .rotate_key(&record.id, &after, None, None)
            .await
            .unwrap();
        assert_eq!(decide(&engine, after.expose()).await, Reason::Ok, "{shown}");
        assert_eq!(
            decide(&engine, &key.value).await,
            Reason::UnknownKey,
            "{shown}"
        );
    }
}

/// No key can be made with a value that an instance still admits for another.
async fn is_not_free_while_good(admin: &Admin, good: &[Reason], value: &str) {
    let new = NewKey {
        value: Some(KeyValue::parse(value).unwrap()),
        ..NewKey::default()
    };
    let taken = admin.create_key(new).await;
    if good.contains(&Reason::Ok) {
        assert!(matches!(taken, Err(Error::ValueExists)), "{taken:?}");
    } else if let Ok((record, _)) = taken {
        admin.delete_key(&record.id).await.unwrap();
    }
}

async fn wherever_a_rotation_is_interrupted_asking_again_finishes_it(kind: Kind) {
    for overlap in [None, Some(SignedDuration::from_mins(10))] {
        for n in 0.. {
            let store = Store::new(kind).await;
            let admin = admin(&store).await;
            let (_, key) = linked(&admin, plan(None, None)).await;
            let warm = engine(&store, PATIENT).await;
            assert_eq!(decide(&warm, &key.value).await, Reason::Ok);
            let (stopped, proxy) = stopped_at(&store, n).await;
            let (id, new) = (&key.record.id, generate_value());
            let until = overlap.map(|overlap| Timestamp::now() + overlap);
            let first = stopped.rotate_key(id, &new, None, until).await;
            let good = [decide(&warm, &key.value).await];
            is_not_free_while_good(&admin, &good, &key.value).await;
            proxy.rule(|_, _| Fault::None);
            if first.is_err() {
                stopped.rotate_key(id, &new, None, until).await.unwrap();
            }
            assert_eq!(decide(&warm, new.expose()).await, Reason::Ok, "{n}");
            let expected = overlap.map_or(Reason::UnknownKey, |_| Reason::Ok);
            assert_eq!(decide(&warm, &key.value).await, expected, "{n}");
            if let Some(until) = until {
                let over = until + SignedDuration::from_secs(1);
                let verdict = decide_at(&warm, &key.value, over).await;
                assert_eq!(verdict.reason, Reason::Expired, "{n}");
            }
            if first.is_ok() {
                assert!(n > 4, "{n}");
                break;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wherever_the_end_of_a_rotation_is_interrupted_asking_again_finishes_it() {
    for n in 0.. {
        let store = Store::embedded().await;
        let admin = admin(&store).await;
        let (_, key) = linked(&admin, plan(None, None)).await;
        let (id, new) = (&key.record.id, generate_value());
        let until = Timestamp::now() + SignedDuration::from_mins(10);
        admin.rotate_key(id, &new, None, Some(until)).await.unwrap();
        let warm = engine(&store, PATIENT).await;
        assert_eq!(decide(&warm, &key.value).await, Reason::Ok);
        let (stopped, proxy) = stopped_at(&store, n).await;
        let first = stopped.end_rotation(id).await;
        let good = [decide(&warm, &key.value).await];
        is_not_free_while_good(&admin, &good, &key.value).await;
        proxy.rule(|_, _| Fault::None);
        let again = stopped.end_rotation(id).await;
        assert!(
            matches!(again, Ok(_) | Err(Error::NoRotation)),
            "{n}: {again:?}"
        );
        assert_eq!(decide(&warm, &key.value).await, Reason::UnknownKey, "{n}");
        assert_eq!(decide(&warm, new.expose()).await, Reason::Ok, "{n}");
        // Back to the first value, and an end that comes late does that no harm.
        let first_value = KeyValue::parse(&key.value).unwrap();
        admin
            .rotate_key(id, &first_value, None, None)
            .await
            .unwrap();
        assert!(matches!(
            admin.end_rotation(id).await,
            Err(Error::NoRotation)
        ));
        let cold = engine(&store, PATIENT).await;
        assert_eq!(decide(&cold, &key.value).await, Reason::Ok, "{n}");
        if first.is_ok() {
            assert!(n > 4, "{n}");
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_is_another_keys_by_now_is_taken_for_that() {
    let store = Store::embedded().await;
    let admin = admin(&store).await;
    let (plan, key) = linked(&admin, plan(None, None)).await;
    let (id, new) = (&key.record.id, generate_value());
    let until = Timestamp::now() + SignedDuration::from_secs(1);
    admin.rotate_key(id, &new, None, Some(until)).await.unwrap();
    let warm = engine(&store, PATIENT).await;
    assert_eq!(decide(&warm, &key.value).await, Reason::Ok);
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    assert_eq!(decide(&warm, &key.value).await, Reason::Expired);
    // Its time to live takes the item away, and another key is made with the value.
    let first = KeyValue::parse(&key.value).unwrap();
    let item = ItemKey::hash(&first.hash()).attributes();
    let delete = store.client().await.delete_item().table_name(&store.table);
    delete.set_key(Some(item)).send().await.unwrap();
    let other = NewKey {
        value: Some(first),
        enabled: true,
        ..NewKey::default()
    };
    let (other, _) = admin.create_key(other).await.unwrap();
    admin.link(&plan.id, &other.id).await.unwrap();
    assert_eq!(decide(&warm, &key.value).await, Reason::Ok);
    // The rotation that waits to be cleared away leaves that key alone.
    admin
        .rotate_key(id, &generate_value(), None, None)
        .await
        .unwrap();
    let verdict = decide_at(&warm, &key.value, Timestamp::now()).await;
    assert_eq!(
        (verdict.reason, verdict.key_id),
        (Reason::Ok, Some(other.id))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_key_frees_both_its_values() {
    let store = Store::embedded().await;
    let (api, admin) = Api::managed(&store).await;
    let (_, key) = linked(&admin, plan(None, None)).await;
    let path = format!("/apikeys/{}", key.record.id);
    let body = json!({ "overlapSeconds": 600 });
    let new = text(&api.post(&format!("{path}/rotations"), body).await["value"]);
    let engine = engine(&store, PATIENT).await;
    for value in [&key.value, &new] {
        assert_eq!(decide(&engine, value).await, Reason::Ok);
    }
    api.delete(&path).await;
    for value in [&key.value, &new] {
        assert_eq!(decide(&engine, value).await, Reason::UnknownKey);
        api.key(json!({ "value": value })).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_was_replaced_is_not_imported_again() {
    let store = Store::embedded().await;
    let (api, admin) = Api::managed(&store).await;
    let (_, key) = linked(&admin, plan(None, None)).await;
    let path = format!("/apikeys/{}", key.record.id);
    api.post(
        &format!("{path}/rotations"),
        json!({ "overlapSeconds": 600 }),
    )
    .await;
    let before = api.get(&path).await;
    let file = format!("Name,Key\nhijacked,{}\n", key.value);
    let import = "/apikeys?mode=import&format=csv";
    let (status, answer, _) = api.raw(Method::POST, import, file).await;
    assert_eq!(status.as_u16(), 201);
    assert_eq!(
        answer,
        json!({ "ids": [], "warnings": ["row 1: its Key is a value that a rotation has replaced; left out"] })
    );
    assert_eq!(api.get(&path).await, before);
}
