//! Lists of many keys: what a page costs, in which order it is, and what becomes of it when keys come and go.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use axum::http::Method;
use serde_json::{Value, json};
use tollgate_admin::imports::{ImportKey, Imported};
use tollgate_admin::{Admin, Error};
use tollgate_core::calendar::PeriodKind;
use tollgate_core::key::KeyValue;
use tollgate_dynamo::item::plan::PlanRecord;
use tollgate_tests::api::{Api, ids, text};
use tollgate_tests::on_both_stores;
use tollgate_tests::proxy::Proxy;
use tollgate_tests::stores::{Kind, Store};
use tollgate_tests::world::{admin, make_plan, plan};

on_both_stores!(
    names_are_listed_newest_first_while_they_are_few_and_pages_hold_while_keys_come_and_go,
    very_many_names_are_listed_by_name_each_of_them_once,
    a_plans_keys_are_found_by_name_through_links_unlinks_and_renames,
    a_page_costs_the_same_however_many_keys_there_are,
);

pub(crate) fn value(name: &str) -> String {
    format!("value-of-the-key-{name}")
}

pub(crate) fn rows(names: &[String], plan: Option<&PlanRecord>) -> Vec<ImportKey> {
    let rows = names.iter().enumerate().map(|(index, name)| ImportKey {
        row: index + 1,
        value: KeyValue::parse(&value(name)).unwrap(),
        sealed: None,
        name: Some(name.clone()),
        description: None,
        enabled: Some(true),
        plans: plan.iter().map(|plan| plan.id.clone()).collect(),
        customer_id: None,
        expires: None,
        restriction: None,
        overrides: BTreeMap::default(),
    });
    rows.collect()
}

pub(crate) async fn import(
    admin: &Admin,
    rows: Vec<ImportKey>,
    until: Option<Instant>,
) -> Result<Imported, Error> {
    admin.import_keys(rows, Vec::new(), true, until).await
}

pub(crate) fn numbered(prefix: &str, numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers
        .map(|number| format!("{prefix}-{number:05}"))
        .collect()
}

/// The names on each page of a list, `between` being called after each page.
async fn pages(api: &Api, path: &str, between: impl AsyncFn(&[String])) -> Vec<Vec<String>> {
    let mut pages = Vec::new();
    let mut position = String::new();
    loop {
        let page = api.get(&format!("{path}{position}")).await;
        let items = page["item"].as_array().unwrap().iter();
        let names: Vec<_> = items.map(|item| text(&item["name"])).collect();
        between(&names).await;
        pages.push(names);
        let Some(next) = page.get("position") else {
            return pages;
        };
        position = format!("&position={}", text(next));
    }
}

async fn names_are_listed_newest_first_while_they_are_few_and_pages_hold_while_keys_come_and_go(
    kind: Kind,
) {
    let api = Api::new(kind).await;
    let mut expected = Vec::new();
    let mut made = BTreeMap::new();
    for number in [4, 1, 3, 0, 2, 5] {
        let name = format!("team#{number}");
        made.insert(name.clone(), api.key(json!({ "name": name })).await);
        expected.insert(0, name);
    }
    api.key(json!({ "name": "Team" })).await;
    let came = pages(&api, "/apikeys?name=team&limit=2", async |names| {
        api.key(json!({ "name": "team#9" })).await;
        let last = &made[&names[names.len() - 1]];
        api.delete(&format!("/apikeys/{last}")).await;
    })
    .await;
    assert_eq!(came.concat(), expected);
    let long = "bnRlYW0".to_owned() + &"YWFh".repeat(400);
    for (position, expected) in [("%21", 400), ("bm8", 400), (&long, 400), ("", 200)] {
        let path = format!("/apikeys?name=team&position={position}");
        api.call(expected, Method::GET, &path, Value::Null).await;
    }
}

async fn very_many_names_are_listed_by_name_each_of_them_once(kind: Kind) {
    let api = Api::new(kind).await;
    let admin = admin(&api.store).await;
    let names = numbered("bulk", 0..1_300);
    import(&admin, rows(&names, None), None).await.unwrap();
    let came = pages(&api, "/apikeys?name=bulk&limit=400", async |names| {
        // One before those that were shown, and one behind.
        for name in [&format!("{}!", names[0]), "bulk-zz"] {
            api.key(json!({ "name": name })).await;
        }
    })
    .await;
    let came: Vec<_> = came
        .concat()
        .into_iter()
        .filter(|name| names.contains(name))
        .collect();
    assert_eq!(came, names);
    // A longer prefix has few.
    let few = pages(&api, "/apikeys?name=bulk-0001&limit=7", async |_| ()).await;
    let few: BTreeSet<_> = few
        .concat()
        .into_iter()
        .filter(|name| names.contains(name))
        .collect();
    assert_eq!(few, names[10..20].iter().cloned().collect());
}

async fn a_plans_keys_are_found_by_name_through_links_unlinks_and_renames(kind: Kind) {
    let api = Api::new(kind).await;
    let plan = text(&api.post("/usageplans", json!({ "name": "p" })).await["id"]);
    let keys = format!("/usageplans/{plan}/keys");
    let long = "long-".repeat(30);
    let mut made = Vec::new();
    for name in [
        "alpha",
        "alto",
        "beta",
        &format!("{long}one"),
        &format!("{long}two"),
    ] {
        let id = api.key(json!({ "name": name })).await;
        api.post(&keys, json!({ "keyId": id, "keyType": "API_KEY" }))
            .await;
        made.push(id);
    }
    let unnamed = api.key(json!({})).await;
    api.post(&keys, json!({ "keyId": unnamed, "keyType": "API_KEY" }))
        .await;
    let found = async |prefix: &str| ids(&api.get(&format!("{keys}?name={prefix}")).await);
    assert_eq!(found("al").await, [made[1].clone(), made[0].clone()]);
    assert_eq!(found("Al").await, [""; 0]);
    // Longer than what the index holds of a name.
    assert_eq!(found(&format!("{long}t")).await, [made[4].clone()]);

    api.delete(&format!("{keys}/{}", made[0])).await;
    assert_eq!(found("al").await, [made[1].clone()]);
    let rename = |name: &str| [["replace", "/name", name].map(str::to_owned)];
    for (key, name) in [(&made[2], "alpine"), (&made[1], "")] {
        let [[op, path, name]] = rename(name);
        api.patch(200, &format!("/apikeys/{key}"), &[[&op, &path, &name]])
            .await;
    }
    assert_eq!(found("al").await, [made[2].clone()]);
    assert_eq!(found("be").await, [""; 0]);
    api.delete(&format!("/apikeys/{}", made[2])).await;
    assert_eq!(found("al").await, [""; 0]);
    let left = ids(&api.get(&keys).await);
    assert_eq!(
        left,
        [&unnamed, &made[4], &made[3], &made[1]].map(Clone::clone)
    );
}

async fn a_page_costs_the_same_however_many_keys_there_are(kind: Kind) {
    let store = Store::new(kind).await;
    let admin = admin(&store).await;
    let proxy = Proxy::to(&store.endpoint).await;
    let api = Api::on(store.through(&proxy.endpoint)).await;
    let plan = make_plan(&admin, plan(None, Some((10, PeriodKind::Day)))).await;
    for number in 0..30 {
        let customer = format!("c{}", number % 2);
        api.key(json!({ "name": format!("rare-{number}"), "customerId": customer }))
            .await;
    }
    let keys = format!("/usageplans/{}/keys", plan.id);
    let today = jiff::Timestamp::now().strftime("%F").to_string();
    let usage = format!(
        "/usageplans/{}/usage?startDate={today}&endDate={today}",
        plan.id
    );
    let paths = [
        "/apikeys?x=",
        "/apikeys?name=many",
        "/apikeys?name=rare",
        "/apikeys?name=many-00077",
        "/apikeys?customerId=c1",
        &format!("{keys}?x="),
        &format!("{keys}?name=many"),
        &format!("{keys}?name=many-00077"),
        &usage,
        "/usageplans?x=",
    ];
    let mut costs = Vec::new();
    for numbers in [0..1_400, 1_400..3_600] {
        let names = numbered("many", numbers);
        import(&admin, rows(&names, Some(&plan)), None)
            .await
            .unwrap();
        let mut cost = Vec::new();
        for path in paths {
            proxy.take_calls();
            let page = api.get(&format!("{path}&limit=10")).await;
            // The next page costs no more than the first.
            let first = proxy.take_calls();
            if let Some(position) = page.get("position") {
                api.get(&format!("{path}&limit=10&position={}", text(position)))
                    .await;
                let next = proxy.take_calls();
                let units = |calls: &[tollgate_tests::proxy::Call]| {
                    calls.iter().map(|call| call.capacity).sum::<f64>()
                };
                assert_eq!(next.len(), first.len(), "{path}");
                assert!(units(&next) <= units(&first), "{path}");
            }
            let mut calls: Vec<_> = first.into_iter().map(|call| call.operation).collect();
            calls.sort();
            cost.push((path.to_owned(), calls));
        }
        costs.push(cost);
    }
    assert_eq!(costs[0], costs[1]);
    let most = costs[1].iter().map(|(_, calls)| calls.len()).max();
    // Eight shards, one read of the records, and a plan and ten meters where usage is shown.
    assert!(most <= Some(8 + 1 + 1 + 2 * 10), "{:?}", costs[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_with_many_keys_is_gone_at_once_and_swept_however_often_that_is_killed() {
    let store = Store::embedded().await;
    let manager_of = admin(&store).await;
    let mut limits = plan(None, Some((10, PeriodKind::Day)));
    let plan = make_plan(&manager_of, limits.clone()).await;
    let names = numbered("key", 0..250);
    let imported = import(&manager_of, rows(&names, Some(&plan)), None)
        .await
        .unwrap();
    limits.stages.clear();
    let change = |record: &mut PlanRecord| {
        record.limits = limits.clone();
        Ok::<_, Error>(())
    };
    manager_of.update_plan(&plan.id, change).await.unwrap();
    let api = Api::on(store.clone()).await;
    let (mut killed, mut timed_out) = (0, 0);
    // A change of a key in between does not take it out of the sweep's sight.
    let at_once = Some(Instant::now());
    manager_of.delete_plan(&plan.id, at_once).await.unwrap();
    for id in imported.ids.iter().step_by(10) {
        api.patch(
            200,
            &format!("/apikeys/{id}"),
            &[["replace", "/name", "renamed"]],
        )
        .await;
    }
    let renamed = import(&manager_of, rows(&names, None), None).await.unwrap();
    assert_eq!(renamed.ids, imported.ids);
    for round in 0_u64.. {
        // Killed in the middle of whatever it is at, or out of time.
        let until = (round % 2 == 1).then(|| Instant::now() + Duration::from_millis(150));
        let call = manager_of.delete_plan(&plan.id, until);
        match tokio::time::timeout(Duration::from_millis(200 + 7 * round), call).await {
            Err(_) => killed += 1,
            Ok(Ok(())) => timed_out += 1,
            Ok(Err(Error::NoSuchPlan)) => break,
            Ok(Err(error)) => panic!("{error}"),
        }
        api.call(
            404,
            Method::GET,
            &format!("/usageplans/{}", plan.id),
            Value::Null,
        )
        .await;
        let of_key = format!("/usageplans?keyId={}", imported.ids[0]);
        let of_plan = format!("/usageplans/{}/keys", plan.id);
        for path in [
            "/usageplans",
            &of_key,
            &of_plan,
            &format!("{of_plan}?name=key"),
        ] {
            assert_eq!(ids(&api.get(path).await), [""; 0]);
        }
    }
    assert!(killed + timed_out > 2, "{killed} {timed_out}");
    for id in &imported.ids {
        assert_eq!(manager_of.key(id).await.unwrap().plans, [""; 0]);
    }
    let left = ids(&api
        .get(&format!("/usageplans/{}/keys?limit=500", plan.id))
        .await);
    assert_eq!(left, [""; 0]);
}
