//! Setting what is left of a quota, while requests go on.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::http::Method;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tollgate_core::calendar::{PeriodKind, day_of};
use tollgate_core::verdict::Reason;
use tollgate_tests::api::Api;
use tollgate_tests::on_both_stores;
use tollgate_tests::proxy::{Fault, Proxy};
use tollgate_tests::stores::{Kind, Store};
use tollgate_tests::world::{
    Key, PATIENT, admin, decide, decide_at, engine, linked, make_key, make_plan, plan, total, usage,
};

on_both_stores!(
    under_load_no_request_is_admitted_beyond_what_was_granted,
    a_grant_whose_answer_is_lost_is_made_once,
    a_grant_of_the_most_and_a_raised_limit_leave_a_meter_that_can_be_read,
);

fn per(period: PeriodKind, limit: u64) -> tollgate_core::plan::Plan {
    plan(None, Some((limit, period)))
}

/// The time at which a spent quota is asked about again.
fn a_second_later() -> Timestamp {
    Timestamp::now() + SignedDuration::from_millis(1_050)
}

/// How many requests are admitted at `now` until one is refused, which must be for the quota.
async fn admitted(engine: &tollgate_engine::Engine, key: &Key, now: Timestamp) -> u64 {
    for count in 0..100 {
        match decide_at(engine, &key.value, now).await.reason {
            Reason::Ok => {}
            Reason::Quota => return count,
            other => panic!("{other}"),
        }
    }
    panic!("nothing is refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spent_quota_that_is_extended_admits_exactly_that_much_more_within_a_second() {
    let store = Store::embedded().await;
    let admin = admin(&store).await;
    let (plan, key) = linked(&admin, per(PeriodKind::Month, 3)).await;
    let engine = engine(&store, PATIENT).await;
    assert_eq!(admitted(&engine, &key, Timestamp::now()).await, 3);
    admin
        .set_remaining(&plan.id, &key.record.id, 5)
        .await
        .unwrap();
    assert_eq!(admitted(&engine, &key, a_second_later()).await, 5);
    let today = day_of(admin.now());
    let days = usage(&admin, &plan.id, &key.record.id, (today, today)).await;
    assert_eq!((days[0].used, days[0].remaining), (8, Some(0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_can_be_more_than_the_limit_and_nothing() {
    let store = Store::embedded().await;
    let admin = admin(&store).await;
    let (plan, key) = linked(&admin, per(PeriodKind::Day, 3)).await;
    let engine = engine(&store, PATIENT).await;
    admin
        .set_remaining(&plan.id, &key.record.id, 20)
        .await
        .unwrap();
    assert_eq!(admitted(&engine, &key, Timestamp::now()).await, 20);
    admin
        .set_remaining(&plan.id, &key.record.id, 2)
        .await
        .unwrap();
    let later = decide_at(&engine, &key.value, a_second_later()).await;
    assert_eq!(later.reason, Reason::Ok);
    admin
        .set_remaining(&plan.id, &key.record.id, 0)
        .await
        .unwrap();
    assert_eq!(decide(&engine, &key.value).await, Reason::Quota);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_that_is_over_is_closed_and_keeps_its_count() {
    let store = Store::embedded().await;
    let admin = admin(&store).await;
    let (plan, key) = linked(&admin, per(PeriodKind::Day, 10)).await;
    // The key's meter begins today: its yesterday is told by an engine whose today is yesterday's tomorrow.
    let engine = engine(&store, PATIENT).await;
    let now = Timestamp::now();
    for _ in 0..4 {
        assert_eq!(decide_at(&engine, &key.value, now).await.reason, Reason::Ok);
    }
    let tomorrow = now + SignedDuration::from_hours(24);
    for _ in 0..2 {
        let verdict = decide_at(&engine, &key.value, tomorrow).await;
        assert_eq!(verdict.reason, Reason::Ok);
    }
    // A closed day waits in the meter, whose day is later than the admin's clock: time does not run back.
    admin
        .set_remaining(&plan.id, &key.record.id, 1)
        .await
        .unwrap();
    let range = (day_of(now), day_of(tomorrow));
    let days = usage(&admin, &plan.id, &key.record.id, range).await;
    let used: Vec<_> = days.iter().map(|day| (day.used, day.remaining)).collect();
    assert_eq!(used, [(4, Some(6)), (2, Some(1))]);
    assert_eq!(
        decide_at(&engine, &key.value, tomorrow).await.reason,
        Reason::Ok
    );
    assert_eq!(
        decide_at(&engine, &key.value, tomorrow).await.reason,
        Reason::Quota
    );
}

async fn under_load_no_request_is_admitted_beyond_what_was_granted(kind: Kind) {
    let store = Store::new(kind).await;
    let admin = Arc::new(admin(&store).await);
    let (plan, key) = linked(&admin, per(PeriodKind::Month, 40)).await;
    let mut callers = Vec::new();
    for _ in 0..4 {
        let engine = engine(&store, PATIENT).await;
        let key = key.value.clone();
        callers.push(tokio::spawn(async move {
            let (mut admitted, until) = (0, tokio::time::Instant::now() + Duration::from_secs(5));
            while tokio::time::Instant::now() < until {
                match decide(&engine, &key).await {
                    Reason::Ok => admitted += 1,
                    Reason::Quota => tokio::time::sleep(Duration::from_millis(20)).await,
                    Reason::Contended => {}
                    other => panic!("{other}"),
                }
            }
            admitted
        }));
    }
    // The first comes while the quota is being spent, the last when it is.
    for wait in [10, 500, 1_500] {
        tokio::time::sleep(Duration::from_millis(wait)).await;
        admin
            .set_remaining(&plan.id, &key.record.id, 30)
            .await
            .unwrap();
    }
    let admitted = total(callers).await;
    assert!((90..=40 + 3 * 30).contains(&admitted), "{admitted}");
    let today = day_of(admin.now());
    let from = today.yesterday().unwrap();
    let days = usage(&admin, &plan.id, &key.record.id, (from, today)).await;
    assert_eq!(days.iter().map(|day| day.used).sum::<u64>(), admitted);
}

async fn a_grant_whose_answer_is_lost_is_made_once(kind: Kind) {
    let store = Store::new(kind).await;
    let (plan, key) = linked(&admin(&store).await, per(PeriodKind::Month, 3)).await;
    let engine = engine(&store, PATIENT).await;
    assert_eq!(admitted(&engine, &key, Timestamp::now()).await, 3);
    let proxy = Proxy::to(&store.endpoint).await;
    let admin = admin(&store.through(&proxy.endpoint)).await;
    // Between a lost answer and its retry, what was granted is spent.
    let writes = AtomicUsize::new(0);
    proxy.rule(move |_, operation| match operation {
        "UpdateItem" if writes.fetch_add(1, Ordering::Relaxed) == 0 => Fault::CutAnswer,
        _ => Fault::None,
    });
    let value = key.value.clone();
    let spender = tokio::spawn(async move {
        let (mut admitted, until) = (0, tokio::time::Instant::now() + Duration::from_secs(8));
        while tokio::time::Instant::now() < until {
            match decide(&engine, &value).await {
                Reason::Ok => admitted += 1,
                _ => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
        admitted
    });
    admin
        .set_remaining(&plan.id, &key.record.id, 10)
        .await
        .unwrap();
    assert_eq!(spender.await.unwrap(), 10);
}

async fn a_grant_of_the_most_and_a_raised_limit_leave_a_meter_that_can_be_read(kind: Kind) {
    let store = Store::new(kind).await;
    let admin = admin(&store).await;
    let (plan, key) = linked(&admin, per(PeriodKind::Month, 1_000)).await;
    let engine = engine(&store, PATIENT).await;
    admin
        .set_remaining(&plan.id, &key.record.id, u64::MAX)
        .await
        .unwrap();
    let most = u64::try_from(i64::MAX).unwrap();
    admin
        .update_plan(&plan.id, |record| {
            record.limits = per(PeriodKind::Month, most);
            Ok::<_, tollgate_admin::Error>(())
        })
        .await
        .unwrap();
    for day in 0..3 {
        let now = Timestamp::now() + SignedDuration::from_hours(24 * day);
        assert_eq!(decide_at(&engine, &key.value, now).await.reason, Reason::Ok);
    }
    let today = day_of(Timestamp::now());
    let days = usage(&admin, &plan.id, &key.record.id, (today, today)).await;
    assert_eq!(days[0].used, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operation_takes_one_path_and_whole_numbers() {
    let api = Api::embedded().await;
    let admin = admin(&api.store).await;
    let (plan, key) = linked(&admin, per(PeriodKind::Week, 10)).await;
    let path = |plan: &str, key: &str| format!("/usageplans/{plan}/keys/{key}/usage");
    let own = path(&plan.id, &key.record.id);
    let answer = api
        .patch(200, &own, &[["replace", "/remaining", "7"]])
        .await;
    let today = day_of(admin.now()).to_string();
    assert_eq!(
        answer,
        json!({
            "usagePlanId": plan.id, "startDate": today, "endDate": today,
            "values": { key.record.id.as_str(): [[0, 7]] },
        })
    );
    for (operation, message) in [
        (["add", "/remaining", "7"], "Must be one of: []"),
        (["replace", "/used", "7"], "Must be one of: [/remaining]"),
        (
            ["replace", "/remaining", "-1"],
            "expected a whole number from 0 to 9007199254740992, got \"-1\"",
        ),
        (["replace", "/remaining", "1.5"], "expected a whole number"),
        (
            ["replace", "/remaining", "99999999999999999999"],
            "expected a whole number",
        ),
        (["replace", "/remaining", ""], "expected a whole number"),
    ] {
        let error = api.patch(400, &own, &[operation]).await;
        assert!(
            error["message"].as_str().unwrap().contains(message),
            "{error}"
        );
    }
    let other = make_key(&admin).await;
    let unlimited = make_plan(&admin, plan_without_quota()).await;
    admin.link(&unlimited.id, &key.record.id).await.unwrap();
    for (status, path) in [
        (404, path("nosuchplan", &key.record.id)),
        (404, path(&plan.id, "nosuchkey")),
        (404, path(&plan.id, &other.record.id)),
        (400, path(&unlimited.id, &key.record.id)),
    ] {
        api.patch(status, &path, &[["replace", "/remaining", "7"]])
            .await;
    }
    let day = api
        .get(&format!(
            "/usageplans/{}/usage?startDate={today}&endDate={today}",
            plan.id
        ))
        .await;
    assert_eq!(day["values"][key.record.id.as_str()], json!([[0, 7]]));
    let empty = path(&plan.id, "nosuchkey");
    api.call(404, Method::PATCH, &empty, Value::Null).await;
    // Of several operations all count or none.
    let both = [
        ["replace", "/remaining", "3"],
        ["replace", "/remaining", "x"],
    ];
    api.patch(400, &own, &both).await;
    let nothing = api.call(200, Method::PATCH, &own, Value::Null).await;
    assert_eq!(nothing["values"][key.record.id.as_str()], json!([[0, 7]]));
}

fn plan_without_quota() -> tollgate_core::plan::Plan {
    let mut limits = plan(None, None);
    "other".clone_into(&mut limits.stages[0].stage);
    limits
}
