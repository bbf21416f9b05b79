//! What is agreed for one key: methods that are open to it, and limits of its own up to a day.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp, ToSpan};
use serde_json::json;
use tollgate_core::calendar::{PeriodKind, day_of};
use tollgate_core::limit::Throttle;
use tollgate_core::plan::Plan;
use tollgate_core::verdict::Reason;
use tollgate_tests::api::{Api, members, text};
use tollgate_tests::on_both_stores;
use tollgate_tests::proxy::Proxy;
use tollgate_tests::stores::{Kind, Store};
use tollgate_tests::world::{
    PATIENT, at, decide, decide_at, decide_on, engine, linked, make_plan, plan, target, total,
    usage, used,
};

on_both_stores!(
    limits_of_its_own_that_come_and_go_under_load_never_let_more_through_than_the_larger,
    a_steady_request_is_one_write_with_all_of_this_on,
);

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_and_a_key_open_what_they_list_and_an_edit_holds() {
    let store = Store::embedded().await;
    let (api, admin) = Api::managed(&store).await;
    let (plan, key) = linked(&admin, plan(None, Some((100, PeriodKind::Day)))).await;
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
    let shown = api.patch(200, &key.path(), &restrict).await;
    assert_eq!(shown["tollgate"]["restriction"], only);
    assert_eq!(decide("/toys", 13).await, Reason::MethodNotAllowed);
    assert_eq!(decide("/pets", 13).await, Reason::Ok);
    assert_eq!(decide("/pets/7", 13).await, Reason::MethodNotAllowed);
    let elsewhere = [["add", "/tollgate/restriction", r#"{"other:prod": []}"#]];
    api.patch(200, &key.path(), &elsewhere).await;
    assert_eq!(decide("/pets", 14).await, Reason::MethodNotAllowed);
    api.patch(200, &key.path(), &[["remove", "/tollgate/restriction", ""]])
        .await;
    assert_eq!(decide("/pets", 15).await, Reason::Ok);
    assert!(!members(&api.get(&key.path()).await["tollgate"]).contains("restriction"));
    // What was refused has charged nothing.
    let today = day_of(now);
    assert_eq!(used(&admin, &plan.id, &key.record.id, today).await, 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_of_its_own_hold_up_to_their_last_day_whatever_the_clocks_say() {
    let store = Store::embedded().await;
    let (api, admin) = Api::managed(&store).await;
    let (plan, key) = linked(&admin, plan(Some((1.0, 1)), Some((2, PeriodKind::Month)))).await;
    let overrides = json!({
        "throttle": { "rateLimit": 0.001, "burstLimit": 5 }, "quotaLimit": 50, "until": "2054-12-30",
    });
    let set = format!("/tollgate/overrides/{}", plan.id);
    let shown = api
        .patch(
            200,
            &key.path(),
            &[["replace", &*set, &*overrides.to_string()]],
        )
        .await;
    assert_eq!(shown["tollgate"]["overrides"][plan.id.as_str()], overrides);
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
        let days = usage(&admin, &plan.id, &key.record.id, end).await;
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
        &admin,
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
    let (api, admin) = Api::managed(&store).await;
    let (plan, key) = linked(&admin, plan(None, Some((50, PeriodKind::Month)))).await;
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
        api.patch(200, &key.path(), &more).await;
        tokio::time::sleep(Duration::from_millis(400)).await;
        api.patch(200, &key.path(), &[["remove", &*at, ""]]).await;
    }
    done.store(true, Ordering::Relaxed);
    let admitted = total(callers).await;
    assert!((51..=120).contains(&admitted), "{admitted}");
    let today = day_of(Timestamp::now()).saturating_sub(1.day());
    let counted = used(&admin, &plan.id, &key.record.id, today).await;
    assert_eq!(counted, admitted);
}

/// A patch that is refused with this in its message.
async fn refuses(api: &Api, status: u16, of: &str, at: &str, value: &str, expected: &str) {
    let error = api.patch(status, of, &[["replace", at, value]]).await;
    let message = text(&error["message"]);
    assert!(message.contains(expected), "{value}: {message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_agreed_is_refused_and_changes_nothing() {
    let store = Store::embedded().await;
    let (api, admin) = Api::managed(&store).await;
    let (plan, key) = linked(&admin, plan(Some((1.0, 1)), None)).await;
    let plan_path = format!("/usageplans/{}", plan.id);
    let listed = [["add", "/tollgate/methods/api:prod", r#"["/pets/GET"]"#]];
    api.patch(200, &plan_path, &listed).await;
    let (before, plan_before) = (api.get(&key.path()).await, api.get(&plan_path).await);
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
        refuses(&api, 400, &key.path(), &set, value, expected).await;
    }
    for (value, expected) in [
        ("{}", "one stage at least"),
        ("[]", "expected a map"),
        (r#"{"api":[]}"#, "expected apiId:stage"),
        (r#"{"api:prod":["GET"]}"#, "expected a method throttle key"),
    ] {
        let at = "/tollgate/restriction";
        refuses(&api, 400, &key.path(), at, value, expected).await;
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
    let other = make_plan(&admin, Plan::default()).await;
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
        refuses(&api, status, &key.path(), at, &limits, expected).await;
    }
    assert_eq!(api.get(&key.path()).await, before);
    assert_eq!(api.get(&plan_path).await, plan_before);
    // What was agreed for a plan ends with it.
    api.patch(200, &key.path(), &[["add", &*set, &*limits]])
        .await;
    admin.unlink(&plan.id, &key.record.id).await.unwrap();
    assert!(!members(&api.get(&key.path()).await).contains("tollgate"));
}

async fn a_steady_request_is_one_write_with_all_of_this_on(kind: Kind) {
    let store = Store::new(kind).await;
    let (api, admin) = Api::managed(&store).await;
    let proxy = Proxy::to(&store.endpoint).await;
    let mut limits = plan(Some((1000.0, 1000)), Some((1000, PeriodKind::Day)));
    let root = "//GET".parse().unwrap();
    let throttle = Throttle::new(Some(900.0), Some(900)).unwrap();
    limits.stages[0]
        .throttle
        .insert("//GET".parse().unwrap(), throttle);
    limits.stages[0].methods = Some([root].into());
    let (plan, key) = linked(&admin, limits).await;
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
    api.patch(200, &key.path(), &agreed).await;
    let rotations = format!("{}/rotations", key.path());
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
        assert_eq!(told.limit_status.quota().unwrap().limit, 900);
    }
    let calls = proxy.take_counts();
    assert_eq!(calls.get("UpdateItem"), Some(&50));
    assert_eq!(calls.len(), 1, "{calls:?}");
}
