//! A store that fails: answers cut off after the write, originals that arrive after their retry, refusals, stalls.
//! Never over, nobody charged twice, and always an answer in time.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::{Timestamp, ToSpan};
use tollgate_core::calendar::{PeriodKind, day_of};
use tollgate_core::id::PlanId;
use tollgate_core::limit::Throttle;
use tollgate_core::verdict::{Decision, Reason};
use tollgate_engine::{OnStoreFailure, Settings};
use tollgate_tests::on_both_stores;
use tollgate_tests::proxy::{Fault, Proxy};
use tollgate_tests::stores::{Kind, Store};
use tollgate_tests::world::{
    admin, decide, decide_at, decide_on, engine, linked, plan, target, used,
};

on_both_stores!(
    a_cut_answer_is_found_out_and_charged_once,
    an_original_that_arrives_after_its_retry_is_not_charged_again,
    with_many_instances_and_all_faults_it_is_never_over_and_nothing_is_lost,
);

/// Quick to give up, so that the faults cost little time.
const QUICK: Settings = Settings {
    attempt_timeout: Duration::from_millis(250),
    total_timeout: Duration::from_millis(1_500),
    on_store_failure: OnStoreFailure::Deny,
    tells_reach: false,
};

/// As quick, and admitting known keys in an outage.
const ALLOWING: Settings = Settings {
    on_store_failure: OnStoreFailure::Allow,
    ..QUICK
};

struct Bench {
    proxy: Proxy,
    store: Store,
    admin: tollgate_admin::Admin,
    plan: PlanId,
    key: tollgate_tests::world::Key,
}

impl Bench {
    async fn new(kind: Kind, limit: u64) -> Self {
        let store = Store::new(kind).await;
        let proxy = Proxy::to(&store.endpoint).await;
        let admin = admin(&store).await;
        let limits = plan(Some((1_000.0, 100_000)), Some((limit, PeriodKind::Month)));
        let (plan, key) = linked(&admin, limits).await;
        Self {
            store: store.through(&proxy.endpoint),
            proxy,
            admin,
            plan: plan.id,
            key,
        }
    }

    async fn used(&self) -> u64 {
        let today = day_of(Timestamp::now());
        used(
            &self.admin,
            &self.plan,
            &self.key.record.id,
            today - 1.day(),
        )
        .await
    }
}

/// Every tenth write meets this fault.
fn every_tenth_write(fault: Fault) -> impl Fn(usize, &str) -> Fault + Send + Sync {
    move |number, operation| match (operation, number % 10) {
        ("UpdateItem", 3) => fault.clone(),
        _ => Fault::None,
    }
}

async fn a_cut_answer_is_found_out_and_charged_once(kind: Kind) {
    for fault in [Fault::CutAnswer, Fault::InternalErrorAfter] {
        let bench = Bench::new(kind, 1_000).await;
        let engine = engine(&bench.store, QUICK).await;
        bench.proxy.rule(every_tenth_write(fault));
        for _ in 0..60 {
            assert_eq!(decide(&engine, &bench.key.value).await, Reason::Ok);
        }
        assert_eq!(bench.used().await, 60);
    }
}

async fn an_original_that_arrives_after_its_retry_is_not_charged_again(kind: Kind) {
    let bench = Bench::new(kind, 1_000).await;
    let engine = engine(&bench.store, QUICK).await;
    bench
        .proxy
        .rule(every_tenth_write(Fault::Delay(Duration::from_millis(400))));
    for _ in 0..60 {
        assert_eq!(decide(&engine, &bench.key.value).await, Reason::Ok);
    }
    bench.proxy.settled().await;
    assert_eq!(bench.used().await, 60);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_original_that_arrives_after_later_requests_is_not_charged_at_all() {
    let bench = Bench::new(Kind::Embedded, 1_000).await;
    let other = engine(&bench.store, QUICK).await;
    let engine = engine(&bench.store, QUICK).await;
    assert_eq!(decide(&engine, &bench.key.value).await, Reason::Ok);
    // Every try of one request is late: it is refused, and its writes are still under way.
    bench.proxy.rule(|_, operation| match operation {
        "UpdateItem" => Fault::Hold,
        _ => Fault::None,
    });
    assert_eq!(
        decide(&engine, &bench.key.value).await,
        Reason::StoreUnavailable
    );
    bench.proxy.rule(|_, _| Fault::None);
    for _ in 0..5 {
        assert_eq!(decide(&engine, &bench.key.value).await, Reason::Ok);
        assert_eq!(decide(&other, &bench.key.value).await, Reason::Ok);
    }
    assert_eq!(bench.used().await, 11);
    bench.proxy.release().await;
    assert_eq!(bench.used().await, 11);
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_for_now_are_tried_again_and_charged_once() {
    let bench = Bench::new(Kind::Embedded, 1_000).await;
    let engine = engine(&bench.store, QUICK).await;
    for fault in [
        Fault::Refuse("ThrottlingException"),
        Fault::Refuse("ProvisionedThroughputExceededException"),
        Fault::Refuse("TransactionConflictException"),
        Fault::InternalError,
    ] {
        bench.proxy.rule(every_tenth_write(fault));
        for _ in 0..20 {
            assert_eq!(decide(&engine, &bench.key.value).await, Reason::Ok);
        }
    }
    assert_eq!(bench.used().await, 80);
}

async fn with_many_instances_and_all_faults_it_is_never_over_and_nothing_is_lost(kind: Kind) {
    let limit = 300;
    let bench = Bench::new(kind, limit).await;
    bench
        .proxy
        .rule(|number, operation| match (operation, number % 20) {
            ("UpdateItem", 3 | 13) => Fault::CutAnswer,
            ("UpdateItem", 5) => Fault::Delay(Duration::from_millis(700)),
            ("UpdateItem", 7) => Fault::Refuse("ThrottlingException"),
            ("UpdateItem", 11) => Fault::InternalError,
            ("UpdateItem", 17) => Fault::InternalErrorAfter,
            ("GetItem", 9) => Fault::Stall,
            _ => Fault::None,
        });
    let mut callers = Vec::new();
    for _ in 0..4 {
        let engine = Arc::new(engine(&bench.store, QUICK).await);
        for _ in 0..4 {
            let (engine, key) = (Arc::clone(&engine), bench.key.value.clone());
            callers.push(tokio::spawn(async move {
                let (mut admitted, mut in_doubt) = (0, 0);
                for _ in 0..40 {
                    let started = Instant::now();
                    match decide(&engine, &key).await {
                        Reason::Ok => admitted += 1,
                        // Refused, and perhaps charged: the one exception, said out loud.
                        Reason::Uncertain | Reason::StoreUnavailable | Reason::Contended => {
                            in_doubt += 1;
                        }
                        reason => assert_eq!(reason, Reason::Quota),
                    }
                    assert!(started.elapsed() < Duration::from_secs(3));
                }
                (admitted, in_doubt)
            }));
        }
    }
    let (mut admitted, mut in_doubt) = (0, 0);
    for caller in callers {
        let counts: (u64, u64) = caller.await.unwrap();
        admitted += counts.0;
        in_doubt += counts.1;
    }
    bench.proxy.settled().await;
    let used = bench.used().await;
    assert!(used <= limit, "{used} used of {limit}");
    assert!(admitted <= used, "{admitted} admitted, {used} used");
    assert!(
        used - admitted <= in_doubt,
        "{used} used, {admitted} admitted, {in_doubt} in doubt"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_stalls_is_given_up_in_time() {
    let bench = Bench::new(Kind::Embedded, 1_000).await;
    let engine = engine(&bench.store, QUICK).await;
    let cold = async || {
        let started = Instant::now();
        let reason = decide(&engine, &bench.key.value).await;
        (reason, started.elapsed())
    };
    bench.proxy.rule(|_, _| Fault::Stall);
    let (reason, took) = cold().await;
    assert_eq!(reason, Reason::StoreUnavailable);
    assert!(took < Duration::from_millis(2_500), "{took:?}");
    bench.proxy.rule(|_, _| Fault::None);
    assert_eq!(cold().await.0, Reason::Ok);
    bench.proxy.rule(|_, _| Fault::Stall);
    let (reason, took) = cold().await;
    assert_eq!(reason, Reason::StoreUnavailable);
    assert!(took < Duration::from_millis(2_500), "{took:?}");

    // Never past the function's own deadline.
    let target = target("/");
    let request = tollgate_engine::Request {
        credential: Some(&bench.key.value),
        target: &target,
        cost: std::num::NonZeroU32::MIN,
        clock: Arc::new(Timestamp::now),
        deadline: Some(tokio::time::Instant::now() + Duration::from_millis(100)),
    };
    let started = Instant::now();
    assert_eq!(
        engine.decide(&request).await.reason,
        Reason::StoreUnavailable
    );
    assert!(
        started.elapsed() < Duration::from_millis(600),
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_closed_is_closed_in_an_outage_too() {
    let store = Store::embedded().await;
    let admin = admin(&store).await;
    let mut limits = plan(None, None);
    let closed = Throttle::new(None, Some(0)).unwrap();
    limits.stages[0]
        .throttle
        .insert("/cats/GET".parse().unwrap(), closed);
    let (_, key) = linked(&admin, limits).await;
    let proxy = Proxy::to(&store.endpoint).await;
    let engine = engine(&store.through(&proxy.endpoint), ALLOWING).await;
    assert_eq!(decide(&engine, &key.value).await, Reason::Ok);
    proxy.rule(|_, _| Fault::InternalError);
    let now = Timestamp::now();
    for (path, expected) in [("/pets", true), ("/cats", false)] {
        let verdict = decide_on(&engine, &key.value, &target(path), 1, now).await;
        assert_eq!(verdict.is_allowed(), expected, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_only_too_busy_or_refuses_is_no_outage() {
    let store = Store::embedded().await;
    let admin = admin(&store).await;
    let (_, key) = linked(&admin, plan(Some((2.0, 2)), None)).await;
    let proxy = Proxy::to(&store.endpoint).await;
    let engine = engine(&store.through(&proxy.endpoint), ALLOWING).await;
    assert_eq!(decide(&engine, &key.value).await, Reason::Ok);
    let throttled = |number: usize, operation: &str| match (operation, number % 10) {
        ("UpdateItem", 1..) => Fault::Refuse("ProvisionedThroughputExceededException"),
        _ => Fault::None,
    };
    let now = Timestamp::now();
    for fault in ["throttling", "refusing"] {
        match fault {
            "throttling" => proxy.rule(throttled),
            _ => proxy.rule(|_, _| Fault::Refuse("AccessDeniedException")),
        }
        let mut admitted = 0;
        for _ in 0..44 {
            // A caller at its own limit makes the store busy, and must gain nothing by it.
            let verdict = decide_at(&engine, &key.value, now).await;
            admitted += u32::from(verdict.is_allowed());
        }
        assert!(
            admitted <= 2,
            "{fault}: {admitted} admitted of a burst of 2"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn by_policy_keys_that_were_good_pass_unmetered_while_the_store_is_away() {
    let bench = Bench::new(Kind::Embedded, 1_000).await;
    let engine = engine(&bench.store, ALLOWING).await;
    let (_, unseen) = linked(&bench.admin, plan(None, None)).await;
    assert_eq!(decide(&engine, &bench.key.value).await, Reason::Ok);
    bench.proxy.rule(|_, _| Fault::InternalError);
    let now = Timestamp::now();
    let verdict = decide_at(&engine, &bench.key.value, now).await;
    assert_eq!(
        (verdict.decision, verdict.reason),
        (Decision::Allow, Reason::StoreUnavailable)
    );
    let verdict = decide_at(&engine, &unseen.value, now).await;
    assert_eq!(
        (verdict.decision, verdict.reason),
        (Decision::Denied, Reason::StoreUnavailable)
    );
    let late = decide_at(&engine, &bench.key.value, now + 61.seconds()).await;
    assert_eq!(late.decision, Decision::Denied);
    bench.proxy.rule(|_, _| Fault::None);
    assert_eq!(bench.used().await, 1);
    // An hour later, and again silent: the key is good for a minute from its last charge, however old its record is.
    let later = now + 3_600.seconds();
    for time in [later, later + 55.seconds()] {
        let verdict = decide_at(&engine, &bench.key.value, time).await;
        assert_eq!(verdict.reason, Reason::Ok);
    }
    bench.proxy.rule(|_, _| Fault::InternalError);
    for second in [70, 80, 110] {
        let verdict = decide_at(&engine, &bench.key.value, later + second.seconds()).await;
        assert_eq!(verdict.decision, Decision::Allow, "after {second} s");
    }
}
