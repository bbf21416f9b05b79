//! Exactness: whatever many callers do at once, never over, nothing lost, revoked stays revoked.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::http::{Method, StatusCode};
use jiff::{SignedDuration, Timestamp, ToSpan};
use serde_json::{Value, json};
use tollgate_admin::Error;
use tollgate_core::calendar::{PeriodKind, day_of};
use tollgate_core::limit::{Quota, Throttle};
use tollgate_core::verdict::Reason;
use tollgate_dynamo::item::key::KeyRecord;
use tollgate_dynamo::item::plan::PlanRecord;
use tollgate_engine::Engine;
use tollgate_tests::gateway::Dev;
use tollgate_tests::on_both_stores;
use tollgate_tests::proxy::Proxy;
use tollgate_tests::stores::{Kind, Store};
use tollgate_tests::world::{
    PATIENT, admin, at, decide, decide_at, engine, linked, plan, total, usage, used,
};

on_both_stores!(
    four_processes_of_eight_callers_get_exactly_the_quota,
    with_a_frozen_clock_exactly_the_burst_passes,
    in_any_interval_no_more_than_burst_and_rate_pass,
    midnight_at_the_months_end_under_load_loses_and_doubles_nothing,
    a_key_that_is_revoked_under_load_is_refused_from_the_answer_on,
    a_plan_that_is_lowered_under_load_holds_once_one_has_seen_it,
);

async fn four_processes_of_eight_callers_get_exactly_the_quota(kind: Kind) {
    let store = Store::new(kind).await;
    let mut processes = Vec::new();
    for _ in 0..4 {
        let arguments = [
            "--dynamodb-endpoint",
            &store.endpoint,
            "--table",
            &store.table,
        ];
        // The machine may be slow, and a time-out is another test's matter.
        let patient = [
            ("TOLLGATE_ATTEMPT_TIMEOUT_MS", "10000"),
            ("TOLLGATE_TOTAL_TIMEOUT_MS", "30000"),
        ];
        processes.push(Arc::new(Dev::start(&arguments, &patient).await));
    }
    let first = &processes[0];
    let stage = json!({ "apiId": "local", "stage": "$default" });
    let plan =
        json!({ "name": "p", "apiStages": [stage], "quota": { "limit": 500, "period": "MONTH" } });
    let (status, plan) = first.manage(Method::POST, "/usageplans", plan).await;
    assert_eq!(status, StatusCode::CREATED);
    let (_, key) = first
        .manage(Method::POST, "/apikeys", json!({ "enabled": true }))
        .await;
    let (plan, id, value) = (text(&plan["id"]), text(&key["id"]), text(&key["value"]));
    let link = json!({ "keyId": id, "keyType": "API_KEY" });
    let (status, _) = first
        .manage(Method::POST, &format!("/usageplans/{plan}/keys"), link)
        .await;
    assert_eq!(status, StatusCode::CREATED);

    let mut callers = Vec::new();
    for process in &processes {
        for _ in 0..8 {
            let (process, value) = (Arc::clone(process), value.clone());
            callers.push(tokio::spawn(async move {
                let mut admitted = 0;
                // 32 callers, 2,016 requests.
                for _ in 0..63 {
                    let (status, _, reason) = process.get("/", Some(&value)).await;
                    match reason.as_str() {
                        "ok" => admitted += u64::from(status == StatusCode::OK),
                        // Twelve lanes for 32 callers: some give up in the crowd, charged nothing.
                        "quota" | "contended" => assert_eq!(status, StatusCode::FORBIDDEN),
                        other => panic!("{other}"),
                    }
                }
                admitted
            }));
        }
    }
    let admitted = total(callers).await;
    assert_eq!(admitted, 500);
    let today = day_of(Timestamp::now());
    let range = format!("startDate={}&endDate={}", today - 1.day(), today + 1.day());
    let (_, usage) = first
        .manage(
            Method::GET,
            &format!("/usageplans/{plan}/usage?{range}"),
            Value::Null,
        )
        .await;
    let days = usage["values"][&id].as_array().unwrap();
    let counted: u64 = days.iter().map(|day| day[0].as_u64().unwrap()).sum();
    assert_eq!(counted, 500);
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

async fn engines(store: &Store, number: usize) -> Vec<Arc<Engine>> {
    let mut engines = Vec::new();
    for _ in 0..number {
        engines.push(Arc::new(engine(store, PATIENT).await));
    }
    engines
}

async fn with_a_frozen_clock_exactly_the_burst_passes(kind: Kind) {
    let store = Store::new(kind).await;
    let admin = admin(&store).await;
    let (plan, key) = linked(&admin, plan(Some((10.0, 100)), None)).await;
    let now = at("2054-11-22T12:00:00Z");
    let mut callers = Vec::new();
    for engine in engines(&store, 4).await {
        for _ in 0..8 {
            let (engine, key) = (Arc::clone(&engine), key.value.clone());
            callers.push(tokio::spawn(async move {
                let mut admitted = 0;
                for _ in 0..20 {
                    admitted += u64::from(decide_at(&engine, &key, now).await.reason == Reason::Ok);
                }
                admitted
            }));
        }
    }
    let admitted = total(callers).await;
    assert_eq!(admitted, 100);
    assert_eq!(
        used(&admin, &plan.id, &key.record.id, day_of(now)).await,
        100
    );
}

async fn in_any_interval_no_more_than_burst_and_rate_pass(kind: Kind) {
    let store = Store::new(kind).await;
    let (rate, burst) = (40.0, 10);
    let (_, key) = linked(&admin(&store).await, plan(Some((rate, burst)), None)).await;
    let mut callers = Vec::new();
    for engine in engines(&store, 3).await {
        for _ in 0..3 {
            let (engine, key) = (Arc::clone(&engine), key.value.clone());
            callers.push(tokio::spawn(async move {
                let mut times = Vec::new();
                let end = Instant::now() + Duration::from_secs(3);
                while Instant::now() < end {
                    let now = Timestamp::now();
                    if decide_at(&engine, &key, now).await.reason == Reason::Ok {
                        times.push(now.as_nanosecond());
                    } else {
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                }
                times
            }));
        }
    }
    let mut times = Vec::new();
    for caller in callers {
        times.extend(caller.await.unwrap());
    }
    times.sort_unstable();
    for (first, start) in times.iter().enumerate() {
        for (last, end) in times.iter().enumerate().skip(first) {
            let count = i128::try_from(last - first + 1).unwrap();
            // One instant's clock for all: e is 0. The interval is 25 ms exactly.
            assert!(
                (count - i128::from(burst)) * 25_000_000 <= end - start,
                "{count} in {} ns",
                end - start
            );
        }
    }
    assert!(times.len() > 60, "the rate is reached: {}", times.len());
}

async fn midnight_at_the_months_end_under_load_loses_and_doubles_nothing(kind: Kind) {
    let store = Store::new(kind).await;
    let admin = admin(&store).await;
    let limit = 150;
    let (plan, key) = linked(&admin, plan(None, Some((limit, PeriodKind::Month)))).await;
    let start = at("2054-11-30T23:59:57Z");
    let mut callers = Vec::new();
    for (number, engine) in engines(&store, 4).await.into_iter().enumerate() {
        // Two clocks, a second apart.
        let offset = SignedDuration::from_secs(i64::try_from(number % 2).unwrap());
        for _ in 0..3 {
            let (engine, key) = (Arc::clone(&engine), key.value.clone());
            callers.push(tokio::spawn(async move {
                let mut admitted = 0;
                for step in 0..60 {
                    let now = start + offset + SignedDuration::from_millis(100 * step);
                    admitted += u64::from(decide_at(&engine, &key, now).await.reason == Reason::Ok);
                    tokio::task::yield_now().await;
                }
                admitted
            }));
        }
    }
    let admitted = total(callers).await;
    let (last, first) = (day_of(start), day_of(start) + 1.day());
    let days = usage(&admin, &plan.id, &key.record.id, (last, first)).await;
    assert_eq!(days.iter().map(|day| day.used).sum::<u64>(), admitted);
    assert!(days.iter().all(|day| day.used <= limit), "{days:?}");
    // 720 requests: both months are used up.
    assert_eq!(
        days.iter().map(|day| day.remaining).collect::<Vec<_>>(),
        [Some(0), Some(0)]
    );
}

/// Callers that go on until they are told to stop, and how many requests of theirs were admitted.
struct Load {
    stop: Arc<AtomicBool>,
    admitted: Arc<AtomicU64>,
    /// Decided, whether admitted or refused.
    decided: Arc<AtomicU64>,
    /// Admitted although asked after the moment that was set.
    late: Arc<AtomicU64>,
    /// Counts changes: odd while the key is revoked.
    changes: Arc<AtomicU64>,
    callers: Vec<tokio::task::JoinHandle<()>>,
}

impl Load {
    fn start(engines: &[Arc<Engine>], key: &str) -> Self {
        let mut load = Self {
            stop: Arc::default(),
            admitted: Arc::default(),
            decided: Arc::default(),
            late: Arc::default(),
            changes: Arc::default(),
            callers: Vec::new(),
        };
        for engine in engines {
            for _ in 0..3 {
                let (engine, key) = (Arc::clone(engine), key.to_owned());
                let (stop, admitted) = (Arc::clone(&load.stop), Arc::clone(&load.admitted));
                let (late, changes) = (Arc::clone(&load.late), Arc::clone(&load.changes));
                let decided = Arc::clone(&load.decided);
                load.callers.push(tokio::spawn(async move {
                    while !stop.load(Ordering::SeqCst) {
                        let before = changes.load(Ordering::SeqCst);
                        let reason = decide(&engine, &key).await;
                        decided.fetch_add(1, Ordering::SeqCst);
                        if reason == Reason::Ok {
                            admitted.fetch_add(1, Ordering::SeqCst);
                            // One that is still under way when the key is given back may pass.
                            let is_late =
                                before % 2 == 1 && changes.load(Ordering::SeqCst) == before;
                            late.fetch_add(u64::from(is_late), Ordering::SeqCst);
                        } else {
                            tokio::time::sleep(Duration::from_millis(3)).await;
                        }
                    }
                }));
            }
        }
        load
    }

    /// Waits until some more were admitted.
    async fn more(&self) {
        more(&self.admitted, 20).await;
    }

    /// Waits until many more were decided, whatever came of them.
    async fn go_on(&self) {
        more(&self.decided, 200).await;
    }

    /// The key is revoked from here on, or about to be given back.
    fn changed(&self) {
        self.changes.fetch_add(1, Ordering::SeqCst);
    }

    async fn stop(self) -> (u64, u64) {
        self.stop.store(true, Ordering::SeqCst);
        for caller in self.callers {
            caller.await.unwrap();
        }
        (
            self.admitted.load(Ordering::SeqCst),
            self.late.load(Ordering::SeqCst),
        )
    }
}

/// Waits until a count has grown by so many.
async fn more(count: &AtomicU64, many: u64) {
    let enough = count.load(Ordering::SeqCst) + many;
    let patience = Instant::now() + Duration::from_secs(20);
    while count.load(Ordering::SeqCst) < enough {
        assert!(Instant::now() < patience, "no more are counted");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn a_key_that_is_revoked_under_load_is_refused_from_the_answer_on(kind: Kind) {
    let store = Store::new(kind).await;
    let admin = admin(&store).await;
    let (plan, key) = linked(
        &admin,
        plan(Some((1e6, 100_000)), Some((1_000_000, PeriodKind::Month))),
    )
    .await;
    let load = Load::start(&engines(&store, 3).await, &key.value);
    let id = &key.record.id;
    let enable = |enabled: bool| {
        admin.update_key(id, move |record: &mut KeyRecord| {
            record.enabled = enabled;
            Ok::<_, Error>(())
        })
    };
    for _ in 0..3 {
        load.more().await;
        enable(false).await.unwrap();
        load.changed();
        load.go_on().await;
        load.changed();
        enable(true).await.unwrap();
        load.more().await;
        admin.unlink(&plan.id, id).await.unwrap();
        load.changed();
        load.go_on().await;
        load.changed();
        admin.link(&plan.id, id).await.unwrap();
    }
    load.more().await;
    let (admitted, late) = load.stop().await;
    assert_eq!(late, 0);
    let today = day_of(Timestamp::now());
    assert_eq!(used(&admin, &plan.id, id, today - 1.day()).await, admitted);

    let load = Load::start(&engines(&store, 2).await, &key.value);
    load.more().await;
    admin.delete_key(id).await.unwrap();
    load.changed();
    load.go_on().await;
    assert_eq!(load.stop().await.1, 0);
}

async fn a_plan_that_is_lowered_under_load_holds_once_one_has_seen_it(kind: Kind) {
    let store = Store::new(kind).await;
    let proxy = Proxy::to(&store.endpoint).await;
    let admin = admin(&store).await;
    let (plan, key) = linked(
        &admin,
        plan(Some((1e6, 100_000)), Some((1_000_000, PeriodKind::Month))),
    )
    .await;
    let load = Load::start(
        &engines(&store.through(&proxy.endpoint), 3).await,
        &key.value,
    );
    load.more().await;
    admin
        .update_plan(&plan.id, |record: &mut PlanRecord| {
            record.limits.quota = Some(Quota::new(60, PeriodKind::Month, 0).unwrap());
            record.limits.throttle = Some(Throttle::new(Some(50.0), Some(10)).unwrap());
            Ok::<_, Error>(())
        })
        .await
        .unwrap();
    // An engine that starts now knows the new plan, and its first charge makes it known to all.
    let fresh = engine(&store, PATIENT).await;
    // On a busy machine the load may get ahead of all its attempts.
    while decide(&fresh, &key.value).await == Reason::Contended {}
    let today = day_of(Timestamp::now());
    let by_then = used(&admin, &plan.id, &key.record.id, today - 1.day()).await;
    load.go_on().await;
    let (admitted, _) = load.stop().await;
    let finally = used(&admin, &plan.id, &key.record.id, today - 1.day()).await;
    // Where the old plan had admitted more than 60 by then, the fresh engine was refused and made nothing known: the
    // old plan may go on for its ten seconds. That is not what this test is about.
    if by_then <= 60 {
        assert!(finally <= 60, "{finally} under a quota of 60");
        assert!(finally >= admitted);
    }
}
