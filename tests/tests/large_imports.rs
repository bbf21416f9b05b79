//! Imports that run out of time, run at the same time, or meet changes of what they import.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::json;
use tollgate_admin::Error;
use tollgate_core::calendar::PeriodKind;
use tollgate_core::verdict::Reason;
use tollgate_tests::api::Api;
use tollgate_tests::on_both_stores;
use tollgate_tests::proxy::{Fault, Proxy};
use tollgate_tests::stores::{Kind, Store};
use tollgate_tests::world::{PATIENT, admin, decide, engine, make_plan, plan};

use crate::management_lists::{import, numbered, rows, value};

on_both_stores!(
    imports_of_one_file_at_the_same_time_make_each_key_once,
    large_keys_are_changed_by_an_import_too,
    a_plan_that_is_deleted_during_an_import_keeps_none_of_its_keys,
);

#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_runs_out_of_time_is_finished_by_sending_it_again() {
    let store = Store::embedded().await;
    let proxy = Proxy::to(&store.endpoint).await;
    let admin = admin(&store.through(&proxy.endpoint)).await;
    let plan = make_plan(&admin, plan(None, Some((10, PeriodKind::Day)))).await;
    let names = numbered("key", 0..600);
    let slow = Fault::Delay(Duration::from_millis(120));
    proxy.rule(move |_, operation| match operation {
        "TransactWriteItems" => slow.clone(),
        _ => Fault::None,
    });
    let mut before = 0;
    let mut until = Instant::now();
    let imported = loop {
        match import(&admin, rows(&names, Some(&plan)), Some(until)).await {
            Ok(imported) => break imported,
            Err(Error::Unfinished { finished, of: 600 }) => {
                // However little time there is, something is done.
                assert!(finished > before, "{finished}");
                before = finished;
                until = Instant::now() + Duration::from_millis(200);
            }
            Err(error) => panic!("{error}"),
        }
    };
    assert!(before > 0);
    assert_eq!(imported.ids.len(), 600);
    for (id, name) in imported.ids.iter().zip(&names).step_by(97) {
        assert_eq!(admin.key(id).await.unwrap().name.as_ref(), Some(name));
    }
    let engine = engine(&store, PATIENT).await;
    assert_eq!(decide(&engine, &value(&names[599])).await, Reason::Ok);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_disables_keys_is_done_when_it_is_answered() {
    let store = Store::embedded().await;
    let admin = admin(&store).await;
    let plan = make_plan(&admin, plan(None, Some((10, PeriodKind::Day)))).await;
    let names = numbered("key", 0..60);
    let first = import(&admin, rows(&names, Some(&plan)), None)
        .await
        .unwrap();
    let engine = engine(&store, PATIENT).await;
    for name in &names {
        assert_eq!(decide(&engine, &value(name)).await, Reason::Ok);
    }
    // One of them is changed by another in the very moment, which the whole batch then makes way for.
    let proxy = Proxy::to(&store.endpoint).await;
    let slow = tollgate_tests::world::admin(&store.through(&proxy.endpoint)).await;
    proxy.rule(|_, operation| match operation {
        "TransactWriteItems" => Fault::Delay(Duration::from_millis(500)),
        _ => Fault::None,
    });
    let mut off = rows(&names, Some(&plan));
    for row in &mut off {
        row.enabled = Some(false);
    }
    let describe = async {
        tokio::time::sleep(Duration::from_millis(250)).await;
        let change = |record: &mut tollgate_dynamo::item::key::KeyRecord| {
            record.description = Some("changed".to_owned());
            Ok::<_, Error>(())
        };
        admin.update_key(&first.ids[30], change).await.unwrap();
    };
    let (again, ()) = tokio::join!(import(&slow, off, None), describe);
    assert_eq!(again.unwrap().ids, first.ids);
    for (name, id) in names.iter().zip(&first.ids) {
        assert_eq!(decide(&engine, &value(name)).await, Reason::Disabled);
        assert!(!admin.key(id).await.unwrap().enabled);
    }
    let described = admin.key(&first.ids[30]).await.unwrap();
    assert_eq!(described.description.as_deref(), Some("changed"));
}

async fn imports_of_one_file_at_the_same_time_make_each_key_once(kind: Kind) {
    let store = Store::new(kind).await;
    let admin = admin(&store).await;
    let plan = make_plan(&admin, plan(None, Some((10, PeriodKind::Day)))).await;
    let names = numbered("key", 0..300);
    // On a busy machine a call may time out; then the file is sent again.
    let send = async || loop {
        match import(&admin, rows(&names, Some(&plan)), None).await {
            Err(Error::Store(failure)) => eprintln!("{failure}"),
            imported => break imported.unwrap().ids,
        }
    };
    let (ids, second, third) = tokio::join!(send(), send(), send());
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 300);
    assert_eq!((&second, &third), (&ids, &ids));
    let again = import(&admin, rows(&names, Some(&plan)), Some(Instant::now())).await;
    assert_eq!(again.unwrap().ids, ids);
}

async fn large_keys_are_changed_by_an_import_too(kind: Kind) {
    let api = Api::new(kind).await;
    let admin = admin(&api.store).await;
    let names = numbered("key", 0..14);
    for name in &names {
        let description = "€".repeat(116_000);
        api.key(json!({ "name": name, "value": value(name), "description": description, "enabled": true }))
            .await;
    }
    let mut off = rows(&names, None);
    for row in &mut off {
        row.enabled = Some(false);
    }
    let imported = import(&admin, off, None).await.unwrap();
    for id in &imported.ids {
        assert!(!admin.key(id).await.unwrap().enabled);
    }
}

async fn a_plan_that_is_deleted_during_an_import_keeps_none_of_its_keys(kind: Kind) {
    let store = Store::new(kind).await;
    let proxy = Proxy::to(&store.endpoint).await;
    let slow = admin(&store.through(&proxy.endpoint)).await;
    let admin = admin(&store).await;
    let mut limits = plan(None, None);
    limits.stages.clear();
    let plan = make_plan(&admin, limits).await;
    proxy.rule(|_, operation| match operation {
        "TransactWriteItems" => Fault::Delay(Duration::from_millis(500)),
        _ => Fault::None,
    });
    let names = numbered("key", 0..40);
    let delete = async {
        tokio::time::sleep(Duration::from_millis(250)).await;
        admin.delete_plan(&plan.id, None).await.unwrap();
    };
    let (imported, ()) = tokio::join!(import(&slow, rows(&names, Some(&plan)), None), delete);
    let imported = imported.unwrap();
    assert_eq!(imported.ids.len(), 40);
    assert!(
        imported.warnings[0].contains("was deleted meanwhile"),
        "{:?}",
        imported.warnings
    );
    for id in &imported.ids {
        assert_eq!(admin.key(id).await.unwrap().plans, [""; 0]);
    }
}
