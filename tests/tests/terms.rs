//! What is agreed for one key: methods that are open to it, limits of its own up to a day, another plan, what it has left.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp, ToSpan};
use serde_json::{Value, json};
use tollgate_core::calendar::{PeriodKind, day_of};
use tollgate_core::limit::Throttle;
use tollgate_core::plan::{ApiStage, Plan};
use tollgate_core::verdict::Reason;
use tollgate_store::manage::{Manager, PageRequest};
use tollgate_tests::api::{Api, members, text};
use tollgate_tests::on_both_stores;
use tollgate_tests::proxy::{Fault, Proxy};
use tollgate_tests::stores::{Kind, Store};
use tollgate_tests::world::{
    Key, PATIENT, at, decide, decide_at, decide_on, engine, linked, make_plan, manager, plan,
    stopped_at, target, total, usage, used,
};

on_both_stores!(
    a_plan_and_a_key_open_what_they_list_and_an_edit_holds,
    limits_of_its_own_hold_up_to_their_last_day_whatever_the_clocks_say,
    limits_of_its_own_that_come_and_go_under_load_never_let_more_through_than_the_larger,
    what_cannot_be_agreed_is_refused_and_changes_nothing,
    a_key_that_moves_carries_what_it_has_used_or_begins_anew,
    a_move_under_load_refuses_nothing_that_is_left_and_admits_nothing_twice,
    wherever_a_move_is_interrupted_asking_again_finishes_it,
    a_move_that_cannot_be_changes_nothing,
    a_steady_request_is_one_write_with_all_of_this_on,
    a_key_is_told_what_it_has_left_and_spends_nothing_by_asking,
    capacity_is_what_the_active_keys_are_entitled_to,
);

async fn on(store: &Store) -> (Api, Manager) {
    (Api::on(store.clone()).await, manager(store).await)
}

/// The path of a key.
fn path(key: &Key) -> String {
    format!("/apikeys/{}", key.record.id)
}

async fn a_plan_and_a_key_open_what_they_list_and_an_edit_holds(kind: Kind) {
    let store = Store::new(kind).await;
    let (api, manager) = on(&store).await;
    let (plan, key) = linked(&manager, plan(None, Some((100, PeriodKind::Day)))).await;
    let engine = engine(&store, PATIENT).await;
    let now = Timestamp::now();
    let decide = async |path: &str, after: i64| {
        let now = now + SignedDuration::from_secs(after);
        decide_on(&engine, &key.value, &target(path), 1, now)
            .await
            .reason
    };
    let stock = api.get(&format!("/usageplans/{}", plan.id)).await;
    assert!(!members(&stock).contains("tollgate"));
    assert_eq!(decide("/toys", 0).await, Reason::Ok);

    // The plan: known to this instance within ten seconds.
    let methods = json!({ "api:prod": ["/pets/GET", "/pets/{id}/ANY"] });
    let list = methods["api:prod"].to_string();
    let plan_path = format!("/usageplans/{}", plan.id);
    let patched = [["replace", "/tollgate/methods/api:prod", &*list]];
    let shown = api.patch(200, &plan_path, &patched).await;
    assert_eq!(shown["tollgate"]["methods"], methods);
    assert_eq!(decide("/toys", 11).await, Reason::MethodNotAllowed);
    assert_eq!(decide("/pets", 11).await, Reason::Ok);
    assert_eq!(decide("/pets/7", 11).await, Reason::Ok);
    // A refusal that an edit could end is looked up, so an edit that opens holds at once.
    let opened = [["remove", "/tollgate/methods/api:prod", ""]];
    api.patch(200, &plan_path, &opened).await;
    assert_eq!(decide("/toys", 12).await, Reason::Ok);

    // The key: from the answer on.
    let only = json!({ "api:prod": ["/pets/GET"], "other:prod": [] });
    let restrict = [["replace", "/tollgate/restriction", &*only.to_string()]];
    let shown = api.patch(200, &path(&key), &restrict).await;
    assert_eq!(shown["tollgate"]["restriction"], only);
    assert_eq!(decide("/toys", 13).await, Reason::MethodNotAllowed);
    assert_eq!(decide("/pets", 13).await, Reason::Ok);
    assert_eq!(decide("/pets/7", 13).await, Reason::MethodNotAllowed);
    let elsewhere = [["add", "/tollgate/restriction", r#"{"other:prod": []}"#]];
    api.patch(200, &path(&key), &elsewhere).await;
    assert_eq!(decide("/pets", 14).await, Reason::MethodNotAllowed);
    api.patch(200, &path(&key), &[["remove", "/tollgate/restriction", ""]])
        .await;
    assert_eq!(decide("/pets", 15).await, Reason::Ok);
    assert!(!members(&api.get(&path(&key)).await["tollgate"]).contains("restriction"));
    // What was refused has charged nothing.
    let today = day_of(now);
    assert_eq!(used(&manager, &plan.id, &key.record.id, today).await, 6);
}

async fn limits_of_its_own_hold_up_to_their_last_day_whatever_the_clocks_say(kind: Kind) {
    let store = Store::new(kind).await;
    let (api, manager) = on(&store).await;
    let (plan, key) = linked(&manager, plan(Some((1.0, 1)), Some((2, PeriodKind::Month)))).await;
    let overrides = json!({
        "throttle": { "rateLimit": 0.001, "burstLimit": 5 }, "quotaLimit": 50, "until": "2054-12-30",
    });
    let set = format!("/tollgate/overrides/{}", plan.id);
    let shown = api
        .patch(
            200,
            &path(&key),
            &[["replace", &*set, &*overrides.to_string()]],
        )
        .await;
    assert_eq!(shown["tollgate"]["overrides"][&plan.id], overrides);
    let (fast, slow) = (engine(&store, PATIENT).await, engine(&store, PATIENT).await);
    let midnight = at("2054-12-31T00:00:00Z");
    let before = midnight - 2.seconds();
    for engine in [&fast, &slow, &fast, &slow, &fast] {
        let verdict = decide_at(engine, &key.value, before).await;
        assert_eq!(verdict.reason, Reason::Ok);
    }
    // Five in all went through, at a pace that lets in no more for a quarter of an hour.
    let end = (day_of(at("2054-12-01T00:00:00Z")), day_of(midnight));
    let admitted = async || -> u64 {
        let days = usage(&manager, &plan.id, &key.record.id, end).await;
        days.iter().map(|day| day.used).sum()
    };
    assert_eq!(admitted().await, 5);
    // From midnight on the plan's limits hold: its quota is spent three times over. An instance whose clock is behind sees
    // that in the meter, and neither forgives nor admits by the key's own limits.
    let after = midnight + 1.second();
    for _ in 0..4 {
        assert_eq!(
            decide_at(&fast, &key.value, after).await.reason,
            Reason::Quota
        );
        let late = decide_at(&slow, &key.value, before + 1.second()).await;
        assert_ne!(late.reason, Reason::Ok);
    }
    assert_eq!(admitted().await, 5);
    // What the last day left is told of by its own limit, and the day after by the plan's.
    let days = usage(
        &manager,
        &plan.id,
        &key.record.id,
        (day_of(before), day_of(after)),
    )
    .await;
    let left: Vec<_> = days.iter().map(|day| day.remaining).collect();
    assert_eq!(left, [Some(45), Some(0)]);
}

async fn limits_of_its_own_that_come_and_go_under_load_never_let_more_through_than_the_larger(
    kind: Kind,
) {
    let store = Store::new(kind).await;
    let (api, manager) = on(&store).await;
    let (plan, key) = linked(&manager, plan(None, Some((50, PeriodKind::Month)))).await;
    let done = Arc::new(AtomicBool::new(false));
    let mut callers = Vec::new();
    for _ in 0..4 {
        let engine = engine(&store, PATIENT).await;
        let (value, done) = (key.value.clone(), Arc::clone(&done));
        callers.push(tokio::spawn(async move {
            let mut admitted = 0;
            while !done.load(Ordering::Relaxed) {
                match decide(&engine, &value).await {
                    Reason::Ok => admitted += 1,
                    Reason::Quota => tokio::time::sleep(Duration::from_millis(5)).await,
                    other => panic!("{other}"),
                }
            }
            admitted
        }));
    }
    let at = format!("/tollgate/overrides/{}", plan.id);
    for _ in 0..6 {
        let more = [[
            "replace",
            &*at,
            r#"{"quotaLimit":120,"until":"2099-12-31"}"#,
        ]];
        api.patch(200, &path(&key), &more).await;
        tokio::time::sleep(Duration::from_millis(400)).await;
        api.patch(200, &path(&key), &[["remove", &*at, ""]]).await;
    }
    done.store(true, Ordering::Relaxed);
    let admitted = total(callers).await;
    assert!((51..=120).contains(&admitted), "{admitted}");
    let today = day_of(Timestamp::now()).saturating_sub(1.day());
    let counted = used(&manager, &plan.id, &key.record.id, today).await;
    assert_eq!(counted, admitted);
}

/// A patch that is refused with this in its message.
async fn refuses(api: &Api, status: u16, of: &str, at: &str, value: &str, expected: &str) {
    let error = api.patch(status, of, &[["replace", at, value]]).await;
    let message = text(&error["message"]);
    assert!(message.contains(expected), "{value}: {message}");
}

async fn what_cannot_be_agreed_is_refused_and_changes_nothing(kind: Kind) {
    let store = Store::new(kind).await;
    let (api, manager) = on(&store).await;
    let (plan, key) = linked(&manager, plan(Some((1.0, 1)), None)).await;
    let plan_path = format!("/usageplans/{}", plan.id);
    let listed = [["add", "/tollgate/methods/api:prod", r#"["/pets/GET"]"#]];
    api.patch(200, &plan_path, &listed).await;
    let (before, plan_before) = (api.get(&path(&key)).await, api.get(&plan_path).await);
    let set = format!("/tollgate/overrides/{}", plan.id);
    let throttle = r#""throttle":{"rateLimit":1}"#;
    for (value, expected) in [
        ("", "expected an object of throttle"),
        ("5", "expected an object of throttle"),
        ("{}", "expected throttle, quotaLimit or methods"),
        (
            r#"{"until":"2054-01-01"}"#,
            "expected throttle, quotaLimit or methods",
        ),
        (r#"{"rate":1}"#, "unknown field"),
        (
            r#"{"throttle":{"burstLimit":1}}"#,
            "throttle.rateLimit is required",
        ),
        (
            r#"{"throttle":{"rateLimit":-1}}"#,
            "rateLimit must be 0 or a number",
        ),
        (r#"{"quotaLimit":5}"#, "has no quota"),
        (
            r#"{"methods":{"api:dev":{"/pets/GET":{"rateLimit":1}}}}"#,
            "does not open this stage",
        ),
        (
            r#"{"methods":{"api:prod":{"/toys/GET":{"rateLimit":1}}}}"#,
            "does not open this method",
        ),
        (
            r#"{"methods":{"api:prod":{"/pets":{"rateLimit":1}}}}"#,
            "expected a method throttle key",
        ),
        (
            &format!(r#"{{{throttle},"until":"2020-01-01"}}"#),
            "until: expected the last day",
        ),
        (
            &format!(r#"{{{throttle},"until":"soon"}}"#),
            "until: expected the last day",
        ),
    ] {
        refuses(&api, 400, &path(&key), &set, value, expected).await;
    }
    for (value, expected) in [
        ("{}", "one stage at least"),
        ("[]", "expected a map"),
        (r#"{"api":[]}"#, "expected apiId:stage"),
        (r#"{"api:prod":["GET"]}"#, "expected a method throttle key"),
    ] {
        let at = "/tollgate/restriction";
        refuses(&api, 400, &path(&key), at, value, expected).await;
    }
    for (stage, value, expected) in [
        ("api:dev", r#"["/pets/GET"]"#, "one of the plan's apiStages"),
        ("api:prod", "[]", "one method at least"),
        ("api:prod", "/pets/GET", "expected a list of /path/METHOD"),
    ] {
        let at = format!("/tollgate/methods/{stage}");
        refuses(&api, 400, &plan_path, &at, value, expected).await;
    }
    let limits = format!("{{{throttle}}}");
    let other = make_plan(&manager, Plan::default()).await;
    let stray = format!("/tollgate/overrides/{}", other.id);
    for (status, at, expected) in [
        (404, "/tollgate/overrides/nope", "Usage Plan"),
        (404, &stray, "Usage Plan Key"),
        (
            400,
            "/tollgate/overrides/",
            "/tollgate/overrides/<usagePlanId>",
        ),
    ] {
        refuses(&api, status, &path(&key), at, &limits, expected).await;
    }
    assert_eq!(api.get(&path(&key)).await, before);
    assert_eq!(api.get(&plan_path).await, plan_before);
    // What was agreed for a plan ends with it.
    api.patch(200, &path(&key), &[["add", &*set, &*limits]])
        .await;
    manager.unlink(&plan.id, &key.record.id).await.unwrap();
    assert!(!members(&api.get(&path(&key)).await).contains("tollgate"));
}

async fn a_key_that_moves_carries_what_it_has_used_or_begins_anew(kind: Kind) {
    let store = Store::new(kind).await;
    let (api, manager) = on(&store).await;
    let (first, key) = linked(
        &manager,
        plan(Some((0.001, 8)), Some((10, PeriodKind::Day))),
    )
    .await;
    let second = make_plan(
        &manager,
        plan(Some((0.001, 20)), Some((12, PeriodKind::Month))),
    )
    .await;
    let engine = engine(&store, PATIENT).await;
    for _ in 0..7 {
        assert_eq!(decide(&engine, &key.value).await, Reason::Ok);
    }
    let moves = format!("{}/moves", path(&key));
    let go = |from: &str, to: &str, usage: &str| json!({ "fromUsagePlanId": from, "toUsagePlanId": to, "usage": usage });
    let entered = api.post(&moves, go(&first.id, &second.id, "carry")).await;
    assert_eq!(text(&entered["id"]), key.record.id);
    assert_eq!(
        manager.key(&key.record.id).await.unwrap().plans,
        std::slice::from_ref(&second.id)
    );
    // Seven of the month's twelve are used, and seven are owed to the throttle.
    let told = decide_at(&engine, &key.value, Timestamp::now()).await;
    assert_eq!(told.plan_id.as_ref(), Some(&second.id));
    assert_eq!(told.standing.quota.unwrap().remaining, 4);
    assert_eq!(told.standing.rate.unwrap().remaining, 12);
    for _ in 0..4 {
        assert_eq!(decide(&engine, &key.value).await, Reason::Ok);
    }
    assert_eq!(decide(&engine, &key.value).await, Reason::Quota);
    // Back with a clean slate: of the quota, not of the throttle. That it was spent is remembered for a second.
    api.post(&moves, go(&second.id, &first.id, "clear")).await;
    let later = Timestamp::now() + SignedDuration::from_millis(1_100);
    let told = decide_at(&engine, &key.value, later).await;
    assert_eq!(
        (told.reason, told.standing.quota.unwrap().remaining),
        (Reason::Rate, 10)
    );
    // What was counted stays where it was counted.
    let today = day_of(Timestamp::now()).saturating_sub(1.day());
    assert_eq!(used(&manager, &first.id, &key.record.id, today).await, 7);
    assert_eq!(used(&manager, &second.id, &key.record.id, today).await, 5);
}

async fn a_move_under_load_refuses_nothing_that_is_left_and_admits_nothing_twice(kind: Kind) {
    const LIMIT: u64 = 400;
    let store = Store::new(kind).await;
    let manager = manager(&store).await;
    let (first, key) = linked(&manager, plan(None, Some((LIMIT, PeriodKind::Month)))).await;
    let second = make_plan(&manager, plan(None, Some((LIMIT, PeriodKind::Month)))).await;
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
        manager
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
    let counted = used(&manager, &first.id, &key.record.id, today).await
        + used(&manager, &second.id, &key.record.id, today).await;
    assert_eq!((admitted, counted), (LIMIT, LIMIT));
}

async fn wherever_a_move_is_interrupted_asking_again_finishes_it(kind: Kind) {
    for n in 0.. {
        let store = Store::new(kind).await;
        let manager = manager(&store).await;
        let (first, key) = linked(&manager, plan(None, Some((10, PeriodKind::Day)))).await;
        let second = make_plan(&manager, plan(None, Some((10, PeriodKind::Day)))).await;
        let engine = engine(&store, PATIENT).await;
        for _ in 0..4 {
            assert_eq!(decide(&engine, &key.value).await, Reason::Ok);
        }
        let (stopped, proxy) = stopped_at(&store, n).await;
        let (id, from, to) = (key.record.id.as_str(), &*first.id, &*second.id);
        let moved = stopped.move_key(id, from, to, true).await;
        proxy.rule(|_, _| Fault::None);
        if moved.is_err() {
            stopped.move_key(id, from, to, true).await.unwrap();
        }
        let told = decide_at(&engine, &key.value, Timestamp::now()).await;
        let decided = (told.reason, told.plan_id.as_deref());
        assert_eq!(decided, (Reason::Ok, Some(to)), "{n}");
        assert_eq!(told.standing.quota.unwrap().remaining, 5, "{n}");
        let page = PageRequest {
            limit: 10,
            ..PageRequest::default()
        };
        let listed = manager.linked_keys(&second, None, &page).await;
        assert_eq!(listed.unwrap().items.len(), 1, "{n}");
        if moved.is_ok() {
            assert!(n > 5, "{n}");
            break;
        }
    }
}

async fn a_move_that_cannot_be_changes_nothing(kind: Kind) {
    let store = Store::new(kind).await;
    let (api, manager) = on(&store).await;
    let (first, key) = linked(&manager, plan(None, None)).await;
    let second = make_plan(&manager, plan(None, None)).await;
    let other_stage = |stage: &str| Plan {
        stages: vec![ApiStage {
            stage: stage.to_owned(),
            ..plan(None, None).stages.remove(0)
        }],
        ..Plan::default()
    };
    let third = make_plan(&manager, other_stage("dev")).await;
    let fourth = make_plan(&manager, other_stage("dev")).await;
    manager.link(&third.id, &key.record.id).await.unwrap();
    let before = manager.key(&key.record.id).await.unwrap();
    let moves = format!("{}/moves", path(&key));
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
    assert_eq!(manager.key(&key.record.id).await.unwrap(), before);
}

async fn a_steady_request_is_one_write_with_all_of_this_on(kind: Kind) {
    let store = Store::new(kind).await;
    let (api, manager) = on(&store).await;
    let proxy = Proxy::to(&store.endpoint).await;
    let mut limits = plan(Some((1000.0, 1000)), Some((1000, PeriodKind::Day)));
    let root = "//GET".parse().unwrap();
    let throttle = Throttle::new(Some(900.0), Some(900)).unwrap();
    limits.stages[0]
        .throttle
        .insert("//GET".parse().unwrap(), throttle);
    limits.stages[0].methods = Some([root].into());
    let (plan, key) = linked(&manager, limits).await;
    let set = format!("/tollgate/overrides/{}", plan.id);
    let own = json!({
        "throttle": { "rateLimit": 500, "burstLimit": 500 }, "quotaLimit": 900, "until": "2099-12-31",
        "methods": { "api:prod": { "//GET": { "rateLimit": 400, "burstLimit": 400 } } },
    });
    let expires = (Timestamp::now().as_second() + 3600).to_string();
    let agreed = [
        ["replace", &*set, &*own.to_string()],
        [
            "replace",
            "/tollgate/restriction",
            r#"{"api:prod":["//GET"]}"#,
        ],
        ["replace", "/tollgate/expiresAt", &*expires],
    ];
    api.patch(200, &path(&key), &agreed).await;
    let rotations = format!("{}/rotations", path(&key));
    let rotated = api.post(&rotations, json!({ "overlapSeconds": 600 })).await;
    let engine = engine(&store.through(&proxy.endpoint), PATIENT).await;
    let start = Timestamp::now();
    for value in [&*key.value, &*text(&rotated["value"])] {
        assert_eq!(decide_at(&engine, value, start).await.reason, Reason::Ok);
    }
    proxy.take_calls();
    for number in 0..50 {
        let now = start + SignedDuration::from_millis(20 * number);
        let told = decide_at(&engine, &key.value, now).await;
        assert_eq!(told.reason, Reason::Ok);
        assert_eq!(told.standing.quota.unwrap().limit, 900);
    }
    let calls = proxy.take_counts();
    assert_eq!(calls.get("UpdateItem"), Some(&50));
    assert_eq!(calls.len(), 1, "{calls:?}");
}

async fn a_key_is_told_what_it_has_left_and_spends_nothing_by_asking(kind: Kind) {
    let store = Store::new(kind).await;
    let (api, manager) = on(&store).await;
    let mut limits = plan(Some((0.001, 5)), Some((10, PeriodKind::Month)));
    let throttle = Throttle::new(Some(0.001), Some(3)).unwrap();
    limits.stages[0]
        .throttle
        .insert("/pets/GET".parse().unwrap(), throttle);
    let (plan, key) = linked(&manager, limits).await;
    let engine = engine(&store, PATIENT).await;
    let pets = target("/pets");
    for _ in 0..2 {
        let told = decide_on(&engine, &key.value, &pets, 1, Timestamp::now()).await;
        assert_eq!(told.reason, Reason::Ok);
    }
    let proxy = Proxy::to(&store.endpoint).await;
    let asked = Api::on(store.through(&proxy.endpoint)).await;
    for _ in 0..3 {
        let (status, told) = asked.whoami(Some(&key.value)).await;
        assert_eq!(status, 200);
        assert_eq!(text(&told["keyId"]), key.record.id);
        let of = &told["usagePlans"][0];
        assert_eq!(text(&of["usagePlanId"]), plan.id);
        let numbers = |limit: &Value| {
            [&limit["limit"], &limit["used"], &limit["left"]].map(|it| it.as_u64().unwrap())
        };
        assert_eq!(numbers(&of["throttle"]), [5, 2, 3]);
        assert_eq!(numbers(&of["quota"]), [10, 2, 8]);
        assert_eq!(of["methods"][0]["method"], "/pets/GET");
        assert_eq!(numbers(&of["methods"][0]), [3, 2, 1]);
        assert!(of["throttle"]["resetAfter"].as_u64().unwrap() > 1_900);
        assert!(of["quota"]["reset"].as_i64().unwrap() > Timestamp::now().as_second());
    }
    assert!(proxy.take_counts().keys().all(|call| call == "GetItem"));

    for (credential, reason) in [
        (None, "missing_key"),
        (Some("tg_x"), "malformed_key"),
        (Some("no-such-key-of-anybody"), "unknown_key"),
    ] {
        let (status, told) = asked.whoami(credential).await;
        assert_eq!((status, &told["reason"]), (401, &json!(reason)));
    }
    proxy.take_calls();
    // A wrong value is not looked up again within the second.
    asked.whoami(Some("no-such-key-of-anybody")).await;
    assert!(proxy.take_calls().len() <= 1);
    api.patch(200, &path(&key), &[["replace", "/enabled", "false"]])
        .await;
    let (status, told) = asked.whoami(Some(&key.value)).await;
    assert_eq!((status, &told["reason"]), (401, &json!("disabled")));
}

async fn capacity_is_what_the_active_keys_are_entitled_to(kind: Kind) {
    let store = Store::new(kind).await;
    let (api, manager) = on(&store).await;
    let mut limits = plan(Some((10.0, 20)), Some((1_000, PeriodKind::Month)));
    let throttle = Throttle::new(Some(2.0), Some(4)).unwrap();
    limits.stages[0]
        .throttle
        .insert("/pets/GET".parse().unwrap(), throttle);
    let (plan, key) = linked(&manager, limits).await;
    let mut keys = vec![key];
    for _ in 0..3 {
        let key = tollgate_tests::world::make_key(&manager).await;
        manager.link(&plan.id, &key.record.id).await.unwrap();
        keys.push(key);
    }
    // One is off, one is elsewhere, one has more than the plan gives.
    api.patch(200, &path(&keys[0]), &[["replace", "/enabled", "false"]])
        .await;
    let elsewhere = [["replace", "/tollgate/restriction", r#"{"other:prod":[]}"#]];
    api.patch(200, &path(&keys[1]), &elsewhere).await;
    let set = format!("/tollgate/overrides/{}", plan.id);
    let own = r#"{"throttle":{"rateLimit":90,"burstLimit":100},"quotaLimit":5000}"#;
    api.patch(200, &path(&keys[2]), &[["replace", &*set, own]])
        .await;
    let yesterday = Timestamp::now() - 24.hours();
    let engine = engine(&store, PATIENT).await;
    // Time does not run back: what is asked for tomorrow makes today yesterday.
    for _ in 0..3 {
        assert_eq!(decide(&engine, &keys[3].value).await, Reason::Ok);
    }
    let shown = api.get(&format!("/usageplans/{}/capacity", plan.id)).await;
    let sums = |of: &Value| {
        ["activeKeys", "rateLimit", "burstLimit", "requestsPerDay"]
            .map(|name| format!("{}", of[name].as_f64().unwrap()))
    };
    assert_eq!(sums(&shown), ["3", "110", "140", "7000"]);
    assert_eq!(shown["apiStages"][0]["apiStage"], "api:prod");
    assert_eq!(sums(&shown["apiStages"][0]), ["2", "100", "120", "6000"]);
    assert_eq!(shown["methods"][0]["method"], "/pets/GET");
    assert_eq!(sums(&shown["methods"][0]), ["2", "4", "8", "6000"]);
    assert_eq!(text(&shown["yesterday"]), day_of(yesterday).to_string());
    assert_eq!(shown["usedYesterday"], 0);
    // Pages add up to the whole.
    let (mut active, mut position) = (0.0, String::new());
    loop {
        let page = format!(
            "/usageplans/{}/capacity?limit=1&position={position}",
            plan.id
        );
        let page = api.get(&page).await;
        active += page["activeKeys"].as_f64().unwrap();
        match page["position"].as_str() {
            Some(next) => next.clone_into(&mut position),
            None => break,
        }
    }
    assert!((active - 3.0).abs() < f64::EPSILON);
}
