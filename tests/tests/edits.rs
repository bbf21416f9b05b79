//! Plans that are edited and links that are changed while engines know the old ones.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use jiff::{SignedDuration, ToSpan};
use tollgate_admin::Error;
use tollgate_core::calendar::{PeriodKind, day_of};
use tollgate_core::limit::Throttle;
use tollgate_core::verdict::Reason;
use tollgate_dynamo::item::plan::PlanRecord;
use tollgate_engine::Engine;
use tollgate_tests::on_both_stores;
use tollgate_tests::stores::{Kind, Store};
use tollgate_tests::world::{
    PATIENT, admin, at, decide, decide_at, decide_on, engine, linked, make_plan, plan, target, used,
};

on_both_stores!(
    a_lowered_plan_keeps_the_requests_owed,
    relinking_does_not_reset_a_spent_quota,
);

#[tokio::test(flavor = "multi_thread")]
async fn a_day_that_no_clock_can_have_reached_is_closed_and_keeps_the_quota_spent() {
    let store = Store::embedded().await;
    let admin = admin(&store).await;
    let (plan, key) = linked(&admin, plan(None, Some((5, PeriodKind::Month)))).await;
    let warm = engine(&store, PATIENT).await;
    let now = at("2054-11-22T12:00:00Z");
    for _ in 0..3 {
        assert_eq!(decide_at(&warm, &key.value, now).await.reason, Reason::Ok);
    }
    let meter = tollgate_dynamo::item::ItemKey::meter(&key.record.id, &plan.id);
    let update = store.client().await.update_item().table_name(&store.table);
    update
        .set_key(Some(meter.attributes()))
        .update_expression("SET #day = :day")
        .expression_attribute_names("#day", "day")
        .expression_attribute_values(
            ":day",
            aws_sdk_dynamodb::types::AttributeValue::S("2099-01-01".to_owned()),
        )
        .send()
        .await
        .unwrap();
    let cold = engine(&store, PATIENT).await;
    let mut reasons = Vec::new();
    for engine in [&cold, &warm, &cold] {
        let verdict = decide_at(engine, &key.value, now).await;
        reasons.push(verdict.reason);
    }
    assert_eq!(reasons, [Reason::Ok, Reason::Ok, Reason::Quota]);
    // The next month is a new one.
    let next = at("2054-12-01T00:00:00Z");
    assert_eq!(decide_at(&cold, &key.value, next).await.reason, Reason::Ok);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_of_a_key_that_moves_away_cannot_be_set_any_more() {
    for n in 0.. {
        let store = Store::embedded().await;
        let admin = admin(&store).await;
        let (first, key) = linked(&admin, plan(None, Some((10, PeriodKind::Month)))).await;
        let second = make_plan(&admin, plan(None, Some((10, PeriodKind::Month)))).await;
        let warm = engine(&store, PATIENT).await;
        assert_eq!(decide(&warm, &key.value).await, Reason::Ok);
        let id = &key.record.id;
        // The move comes in between two calls of the other operation.
        let proxy = tollgate_tests::proxy::Proxy::to(&store.endpoint).await;
        proxy.rule(move |number, _| match number {
            number if number == n => {
                tollgate_tests::proxy::Fault::Delay(std::time::Duration::from_millis(300))
            }
            _ => tollgate_tests::proxy::Fault::None,
        });
        let other = tollgate_tests::world::admin(&store.through(&proxy.endpoint)).await;
        let (set, moved) = tokio::join!(other.set_remaining(&first.id, id, 4), async {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            admin.move_key(id, &first.id, &second.id, true).await
        },);
        moved.unwrap();
        let told = decide_at(&warm, &key.value, jiff::Timestamp::now()).await;
        let left = told.limit_status.quota().unwrap().remaining;
        let expected = match set {
            // What was set has gone along, or the caller was told that it has not.
            Ok(()) => 3,
            Err(Error::NotLinked) => 8,
            Err(error) => panic!("{n}: {error}"),
        };
        assert_eq!(left, expected, "{n}");
        if proxy.take_calls().len() <= n {
            assert!(n > 5, "{n}");
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edited_plan_holds_in_every_engine_as_soon_as_one_has_seen_it() {
    let store = Store::embedded().await;
    let admin = admin(&store).await;
    let (plan, key) = linked(&admin, plan(None, Some((100, PeriodKind::Day)))).await;
    let (old, new) = (engine(&store, PATIENT).await, engine(&store, PATIENT).await);
    let now = jiff::Timestamp::now();
    assert_eq!(decide_at(&old, &key.value, now).await.reason, Reason::Ok);
    let lowered = |record: &mut PlanRecord| {
        record.limits.quota =
            Some(tollgate_core::limit::Quota::new(2, PeriodKind::Day, 0).unwrap());
        Ok::<_, Error>(())
    };
    admin.update_plan(&plan.id, lowered).await.unwrap();
    // One that never knew the old plan makes the new one known.
    assert_eq!(decide_at(&new, &key.value, now).await.reason, Reason::Ok);
    let verdict = decide_at(&old, &key.value, now).await;
    assert_eq!(verdict.reason, Reason::Quota);
    assert_eq!(verdict.limit_status.quota().unwrap().limit, 2);
}

async fn a_lowered_plan_keeps_the_requests_owed(kind: Kind) {
    let store = Store::new(kind).await;
    let admin = admin(&store).await;
    let (plan, key) = linked(&admin, plan(Some((100.0, 10)), None)).await;
    let engine = engine(&store, PATIENT).await;
    let start = at("2054-11-22T12:00:00Z");
    for _ in 0..10 {
        assert_eq!(
            decide_at(&engine, &key.value, start).await.reason,
            Reason::Ok
        );
    }
    let slower = |record: &mut PlanRecord| {
        record.limits.throttle = Some(Throttle::new(Some(1.0), Some(10)).unwrap());
        Ok::<_, Error>(())
    };
    admin.update_plan(&plan.id, slower).await.unwrap();
    // Half of the burst has come back at the old pace when the plan is read again.
    let then = start + SignedDuration::from_secs(11);
    let mut admitted = 0;
    for _ in 0..12 {
        admitted += u32::from(decide_at(&engine, &key.value, then).await.reason == Reason::Ok);
    }
    assert_eq!(admitted, 10);
    admin
        .update_plan(&plan.id, |record| {
            record.limits.throttle = Some(Throttle::new(Some(100.0), Some(10)).unwrap());
            Ok::<_, Error>(())
        })
        .await
        .unwrap();
    // All ten are owed at the new pace too: ten milliseconds bring one back, not a thousandth of one.
    let later = then + SignedDuration::from_secs(4);
    let mut admitted = 0;
    for _ in 0..12 {
        admitted += u32::from(decide_at(&engine, &key.value, later).await.reason == Reason::Ok);
    }
    assert_eq!(admitted, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_changed_to_a_longer_period_finds_what_was_used_in_it() {
    let store = Store::embedded().await;
    let admin = admin(&store).await;
    let (plan, key) = linked(&admin, plan(None, Some((5, PeriodKind::Day)))).await;
    let engine = engine(&store, PATIENT).await;
    let first = at("2054-12-01T12:00:00Z");
    for day in 0..3 {
        for _ in 0..3 {
            let verdict = decide_at(
                &engine,
                &key.value,
                first + SignedDuration::from_hours(24 * day),
            )
            .await;
            assert_eq!(verdict.reason, Reason::Ok);
        }
    }
    admin
        .update_plan(&plan.id, |record| {
            record.limits.quota =
                Some(tollgate_core::limit::Quota::new(11, PeriodKind::Month, 0).unwrap());
            Ok::<_, Error>(())
        })
        .await
        .unwrap();
    let then = first + SignedDuration::from_hours(49);
    let mut reasons = Vec::new();
    for _ in 0..4 {
        reasons.push(decide_at(&engine, &key.value, then).await.reason);
    }
    assert_eq!(
        reasons,
        [Reason::Ok, Reason::Ok, Reason::Quota, Reason::Quota]
    );
    assert_eq!(
        used(&admin, &plan.id, &key.record.id, day_of(first)).await,
        11
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thaw_after_an_hour_reads_the_plan_before_it_admits() {
    let store = Store::embedded().await;
    let admin = admin(&store).await;
    let (plan, key) = linked(&admin, plan(None, None)).await;
    let engine = engine(&store, PATIENT).await;
    let start = at("2054-11-22T12:00:00Z");
    assert_eq!(
        decide_at(&engine, &key.value, start).await.reason,
        Reason::Ok
    );
    admin
        .update_plan(&plan.id, |record| {
            record.limits.stages.clear();
            Ok::<_, Error>(())
        })
        .await
        .unwrap();
    // Still in the cache's time: so it is said, ten seconds at most.
    let thawed = decide_at(&engine, &key.value, start + SignedDuration::from_hours(1)).await;
    assert_eq!(thawed.reason, Reason::NotInPlan);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_in_two_plans_is_charged_under_the_one_that_opens_the_stage() {
    let store = Store::embedded().await;
    let admin = admin(&store).await;
    let engine = engine(&store, PATIENT).await;
    let (first, key) = linked(&admin, plan(None, Some((10, PeriodKind::Day)))).await;
    let mut elsewhere = plan(None, Some((20, PeriodKind::Day)));
    "dev".clone_into(&mut elsewhere.stages[0].stage);
    let second = make_plan(&admin, elsewhere.clone()).await;
    admin.link(&second.id, &key.record.id).await.unwrap();
    let mut dev = target("/");
    "dev".clone_into(&mut dev.stage);
    let now = jiff::Timestamp::now();
    let charged = decide_on(&engine, &key.value, &dev, 1, now).await;
    assert_eq!(charged.plan_id.as_deref(), Some(second.id.as_str()));
    assert_eq!(charged.limit_status.quota().unwrap().remaining, 19);
    let charged = decide_at(&engine, &key.value, now).await;
    assert_eq!(charged.plan_id.as_deref(), Some(first.id.as_str()));

    let third = make_plan(&admin, elsewhere).await;
    let conflict = admin.link(&third.id, &key.record.id).await;
    assert!(matches!(conflict, Err(Error::StageTaken { .. })));
    let again = admin.link(&second.id, &key.record.id).await;
    assert!(matches!(again, Err(Error::AlreadyLinked)));
}

async fn relinking_does_not_reset_a_spent_quota(kind: Kind) {
    let store = Store::new(kind).await;
    let admin = admin(&store).await;
    let engine = engine(&store, PATIENT).await;
    let (plan, key) = linked(&admin, plan(None, Some((3, PeriodKind::Month)))).await;
    let mut admitted = 0;
    for round in 0..3 {
        // A spent quota is asked about again after a second.
        let now = jiff::Timestamp::now() + SignedDuration::from_secs(2 * round);
        let decide = async || decide_at(&engine, &key.value, now).await.reason;
        for _ in 0..2 {
            admitted += u64::from(decide().await == Reason::Ok);
        }
        admin.unlink(&plan.id, &key.record.id).await.unwrap();
        assert_ne!(decide().await, Reason::Ok);
        admin.link(&plan.id, &key.record.id).await.unwrap();
    }
    assert_eq!(admitted, 3);
    let today = day_of(jiff::Timestamp::now());
    assert_eq!(
        used(&admin, &plan.id, &key.record.id, today - 1.day()).await,
        3
    );
}

/// A bucket that holds more than its burst now allows says nothing of the time.
#[tokio::test(flavor = "multi_thread")]
async fn a_burst_that_is_lowered_fills_no_other_bucket() {
    let store = Store::embedded().await;
    let admin = admin(&store).await;
    let mut limits = plan(Some((10.0, 1_000)), None);
    let method = Throttle::new(Some(1.0), Some(100)).unwrap();
    limits.stages[0]
        .throttle
        .insert("/pets/GET".parse().unwrap(), method);
    let (plan, key) = linked(&admin, limits).await;
    let warm = engine(&store, PATIENT).await;
    let start = at("2054-11-22T12:00:00Z");
    let pets = async |engine: &Engine, cost, now| {
        decide_on(engine, &key.value, &target("/pets"), cost, now)
            .await
            .reason
    };
    assert_eq!(pets(&warm, 100, start).await, Reason::Ok);
    let others = decide_on(&warm, &key.value, &target("/"), 900, start).await;
    assert_eq!(others.reason, Reason::Ok);
    admin
        .update_plan(&plan.id, |record: &mut PlanRecord| {
            record.limits.throttle = Some(Throttle::new(Some(10.0), Some(10)).unwrap());
            Ok::<_, Error>(())
        })
        .await
        .unwrap();
    for engine in [&warm, &engine(&store, PATIENT).await] {
        let mut admitted = 0;
        for milliseconds in (11_000..21_000).step_by(100) {
            let now = start + SignedDuration::from_millis(milliseconds);
            admitted += u32::from(pets(engine, 1, now).await == Reason::Ok);
        }
        // One a second since the burst was spent, and never the burst again.
        assert!(admitted <= 21, "{admitted} admitted");
    }
}
