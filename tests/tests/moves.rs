//! A key goes from one plan to another: under load, interrupted, with and without what it has used.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp, ToSpan};
use serde_json::json;
use tollgate_admin::{Error, PageRequest};
use tollgate_core::calendar::{PeriodKind, day_of};
use tollgate_core::limit::Throttle;
use tollgate_core::plan::{ApiStage, Plan};
use tollgate_core::reason::LimitKind;
use tollgate_core::verdict::Reason;
use tollgate_tests::api::{Api, text};
use tollgate_tests::on_both_stores;
use tollgate_tests::proxy::Fault;
use tollgate_tests::stores::{Kind, Store};
use tollgate_tests::world::{
    PATIENT, admin, decide, decide_at, decide_on, engine, linked, make_plan, plan, stopped_at,
    target, total, used,
};

on_both_stores!(
    a_move_under_load_refuses_nothing_that_is_left_and_admits_nothing_twice,
    a_move_to_a_plan_that_is_deleted_meanwhile_leaves_the_key_where_it_was,
);

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_moves_carries_what_it_has_used_or_begins_anew() {
    let store = Store::embedded().await;
    let (api, admin) = Api::managed(&store).await;
    let (first, key) = linked(&admin, plan(Some((0.001, 8)), Some((10, PeriodKind::Day)))).await;
    let second = make_plan(
        &admin,
        plan(Some((0.001, 20)), Some((12, PeriodKind::Month))),
    )
    .await;
    let engine = engine(&store, PATIENT).await;
    for _ in 0..7 {
        assert_eq!(decide(&engine, &key.value).await, Reason::Ok);
    }
    let moves = format!("{}/moves", key.path());
    let go = |from: &str, to: &str, usage: &str| json!({ "fromUsagePlanId": from, "toUsagePlanId": to, "usage": usage });
    let entered = api.post(&moves, go(&first.id, &second.id, "carry")).await;
    assert_eq!(text(&entered["id"]), key.record.id);
    assert_eq!(
        admin.key(&key.record.id).await.unwrap().plans,
        std::slice::from_ref(&second.id)
    );
    // Seven of the month's twelve are used, and seven are owed to the throttle.
    let told = decide_at(&engine, &key.value, Timestamp::now()).await;
    assert_eq!(told.plan_id.as_ref(), Some(&second.id));
    assert_eq!(told.limit_status.quota().unwrap().remaining, 4);
    assert_eq!(
        told.limit_status.bucket(LimitKind::Rate).unwrap().remaining,
        12
    );
    for _ in 0..4 {
        assert_eq!(decide(&engine, &key.value).await, Reason::Ok);
    }
    assert_eq!(decide(&engine, &key.value).await, Reason::Quota);
    // Back with a clean slate: of the quota, not of the throttle. That it was spent is remembered for a second.
    api.post(&moves, go(&second.id, &first.id, "clear")).await;
    let later = Timestamp::now() + SignedDuration::from_millis(1_100);
    let told = decide_at(&engine, &key.value, later).await;
    assert_eq!(
        (told.reason, told.limit_status.quota().unwrap().remaining),
        (Reason::Rate, 10)
    );
    // What was counted stays where it was counted.
    let today = day_of(Timestamp::now()).saturating_sub(1.day());
    assert_eq!(used(&admin, &first.id, &key.record.id, today).await, 7);
    assert_eq!(used(&admin, &second.id, &key.record.id, today).await, 5);
}

async fn a_move_under_load_refuses_nothing_that_is_left_and_admits_nothing_twice(kind: Kind) {
    const LIMIT: u64 = 400;
    let store = Store::new(kind).await;
    let admin = admin(&store).await;
    let (first, key) = linked(&admin, plan(None, Some((LIMIT, PeriodKind::Month)))).await;
    let second = make_plan(&admin, plan(None, Some((LIMIT, PeriodKind::Month)))).await;
    let (value, done) = (
        Arc::new(key.value.clone()),
        Arc::new(AtomicBool::new(false)),
    );
    let mut callers = Vec::new();
    for _ in 0..4 {
        let engine = engine(&store, PATIENT).await;
        let (value, done) = (Arc::clone(&value), Arc::clone(&done));
        callers.push(tokio::spawn(async move {
            let mut admitted = 0;
            while !done.load(Ordering::Relaxed) {
                match decide(&engine, &value).await {
                    Reason::Ok => admitted += 1,
                    Reason::Quota => break,
                    other => panic!("{other}"),
                }
            }
            admitted
        }));
    }
    let (mut from, mut to) = (&first.id, &second.id);
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        admin
            .move_key(&key.record.id, from, to, true)
            .await
            .unwrap();
        (from, to) = (to, from);
    }
    tokio::time::timeout(Duration::from_mins(1), async {
        while callers.iter().any(|caller| !caller.is_finished()) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await
    .expect("the quota is spent");
    done.store(true, Ordering::Relaxed);
    let admitted = total(callers).await;
    let today = day_of(Timestamp::now()).saturating_sub(1.day());
    let counted = used(&admin, &first.id, &key.record.id, today).await
        + used(&admin, &second.id, &key.record.id, today).await;
    assert_eq!((admitted, counted), (LIMIT, LIMIT));
}

#[tokio::test(flavor = "multi_thread")]
async fn wherever_a_move_is_interrupted_asking_again_finishes_it() {
    let mut looked = false;
    for n in 0.. {
        let store = Store::embedded().await;
        let admin = admin(&store).await;
        let (first, key) = linked(&admin, plan(None, Some((10, PeriodKind::Day)))).await;
        let second = make_plan(&admin, plan(None, Some((10, PeriodKind::Day)))).await;
        let engine = engine(&store, PATIENT).await;
        for _ in 0..4 {
            assert_eq!(decide(&engine, &key.value).await, Reason::Ok);
        }
        let mut used = 4;
        let (stopped, proxy) = stopped_at(&store, n).await;
        let (id, from, to) = (&key.record.id, &first.id, &second.id);
        let moved = stopped.move_key(id, from, to, true).await;
        proxy.rule(|_, _| Fault::None);
        if !looked && admin.key(id).await.unwrap().moving.is_some() {
            match decide(&engine, &key.value).await {
                // Its meter was not told yet.
                Reason::Ok => used += 1,
                // It is in neither plan.
                other => {
                    assert_eq!(other, Reason::Contended);
                    looked = true;
                }
            }
        }
        if moved.is_err() {
            stopped.move_key(id, from, to, true).await.unwrap();
        }
        let told = decide_at(&engine, &key.value, Timestamp::now()).await;
        let decided = (told.reason, told.plan_id.as_deref());
        assert_eq!(decided, (Reason::Ok, Some(to.as_str())), "{n}");
        let left = told.limit_status.quota().unwrap().remaining;
        assert_eq!(left, 10 - used - 1, "{n}");
        let page = PageRequest {
            limit: 10,
            ..PageRequest::default()
        };
        let listed = admin.linked_keys(&second, None, &page).await;
        assert_eq!(listed.unwrap().items.len(), 1, "{n}");
        if moved.is_ok() {
            assert!(n > 5 && looked, "{n}");
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_that_cannot_be_changes_nothing() {
    let store = Store::embedded().await;
    let (api, admin) = Api::managed(&store).await;
    let (first, key) = linked(&admin, plan(None, None)).await;
    let second = make_plan(&admin, plan(None, None)).await;
    let other_stage = |stage: &str| Plan {
        stages: vec![ApiStage {
            stage: stage.to_owned(),
            ..plan(None, None).stages.remove(0)
        }],
        ..Plan::default()
    };
    let third = make_plan(&admin, other_stage("dev")).await;
    let fourth = make_plan(&admin, other_stage("dev")).await;
    admin.link(&third.id, &key.record.id).await.unwrap();
    let before = admin.key(&key.record.id).await.unwrap();
    let moves = format!("{}/moves", key.path());
    let (first, second, third, fourth) = (&*first.id, &*second.id, &*third.id, &*fourth.id);
    for (status, from, to, usage, expected) in [
        (400, first, second, "", "expected carry or clear"),
        (400, first, second, "keep", "expected carry or clear"),
        (400, "", second, "carry", "fromUsagePlanId is required"),
        (400, first, "", "carry", "toUsagePlanId is required"),
        (404, first, "nope", "carry", "Invalid Usage Plan ID"),
        (404, second, fourth, "carry", "Usage Plan Key"),
        (409, first, third, "carry", "already in this usage plan"),
        (409, first, first, "carry", "already in this usage plan"),
        (
            409,
            first,
            fourth,
            "carry",
            "which covers API stage api:dev too",
        ),
    ] {
        let body = json!({ "fromUsagePlanId": from, "toUsagePlanId": to, "usage": usage });
        let error = api
            .call(status, axum::http::Method::POST, &moves, body)
            .await;
        assert!(text(&error["message"]).contains(expected), "{error}");
    }
    assert_eq!(admin.key(&key.record.id).await.unwrap(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_throttle_that_is_owed_to_is_owed_to_after_a_move_however_little_and_however_many() {
    let store = Store::embedded().await;
    let admin = admin(&store).await;
    let mut limits = plan(Some((0.01, 1)), None);
    let slow = Throttle::new(Some(0.001), Some(5)).unwrap();
    for number in 0..150 {
        let method = format!("/methods/{number}/GET").parse().unwrap();
        limits.stages[0].throttle.insert(method, slow);
    }
    let second = make_plan(&admin, limits.clone()).await;
    limits.throttle = None;
    let (first, key) = linked(&admin, limits).await;
    let engine = engine(&store, PATIENT).await;
    let now = Timestamp::now();
    for number in 0..150 {
        let target = target(&format!("/methods/{number}"));
        let verdict = decide_on(&engine, &key.value, &target, 1, now).await;
        assert_eq!(verdict.reason, Reason::Ok);
    }
    let (id, from, to) = (&key.record.id, &first.id, &second.id);
    admin.move_key(id, from, to, true).await.unwrap();
    let target = target("/methods/149");
    let verdict = decide_on(&engine, &key.value, &target, 1, now).await;
    assert_eq!(
        (verdict.reason, verdict.plan_id.as_deref()),
        (Reason::Ok, Some(to.as_str()))
    );
    assert_eq!(
        verdict
            .limit_status
            .bucket(LimitKind::Method)
            .unwrap()
            .remaining,
        3
    );
    // Not even a whole request is owed to the plan's own bucket any more when it goes back and forth.
    admin.move_key(id, to, from, true).await.unwrap();
    admin.move_key(id, from, to, true).await.unwrap();
    let later = now + SignedDuration::from_secs(60);
    let verdict = decide_at(&engine, &key.value, later).await;
    assert_eq!(verdict.reason, Reason::Rate);
}

async fn a_move_to_a_plan_that_is_deleted_meanwhile_leaves_the_key_where_it_was(kind: Kind) {
    let store = Store::new(kind).await;
    let admin = admin(&store).await;
    let (first, key) = linked(&admin, plan(None, None)).await;
    let mut closed = plan(None, None);
    closed.stages.clear();
    let second = make_plan(&admin, closed).await;
    let third = make_plan(&admin, plan(None, None)).await;
    let (id, from, to) = (&key.record.id, &first.id, &second.id);
    for n in 0.. {
        let (stopped, _) = stopped_at(&store, n).await;
        let moved = stopped.move_key(id, from, to, true).await;
        assert!(moved.is_err(), "{n}");
        if admin.key(id).await.unwrap().moving.is_some() {
            break;
        }
    }
    admin.delete_plan(to, None).await.unwrap();
    let gone = admin.move_key(id, from, to, true).await;
    assert!(matches!(gone, Err(Error::NoSuchPlan)), "{gone:?}");
    assert_eq!(
        admin.key(id).await.unwrap().plans,
        std::slice::from_ref(from)
    );
    let engine = engine(&store, PATIENT).await;
    assert_eq!(decide(&engine, &key.value).await, Reason::Ok);
    // It goes elsewhere as ever, once.
    admin.move_key(id, from, &third.id, false).await.unwrap();
    let other = admin.move_key(id, from, &third.id, true).await;
    assert!(matches!(other, Err(Error::AlreadyLinked)), "{other:?}");
}
