//! What is revoked stays revoked: after calls that were interrupted, contradicted, or that met items which cannot be read.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use crate::damaged::{damage, key_item};
use aws_sdk_dynamodb::types::AttributeValue;
use tollgate_admin::{Admin, Error};
use tollgate_core::calendar::PeriodKind;
use tollgate_core::id::PlanId;
use tollgate_core::plan::Plan;
use tollgate_core::verdict::Reason;
use tollgate_engine::Engine;
use tollgate_tests::proxy::Fault;
use tollgate_tests::stores::Store;
use tollgate_tests::world::{
    Key, PATIENT, admin, decide, engine, linked, make_plan, plan, stopped_at,
};

pub(crate) const QUOTA: u64 = 5;

pub(crate) async fn admitted(engine: &Engine, key: &str, tries: u32) -> u64 {
    let mut admitted = 0;
    for _ in 0..tries {
        admitted += u64::from(decide(engine, key).await == Reason::Ok);
    }
    admitted
}

/// Deletes what `DynamoDB` would delete once its time is over.
async fn let_time_to_live_run_out(store: &Store) {
    let client = store.client().await;
    let found = client
        .scan()
        .table_name(&store.table)
        .filter_expression("attribute_exists(#ttl) AND begins_with(sk, :meter)")
        .expression_attribute_names("#ttl", "ttl")
        .expression_attribute_values(":meter", AttributeValue::S("METER#".to_owned()))
        .send()
        .await
        .unwrap();
    for item in found.items() {
        let delete = client.delete_item().table_name(&store.table);
        let delete = delete
            .key("pk", item["pk"].clone())
            .key("sk", item["sk"].clone());
        delete.send().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wherever_a_link_is_interrupted_a_spent_quota_does_not_come_back() {
    for n in 0.. {
        let store = Store::embedded().await;
        let admin = admin(&store).await;
        let limits = plan(None, Some((QUOTA, PeriodKind::Month)));
        let (plan, key) = linked(&admin, limits).await;
        let engine = engine(&store, PATIENT).await;
        assert_eq!(admitted(&engine, &key.value, 3).await, 3);
        let id = &key.record.id;
        admin.unlink(&plan.id, id).await.unwrap();
        let (stopped, proxy) = stopped_at(&store, n).await;
        let linked = stopped.link(&plan.id, id).await;
        let mut used = 3 + admitted(&engine, &key.value, 9).await;
        proxy.rule(|_, _| Fault::None);
        let_time_to_live_run_out(&store).await;
        used += admitted(&engine, &key.value, 9).await;
        match admin.link(&plan.id, id).await {
            Ok(_) | Err(Error::AlreadyLinked) => {}
            Err(error) => panic!("{n}: {error}"),
        }
        used += admitted(&engine, &key.value, 9).await;
        assert_eq!(used, QUOTA, "{n}");
        if linked.is_ok() {
            assert!(n > 5, "{n}");
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_meter_that_was_left_behind_refuses_until_the_link_is_published() {
    let store = Store::embedded().await;
    let admin = admin(&store).await;
    let (plan, key) = linked(&admin, plan(None, Some((QUOTA, PeriodKind::Month)))).await;
    let (warm, id) = (engine(&store, PATIENT).await, &key.record.id);
    assert_eq!(decide(&warm, &key.value).await, Reason::Ok);
    let meter = format!("METER#{}", plan.id);
    let later = AttributeValue::N("99999999999".to_owned());
    damage(&store, (&key_item(&key), &meter), "ttl", Some(later)).await;
    // The record says that the key is in the plan, and is news to the meter.
    let revision = AttributeValue::N((key.record.revision + 9).to_string());
    damage(&store, (&key_item(&key), "KEY"), "revision", Some(revision)).await;
    let cold = engine(&store, PATIENT).await;
    assert_eq!(decide(&cold, &key.value).await, Reason::NotInPlan);
    admin.link(&plan.id, id).await.unwrap_err();
    admin.unlink(&plan.id, id).await.unwrap();
    admin.link(&plan.id, id).await.unwrap();
    assert_eq!(admitted(&cold, &key.value, 9).await, QUOTA - 1);
}

struct Moving {
    store: Store,
    admin: Admin,
    key: Key,
    /// Where it comes from and goes to, and a third one elsewhere.
    plans: [PlanId; 3],
    engine: Engine,
}

impl Moving {
    /// A key whose move from the first plan to the second was cut off after it had left.
    async fn begun() -> Self {
        for n in 0.. {
            let store = Store::embedded().await;
            let admin = admin(&store).await;
            let (first, key) = linked(&admin, plan(None, None)).await;
            let second = make_plan(&admin, plan(None, None)).await;
            let mut elsewhere = plan(None, None);
            "dev".clone_into(&mut elsewhere.stages[0].stage);
            let third = make_plan(&admin, elsewhere).await;
            let engine = engine(&store, PATIENT).await;
            let id = &key.record.id;
            let (stopped, proxy) = stopped_at(&store, n).await;
            let moved = stopped.move_key(id, &first.id, &second.id, true).await;
            proxy.rule(|_, _| Fault::None);
            assert!(moved.is_err(), "it was never cut off on its way");
            let record = admin.key(id).await.unwrap();
            if record.moving.is_some() {
                return Self {
                    plans: [first.id, second.id, third.id],
                    store,
                    admin,
                    key,
                    engine,
                };
            }
        }
        unreachable!()
    }

    async fn decides(&self) -> (Reason, Vec<PlanId>) {
        let reason = decide(&self.engine, &self.key.value).await;
        let record = self.admin.key(&self.key.record.id).await.unwrap();
        (reason, record.plans)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_move_that_is_contradicted_never_comes_about() {
    for end in [0, 1] {
        let moving = Box::pin(Moving::begun()).await;
        let Moving {
            admin, key, plans, ..
        } = &moving;
        let id = &key.record.id;
        admin.unlink(&plans[end], id).await.unwrap();
        admin.link(&plans[2], id).await.unwrap();
        assert_eq!(
            moving.decides().await,
            (Reason::NotInPlan, vec![plans[2].clone()]),
            "{end}"
        );
        // Nor when the plan is deleted that it was to be in.
        let open_nothing = |record: &mut tollgate_dynamo::item::plan::PlanRecord| {
            record.limits = Plan::default();
            Ok::<_, Error>(())
        };
        admin.update_plan(&plans[1], open_nothing).await.unwrap();
        admin.delete_plan(&plans[1], None).await.unwrap();
        assert_eq!(
            moving.decides().await,
            (Reason::NotInPlan, vec![plans[2].clone()]),
            "{end}"
        );
        let error = admin.move_key(id, &plans[0], &plans[2], true).await;
        assert!(matches!(error, Err(Error::AlreadyLinked)), "{error:?}");
    }
    // Put back: it is in the one, and not in the other.
    let moving = Box::pin(Moving::begun()).await;
    let Moving {
        admin, key, plans, ..
    } = &moving;
    admin.link(&plans[0], &key.record.id).await.unwrap();
    assert_eq!(moving.decides().await, (Reason::Ok, vec![plans[0].clone()]));
    // Moved elsewhere from where it was.
    let moving = Box::pin(Moving::begun()).await;
    let Moving {
        admin, key, plans, ..
    } = &moving;
    let id = &key.record.id;
    admin
        .move_key(id, &plans[0], &plans[2], true)
        .await
        .unwrap();
    assert_eq!(
        moving.decides().await,
        (Reason::NotInPlan, vec![plans[2].clone()])
    );
    // A disabled key stays so, whatever ends its move.
    let moving = Box::pin(Moving::begun()).await;
    let Moving {
        admin,
        key,
        plans,
        store,
        ..
    } = &moving;
    let off = |record: &mut tollgate_dynamo::item::key::KeyRecord| {
        record.enabled = false;
        Ok::<_, Error>(())
    };
    admin.update_key(&key.record.id, off).await.unwrap();
    admin
        .move_key(&key.record.id, &plans[0], &plans[1], true)
        .await
        .unwrap();
    assert_eq!(
        moving.decides().await,
        (Reason::Disabled, vec![plans[1].clone()])
    );
    assert_eq!(
        decide(&engine(store, PATIENT).await, &key.value).await,
        Reason::Disabled
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_that_is_asked_for_again_after_the_key_was_put_back_is_made() {
    let store = Store::embedded().await;
    let admin = admin(&store).await;
    let (first, key) = linked(&admin, plan(None, None)).await;
    let second = make_plan(&admin, plan(None, None)).await;
    let id = &key.record.id;
    admin
        .move_key(id, &first.id, &second.id, true)
        .await
        .unwrap();
    // Asked for again because the answer was lost.
    admin
        .move_key(id, &first.id, &second.id, true)
        .await
        .unwrap();
    admin.unlink(&second.id, id).await.unwrap();
    admin.link(&first.id, id).await.unwrap();
    let moved = admin
        .move_key(id, &first.id, &second.id, true)
        .await
        .unwrap();
    assert_eq!(moved.plans, std::slice::from_ref(&second.id));
    let mut elsewhere = plan(None, None);
    "dev".clone_into(&mut elsewhere.stages[0].stage);
    let third = make_plan(&admin, elsewhere).await;
    admin
        .move_key(id, &second.id, &third.id, true)
        .await
        .unwrap();
    admin.link(&second.id, id).await.unwrap();
    // It is in both now: there is nothing to move, and nobody is told that there was.
    let again = admin.move_key(id, &second.id, &third.id, true).await;
    assert!(matches!(again, Err(Error::AlreadyLinked)), "{again:?}");
}
