//! Requests of one process on one key that meet a write under way are charged together by the next.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use jiff::{Timestamp, ToSpan};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tollgate_admin::{Admin, Error};
use tollgate_core::calendar::{PeriodKind, day_of};
use tollgate_core::limit::Throttle;
use tollgate_core::plan::Plan;
use tollgate_core::verdict::{Reason, Verdict};
use tollgate_dynamo::item::key::KeyRecord;
use tollgate_dynamo::item::plan::PlanRecord;
use tollgate_engine::{Engine, Request, Settings};
use tollgate_tests::on_both_stores;
use tollgate_tests::proxy::{Fault, Proxy};
use tollgate_tests::stores::{Kind, Store};
use tollgate_tests::world::{
    Key, PATIENT, admin, at, decide, decide_at, decide_on, engine, linked, plan, target, used,
};

on_both_stores!(batches_of_two_processes_get_exactly_what_was_granted_beyond_the_quota);

struct Bench {
    proxy: Proxy,
    admin: Admin,
    plan: PlanRecord,
    key: Key,
    engine: Arc<Engine>,
}

impl Bench {
    async fn new(limits: Plan) -> Self {
        Self::with(limits, PATIENT).await
    }

    async fn with(limits: Plan, settings: Settings) -> Self {
        let store = Store::embedded().await;
        let proxy = Proxy::to(&store.endpoint).await;
        let admin = admin(&store).await;
        let (plan, key) = linked(&admin, limits).await;
        let engine = Arc::new(engine(&store.through(&proxy.endpoint), settings).await);
        Self {
            proxy,
            admin,
            plan,
            key,
            engine,
        }
    }

    /// The key, its meter and its plan are known, and calls take a while from now on.
    async fn warm(&self, cost: u32, call: Duration) {
        let first = self.decide(cost).await;
        assert_eq!(first.reason, Reason::Ok);
        self.proxy.rule(move |_, _| Fault::Delay(call));
        self.proxy.take_calls();
    }

    /// The key, its meter and its plan are known, and the next write does not reach the store until it is let through.
    async fn hold_the_next_write(&self) {
        self.warm(1, Duration::ZERO).await;
        self.proxy.rule(|number, _| match number {
            0 => Fault::Hold,
            _ => Fault::None,
        });
    }

    /// A request that goes on by itself.
    fn start(&self) -> JoinHandle<Reason> {
        let engine = Arc::clone(&self.engine);
        let key = self.key.value.clone();
        tokio::spawn(async move { decide(&engine, &key).await })
    }

    async fn decide(&self, cost: u32) -> Verdict {
        decide_on(
            &self.engine,
            &self.key.value,
            &target("/"),
            cost,
            Timestamp::now(),
        )
        .await
    }

    fn writes(&self) -> usize {
        self.proxy
            .take_counts()
            .get("UpdateItem")
            .copied()
            .unwrap_or(0)
    }

    async fn used(&self) -> u64 {
        let yesterday = day_of(Timestamp::now()) - 1.day();
        used(&self.admin, &self.plan.id, &self.key.record.id, yesterday).await
    }
}

fn generous() -> Plan {
    plan(
        Some((100_000.0, 100_000)),
        Some((10_000_000, PeriodKind::Month)),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn many_requests_at_once_are_charged_by_few_writes_and_none_is_refused() {
    for at_once in [64, 512] {
        let bench = Bench::new(generous()).await;
        bench.warm(1, Duration::from_millis(30)).await;
        let rounds = 4;
        let caller = async || {
            for _ in 0..rounds {
                assert_eq!(decide(&bench.engine, &bench.key.value).await, Reason::Ok);
            }
        };
        join_all((0..at_once).map(|_| caller())).await;
        // Each round is one write or two.
        let writes = bench.writes();
        assert!(
            20 * writes <= at_once * rounds,
            "{writes} writes for {rounds} rounds of {at_once}"
        );
        let decided = u64::try_from(at_once * rounds + 1).unwrap();
        assert_eq!(bench.used().await, decided);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn as_many_pass_as_there_is_room_for_in_the_order_in_which_they_came() {
    // A token in a thousand seconds: only the burst counts.
    for limits in [
        plan(Some((0.001, 31)), None),
        plan(None, Some((31, PeriodKind::Month))),
    ] {
        let bench = Bench::new(limits).await;
        bench.warm(1, Duration::from_millis(20)).await;
        let now = Timestamp::now();
        let caller = |_| decide_at(&bench.engine, &bench.key.value, now);
        let verdicts = join_all((0..50).map(caller)).await;
        let passed: Vec<_> = verdicts.iter().map(Verdict::is_allowed).collect();
        let expected: Vec<_> = (0..50).map(|number| number < 30).collect();
        assert_eq!(passed, expected);
        assert_eq!(bench.used().await, 31);
        for refused in &verdicts[30..] {
            assert!(
                matches!(refused.reason, Reason::Rate | Reason::Quota),
                "{refused:?}"
            );
            assert!(refused.retry_after.is_some(), "{refused:?}");
            assert_eq!(refused.plan_id.as_ref(), Some(&bench.plan.id));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_costs_too_much_does_not_hold_up_those_behind_it() {
    let bench = Bench::new(plan(Some((0.001, 10)), None)).await;
    bench.warm(1, Duration::from_millis(20)).await;
    let verdicts = join_all([1, 4, 7, 3, 2].map(|cost| bench.decide(cost))).await;
    let reasons: Vec<_> = verdicts.iter().map(|verdict| verdict.reason).collect();
    // 9 are left: 1 leaves alone, 4 and 3 pass with it, 7 does not fit, nor do 2 then.
    let expected = [
        Reason::Ok,
        Reason::Ok,
        Reason::Rate,
        Reason::Ok,
        Reason::Rate,
    ];
    assert_eq!(reasons, expected);
    assert_eq!(bench.used().await, 9);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_under_different_limits_are_charged_apart() {
    let mut limits = generous();
    for (path, burst) in [("/a/GET", 5), ("/b/GET", 7)] {
        let throttle = Throttle::new(Some(0.001), Some(burst)).unwrap();
        limits.stages[0]
            .throttle
            .insert(path.parse().unwrap(), throttle);
    }
    let bench = Bench::new(limits).await;
    bench.warm(1, Duration::from_millis(5)).await;
    let now = Timestamp::now();
    let decide = async |path: &str| {
        let target = target(path);
        let caller = |_| decide_on(&bench.engine, &bench.key.value, &target, 1, now);
        let verdicts = join_all((0..20).map(caller)).await;
        verdicts
            .iter()
            .filter(|verdict| verdict.is_allowed())
            .count()
    };
    let passed = tokio::join!(decide("/a"), decide("/b"), decide("/c"));
    assert_eq!(passed, (5, 7, 20));
    assert_eq!(bench.used().await, 33);
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_wait_go_on_when_the_one_who_began_gives_up() {
    let bench = Bench::new(generous()).await;
    bench.hold_the_next_write().await;
    let first = bench.start();
    bench.proxy.holding().await;
    let second = bench.start();
    // Time for it to be the first who waits.
    sleep(Duration::from_millis(5)).await;
    let others: Vec<_> = (0..20).map(|_| bench.start()).collect();
    sleep(Duration::from_millis(5)).await;
    // The first one's client hangs up while its write is under way; so does that of the first of those who wait for it.
    for gone in [first, second] {
        gone.abort();
        assert!(gone.await.unwrap_err().is_cancelled());
    }
    bench.proxy.release().await;
    for other in others {
        assert_eq!(other.await.unwrap(), Reason::Ok);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_given_up_is_not_charged() {
    let bench = Bench::new(generous()).await;
    bench.hold_the_next_write().await;
    let first = bench.start();
    bench.proxy.holding().await;
    // They wait for the first one's write, and are gone when it is answered.
    let decide = || decide(&bench.engine, &bench.key.value);
    let leaving = (0..10).map(|_| timeout(Duration::from_millis(50), decide()));
    assert!(join_all(leaving).await.iter().all(Result::is_err));
    bench.proxy.release().await;
    assert_eq!(first.await.unwrap(), Reason::Ok);
    assert_eq!(decide().await, Reason::Ok);
    assert_eq!(bench.used().await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_waits_no_longer_than_it_can() {
    let bench = Bench::new(generous()).await;
    bench.hold_the_next_write().await;
    let first = bench.start();
    bench.proxy.holding().await;
    let hurried = Request {
        credential: Some(&bench.key.value),
        target: &target("/"),
        cost: NonZeroU32::MIN,
        clock: bench.engine.time(),
        deadline: Some(Instant::now() + Duration::from_millis(200)),
    };
    let verdict = bench.engine.decide(&hurried).await;
    assert_eq!(verdict.reason, Reason::StoreUnavailable);
    // The write that it would have waited for is still under way.
    assert!(!first.is_finished());
    bench.proxy.release().await;
    assert_eq!(first.await.unwrap(), Reason::Ok);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_is_found_out_for_all_of_a_batch() {
    let impatient = Settings {
        attempt_timeout: Duration::from_secs(4),
        ..PATIENT
    };
    let bench = Bench::with(plan(Some((1e6, 1_000)), None), impatient).await;
    bench.warm(1, Duration::from_millis(50)).await;
    // The write after the first is made, and its answer never comes.
    bench.proxy.rule(|number, _| match number {
        1 => Fault::CutAnswer,
        _ => Fault::Delay(Duration::from_millis(50)),
    });
    let caller = |_| decide(&bench.engine, &bench.key.value);
    let reasons = join_all((0..30).map(caller)).await;
    assert_eq!(reasons, vec![Reason::Ok; 30]);
    assert_eq!(bench.used().await, 31);
    let counts = bench.proxy.take_counts();
    // Warming up is not counted: one alone, the lost one of the others, and the try that finds it made.
    assert_eq!(counts, BTreeMap::from([("UpdateItem".to_owned(), 3)]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_ends_batches_under_way() {
    let bench = Bench::new(generous()).await;
    bench.warm(1, Duration::from_millis(30)).await;
    let callers = async {
        let caller = async |_| {
            let mut after = 0;
            for _ in 0..40 {
                let came = Instant::now();
                if decide(&bench.engine, &bench.key.value).await == Reason::Ok {
                    after = after.max(came.elapsed().as_millis());
                }
            }
            after
        };
        join_all((0..16).map(caller)).await
    };
    let revoked = async {
        sleep(Duration::from_millis(100)).await;
        let disable = |record: &mut KeyRecord| {
            record.enabled = false;
            Ok::<_, Error>(())
        };
        bench
            .admin
            .update_key(&bench.key.record.id, disable)
            .await
            .unwrap();
        bench.used().await
    };
    let (_, by_then) = tokio::join!(callers, revoked);
    // From the call's answer on nothing is charged, whatever was waiting.
    assert_eq!(bench.used().await, by_then);
    let later = at("2054-11-22T12:00:00Z");
    let verdict = decide_at(&bench.engine, &bench.key.value, later).await;
    assert_eq!(verdict.reason, Reason::Disabled);
}

/// The reasons of requests by several engines on one key, each with so many at once.
async fn reasons(
    store: &Store,
    key: &str,
    engines: usize,
    at_once: usize,
    each: usize,
) -> HashMap<Reason, u64> {
    let proxy = Proxy::to(&store.endpoint).await;
    let mut all = Vec::new();
    for _ in 0..engines {
        all.push(engine(&store.through(&proxy.endpoint), PATIENT).await);
    }
    proxy.rule(|_, _| Fault::Delay(Duration::from_millis(4)));
    let caller = async |engine: &Engine| {
        let mut reasons = Vec::new();
        for _ in 0..each {
            reasons.push(decide(engine, key).await);
            // Faster than the plan, but not than the machine.
            sleep(Duration::from_millis(20)).await;
        }
        reasons
    };
    let callers = all
        .iter()
        .flat_map(|engine| (0..at_once).map(move |_| engine));
    let mut counts = HashMap::new();
    for reason in join_all(callers.map(caller)).await.into_iter().flatten() {
        *counts.entry(reason).or_default() += 1;
    }
    counts
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_are_over_the_rate_together_are_refused_by_it_and_never_as_contended() {
    let store = Store::embedded().await;
    let admin = admin(&store).await;
    let (plan, key) = linked(&admin, plan(Some((300.0, 50)), None)).await;
    let counts = reasons(&store, &key.value, 4, 16, 40).await;
    assert_eq!(counts.get(&Reason::Contended), None, "{counts:?}");
    assert!(counts[&Reason::Rate] > 0, "{counts:?}");
    let yesterday = day_of(Timestamp::now()) - 1.day();
    let used = used(&admin, &plan.id, &key.record.id, yesterday).await;
    assert_eq!(used, counts[&Reason::Ok]);
}

async fn batches_of_two_processes_get_exactly_what_was_granted_beyond_the_quota(kind: Kind) {
    let store = Store::new(kind).await;
    let admin = admin(&store).await;
    let (plan, key) = linked(&admin, plan(None, Some((10, PeriodKind::Month)))).await;
    admin
        .set_remaining(&plan.id, &key.record.id, 200)
        .await
        .unwrap();
    let counts = reasons(&store, &key.value, 2, 64, 4).await;
    assert_eq!(counts.get(&Reason::Ok), Some(&200), "{counts:?}");
    assert_eq!(counts.keys().count(), 2, "{counts:?}");
}
