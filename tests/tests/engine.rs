//! The engine on real stores: what a decision costs, what is remembered and for how long, and what ends it.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use std::collections::BTreeMap;

use jiff::{SignedDuration, ToSpan};
use tollgate_admin::{Admin, Error};
use tollgate_core::calendar::{PeriodKind, day_of};
use tollgate_core::id::KeyId;
use tollgate_core::key::KeyValue;
use tollgate_core::limit::Throttle;
use tollgate_core::reason::LimitKind;
use tollgate_core::verdict::{Decision, Reason};
use tollgate_dynamo::item::key::KeyRecord;
use tollgate_tests::on_both_stores;
use tollgate_tests::proxy::Proxy;
use tollgate_tests::stores::{Kind, Store};
use tollgate_tests::world::{
    PATIENT, admin, at, decide, decide_at, decide_on, engine, linked, make_key, make_plan, plan,
    target, usage, used,
};

on_both_stores!(
    a_steady_request_is_one_update_of_one_capacity_unit_and_none_on_indexes,
    several_limits_are_charged_all_or_none,
    a_day_that_is_over_is_written_out_and_dropped,
    a_meter_with_sixteen_method_buckets_stays_under_a_kilobyte,
);

async fn enabled(admin: &Admin, key: &KeyId, enabled: bool) {
    let change = move |record: &mut KeyRecord| {
        record.enabled = enabled;
        Ok::<_, Error>(())
    };
    admin.update_key(key, change).await.unwrap();
}

async fn a_steady_request_is_one_update_of_one_capacity_unit_and_none_on_indexes(kind: Kind) {
    let store = Store::new(kind).await;
    let proxy = Proxy::to(&store.endpoint).await;
    let (_, key) = linked(
        &admin(&store).await,
        plan(Some((100.0, 50)), Some((1_000, PeriodKind::Month))),
    )
    .await;
    let engine = engine(&store.through(&proxy.endpoint), PATIENT).await;
    assert_eq!(decide(&engine, &key.value).await, Reason::Ok);
    proxy.take_calls();
    for _ in 0..20 {
        assert_eq!(decide(&engine, &key.value).await, Reason::Ok);
    }
    let calls = proxy.take_calls();
    assert_eq!(calls.len(), 20);
    for call in calls {
        assert_eq!(call.operation, "UpdateItem");
        assert!((call.capacity - 1.0).abs() < f64::EPSILON, "{call:?}");
        assert!(call.index_capacity.abs() < f64::EPSILON, "{call:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cold_path_is_two_sequential_reads_before_the_write() {
    let store = Store::embedded().await;
    let proxy = Proxy::to(&store.endpoint).await;
    let (_, key) = linked(&admin(&store).await, plan(Some((100.0, 50)), None)).await;
    let engine = engine(&store.through(&proxy.endpoint), PATIENT).await;
    assert_eq!(decide(&engine, &key.value).await, Reason::Ok);
    // The value; then key, plan and meter at once; then the write.
    let counts = proxy.take_counts();
    assert_eq!(
        counts,
        BTreeMap::from([("GetItem".to_owned(), 4), ("UpdateItem".to_owned(), 1)])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_repeated_without_a_call_while_it_must_hold() {
    let store = Store::embedded().await;
    let proxy = Proxy::to(&store.endpoint).await;
    let (_, key) = linked(&admin(&store).await, plan(Some((0.5, 1)), None)).await;
    let engine = engine(&store.through(&proxy.endpoint), PATIENT).await;
    let start = at("2054-11-22T12:00:00Z");
    assert_eq!(
        decide_at(&engine, &key.value, start).await.reason,
        Reason::Ok
    );
    proxy.take_calls();
    for milliseconds in [0, 1, 500, 1_999] {
        let verdict = decide_at(&engine, &key.value, start + milliseconds.milliseconds()).await;
        assert_eq!(verdict.reason, Reason::Rate);
        let wait = u64::try_from(2_000 - milliseconds).unwrap();
        assert_eq!(
            verdict.retry_after,
            Some(std::time::Duration::from_millis(wait))
        );
    }
    assert_eq!(proxy.take_calls(), []);
    let then = decide_at(&engine, &key.value, start + 2.seconds()).await;
    assert_eq!(then.reason, Reason::Ok);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spent_quota_is_asked_about_once_a_second() {
    let store = Store::embedded().await;
    let proxy = Proxy::to(&store.endpoint).await;
    let (_, key) = linked(&admin(&store).await, plan(None, Some((1, PeriodKind::Day)))).await;
    let engine = engine(&store.through(&proxy.endpoint), PATIENT).await;
    let start = at("2054-11-22T12:00:00Z");
    assert_eq!(
        decide_at(&engine, &key.value, start).await.reason,
        Reason::Ok
    );
    proxy.take_calls();
    for milliseconds in (0..4_000).step_by(50) {
        let verdict = decide_at(&engine, &key.value, start + milliseconds.milliseconds()).await;
        assert_eq!(verdict.reason, Reason::Quota);
        assert_eq!(
            verdict.limit_status.quota().unwrap().reset,
            at("2054-11-23T00:00:00Z")
        );
    }
    let asked = proxy.take_counts()["UpdateItem"];
    assert!((3..=4).contains(&asked), "{asked} calls in four seconds");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_key_is_remembered_for_a_second_and_works_as_soon_as_it_exists_after_that() {
    let store = Store::embedded().await;
    let proxy = Proxy::to(&store.endpoint).await;
    let admin = admin(&store).await;
    let engine = engine(&store.through(&proxy.endpoint), PATIENT).await;
    let start = at("2054-11-22T12:00:00Z");
    let value = "my-own-key-of-enough-characters";
    for milliseconds in [0, 400, 1_000] {
        let verdict = decide_at(&engine, value, start + milliseconds.milliseconds()).await;
        assert_eq!(verdict.reason, Reason::UnknownKey);
    }
    assert_eq!(
        proxy.take_counts(),
        BTreeMap::from([("GetItem".to_owned(), 1)])
    );

    let plan = make_plan(&admin, plan(None, None)).await;
    let new = tollgate_admin::keys::NewKey {
        value: Some(KeyValue::parse(value).unwrap()),
        enabled: true,
        ..Default::default()
    };
    let (record, _) = admin.create_key(new).await.unwrap();
    admin.link(&plan.id, &record.id).await.unwrap();
    let then = decide_at(&engine, value, start + 1_001.milliseconds()).await;
    assert_eq!(then.reason, Reason::Ok);
    let garbage = decide_at(&engine, "tg_garbage-that-has-no-checksum", start).await;
    assert_eq!(garbage.reason, Reason::MalformedKey);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_revoked_is_refused_by_an_engine_that_knew_the_key() {
    let store = Store::embedded().await;
    let admin = admin(&store).await;
    let engine = engine(&store, PATIENT).await;
    let (plan, key) = linked(&admin, plan(Some((1e6, 1_000)), None)).await;
    assert_eq!(decide(&engine, &key.value).await, Reason::Ok);
    enabled(&admin, &key.record.id, false).await;
    assert_eq!(decide(&engine, &key.value).await, Reason::Disabled);
    enabled(&admin, &key.record.id, true).await;
    assert_eq!(decide(&engine, &key.value).await, Reason::Ok);
    admin.unlink(&plan.id, &key.record.id).await.unwrap();
    assert_eq!(decide(&engine, &key.value).await, Reason::NotInPlan);
    admin.link(&plan.id, &key.record.id).await.unwrap();
    assert_eq!(decide(&engine, &key.value).await, Reason::Ok);
    admin.delete_key(&key.record.id).await.unwrap();
    assert_eq!(decide(&engine, &key.value).await, Reason::UnknownKey);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_key_stays_refused_and_its_value_can_belong_to_another() {
    let store = Store::embedded().await;
    let admin = admin(&store).await;
    let engine = engine(&store, PATIENT).await;
    let (plan, key) = linked(&admin, plan(None, Some((10, PeriodKind::Day)))).await;
    assert_eq!(decide(&engine, &key.value).await, Reason::Ok);
    admin.delete_key(&key.record.id).await.unwrap();
    assert!(matches!(
        admin.delete_key(&key.record.id).await,
        Err(Error::NoSuchKey)
    ));
    let new = tollgate_admin::keys::NewKey {
        value: Some(KeyValue::parse(&key.value).unwrap()),
        enabled: true,
        ..Default::default()
    };
    let (record, _) = admin.create_key(new).await.unwrap();
    assert_eq!(decide(&engine, &key.value).await, Reason::NotInPlan);
    admin.link(&plan.id, &record.id).await.unwrap();
    let verdict = decide_at(&engine, &key.value, jiff::Timestamp::now()).await;
    assert_eq!(verdict.key_id.as_deref(), Some(record.id.as_str()));
    assert_eq!(verdict.limit_status.quota().unwrap().remaining, 9);
}

async fn several_limits_are_charged_all_or_none(kind: Kind) {
    let store = Store::new(kind).await;
    let admin = admin(&store).await;
    let mut limits = plan(Some((1.0, 10)), Some((10, PeriodKind::Day)));
    limits.stages[0].throttle.insert(
        "/a/GET".parse().unwrap(),
        Throttle::new(Some(1.0), Some(2)).unwrap(),
    );
    let (plan, key) = linked(&admin, limits).await;
    let engine = engine(&store, PATIENT).await;
    let now = at("2054-11-22T12:00:00Z");
    for expected in [
        Reason::Ok,
        Reason::Ok,
        Reason::MethodRate,
        Reason::MethodRate,
    ] {
        let verdict = decide_on(&engine, &key.value, &target("/a"), 1, now).await;
        assert_eq!(verdict.reason, expected);
    }
    // The refused ones took nothing from the plan's bucket nor from the quota.
    let verdict = decide_on(&engine, &key.value, &target("/b"), 5, now).await;
    assert_eq!(
        verdict
            .limit_status
            .bucket(LimitKind::Rate)
            .unwrap()
            .remaining,
        3
    );
    assert_eq!(verdict.limit_status.quota().unwrap().remaining, 3);
    let verdict = decide_on(&engine, &key.value, &target("/a"), 3, now).await;
    assert_eq!(
        (verdict.reason, verdict.retry_after),
        (Reason::CostExceedsBurst, None)
    );
    assert_eq!(used(&admin, &plan.id, &key.record.id, day_of(now)).await, 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_method_has_a_bucket_of_its_own() {
    let store = Store::embedded().await;
    let mut limits = plan(None, None);
    for template in ["/pets/{id}/GET", "//GET"] {
        let throttle = Throttle::new(Some(1.0), Some(1)).unwrap();
        limits.stages[0]
            .throttle
            .insert(template.parse().unwrap(), throttle);
    }
    let (_, key) = linked(&admin(&store).await, limits).await;
    let engine = engine(&store, PATIENT).await;
    let now = at("2054-11-22T12:00:00Z");
    for (path, expected) in [
        ("/pets/1", Reason::Ok),
        ("/pets/2", Reason::MethodRate),
        ("/", Reason::Ok),
        ("/", Reason::MethodRate),
        ("/toys", Reason::Ok),
        ("/toys", Reason::Ok),
    ] {
        assert_eq!(
            decide_on(&engine, &key.value, &target(path), 1, now)
                .await
                .reason,
            expected,
            "{path}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_item_refuses_its_key_and_no_other() {
    use aws_sdk_dynamodb::types::AttributeValue;
    let store = Store::embedded().await;
    let admin = admin(&store).await;
    let engine = engine(&store, PATIENT).await;
    let (plan, bad) = linked(&admin, plan(None, None)).await;
    let good = make_key(&admin).await;
    admin.link(&plan.id, &good.record.id).await.unwrap();
    let meter = tollgate_dynamo::item::ItemKey::meter(&bad.record.id, &plan.id);
    store
        .client()
        .await
        .update_item()
        .table_name(&store.table)
        .set_key(Some(meter.attributes()))
        .update_expression("SET spent = :text")
        .expression_attribute_values(":text", AttributeValue::S("many".to_owned()))
        .send()
        .await
        .unwrap();
    let verdict = decide_at(&engine, &bad.value, jiff::Timestamp::now()).await;
    assert_eq!(
        (verdict.decision, verdict.reason),
        (Decision::Denied, Reason::StoreUnavailable)
    );
    assert_eq!(decide(&engine, &good.value).await, Reason::Ok);
}

async fn a_day_that_is_over_is_written_out_and_dropped(kind: Kind) {
    let store = Store::new(kind).await;
    let proxy = Proxy::to(&store.endpoint).await;
    let admin = admin(&store).await;
    let (plan, key) = linked(
        &admin,
        plan(Some((1e6, 10)), Some((100, PeriodKind::Month))),
    )
    .await;
    let engine = engine(&store.through(&proxy.endpoint), PATIENT).await;
    let evening = at("2054-12-01T23:59:59Z");
    for _ in 0..3 {
        assert_eq!(
            decide_at(&engine, &key.value, evening).await.reason,
            Reason::Ok
        );
    }
    proxy.take_calls();
    let morning = at("2054-12-02T00:00:00Z");
    let counts = async |proxy: &Proxy| {
        assert_eq!(
            decide_at(&engine, &key.value, morning).await.reason,
            Reason::Ok
        );
        let counts = proxy.take_counts();
        (
            counts.get("UpdateItem").copied(),
            counts.get("PutItem").copied(),
        )
    };
    // It is closed by one write, written out beside the next, dropped by the one after.
    assert_eq!(counts(&proxy).await, (Some(1), None));
    assert_eq!(counts(&proxy).await, (Some(1), Some(1)));
    assert_eq!(counts(&proxy).await, (Some(1), None));
    assert_eq!(counts(&proxy).await, (Some(1), None));
    let days = usage(
        &admin,
        &plan.id,
        &key.record.id,
        (day_of(evening), day_of(morning)),
    )
    .await;
    let days: Vec<_> = days.iter().map(|day| (day.used, day.remaining)).collect();
    assert_eq!(days, [(3, Some(97)), (4, Some(93))]);
    // One request a day: what was closed is written out before the next day closes.
    for day in 3..6 {
        let noon = at(&format!("2054-12-0{day}T12:00:00Z"));
        assert_eq!(
            decide_at(&engine, &key.value, noon).await.reason,
            Reason::Ok
        );
    }
    assert_eq!(
        used(&admin, &plan.id, &key.record.id, day_of(evening)).await,
        10
    );
}

/// The number that the documentation gives.
async fn a_meter_with_sixteen_method_buckets_stays_under_a_kilobyte(kind: Kind) {
    let store = Store::new(kind).await;
    let proxy = Proxy::to(&store.endpoint).await;
    let mut limits = plan(
        Some((0.001, 1_000)),
        Some((1_000_000_000, PeriodKind::Month)),
    );
    for number in 0..16 {
        let template = format!("/a/rather/long/path/of/number/{number}/GET");
        let throttle = Throttle::new(Some(0.001), Some(1_000)).unwrap();
        limits.stages[0]
            .throttle
            .insert(template.parse().unwrap(), throttle);
    }
    let admin = admin(&store).await;
    let (_, key) = linked(&admin, limits).await;
    // The meter is found by as much of the name as it holds.
    let rename = |record: &mut KeyRecord| {
        record.name = Some("a name that is longer than what a meter holds of it".to_owned());
        Ok::<_, Error>(())
    };
    admin.update_key(&key.record.id, rename).await.unwrap();
    let start = at("2054-12-01T23:59:59Z");
    // Sixteen engines take all twelve lanes, and a closed day waits.
    for number in 0..16 {
        let engine = engine(&store.through(&proxy.endpoint), PATIENT).await;
        let path = format!("/a/rather/long/path/of/number/{number}");
        let now = start + SignedDuration::from_secs(number / 8);
        let verdict = decide_on(&engine, &key.value, &target(&path), 1, now).await;
        assert_eq!(verdict.reason, Reason::Ok);
    }
    let last = proxy
        .take_calls()
        .into_iter()
        .rfind(|call| call.operation == "UpdateItem")
        .unwrap();
    assert!((last.capacity - 1.0).abs() < f64::EPSILON, "{last:?}");
}
