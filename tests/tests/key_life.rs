//! A key's life: it ends at a time, and its value is replaced while requests go on.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use axum::http::Method;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tollgate_core::calendar::{PeriodKind, day_of};
use tollgate_core::verdict::Reason;
use tollgate_tests::api::{Api, members, text};
use tollgate_tests::stores::Store;
use tollgate_tests::world::{PATIENT, decide, decide_at, engine, linked, plan};

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_refused_from_its_expiry_on_and_admitted_again_when_that_is_moved() {
    let store = Store::embedded().await;
    let (api, admin) = Api::managed(&store).await;
    let (_, key) = linked(&admin, plan(None, Some((9, PeriodKind::Day)))).await;
    let path = format!("/apikeys/{}", key.record.id);
    assert!(!members(&api.get(&path).await).contains("tollgate"));
    let engine = engine(&store, PATIENT).await;
    assert_eq!(decide(&engine, &key.value).await, Reason::Ok);

    let soon = Timestamp::now().as_second() + 2;
    let expires =
        |at: i64| [["replace", "/tollgate/expiresAt", &at.to_string()].map(str::to_owned)];
    let expiring = async |at: i64| {
        let [[op, path_, value]] = expires(at);
        api.patch(200, &path, &[[&op, &path_, &value]]).await
    };
    assert_eq!(
        expiring(soon).await["tollgate"],
        json!({ "expiresAt": soon })
    );
    assert_eq!(decide(&engine, &key.value).await, Reason::Ok);
    let then = Timestamp::from_second(soon).unwrap();
    let before = then - SignedDuration::from_millis(1);
    assert_eq!(
        decide_at(&engine, &key.value, before).await.reason,
        Reason::Ok
    );
    for at in [then, then + SignedDuration::from_hours(1)] {
        let verdict = decide_at(&engine, &key.value, at).await;
        assert_eq!(
            (verdict.reason, verdict.key_id.as_ref()),
            (Reason::Expired, Some(&key.record.id))
        );
    }
    // Moving it holds at once, taking it off as well.
    expiring(soon + 3_600).await;
    assert_eq!(
        decide_at(&engine, &key.value, then).await.reason,
        Reason::Ok
    );
    let without = api
        .patch(200, &path, &[["remove", "/tollgate/expiresAt", ""]])
        .await;
    assert!(!members(&without).contains("tollgate"));
    let later = then + SignedDuration::from_hours(2);
    assert_eq!(
        decide_at(&engine, &key.value, later).await.reason,
        Reason::Ok
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expiry_and_an_overlap_that_cannot_be_are_refused_and_change_nothing() {
    let store = Store::embedded().await;
    let (api, _) = Api::managed(&store).await;
    let now = Timestamp::now().as_second();
    let made = api
        .post(
            "/apikeys",
            json!({ "enabled": true, "tollgate": { "expiresAt": now + 60 } }),
        )
        .await;
    assert_eq!(made["tollgate"]["expiresAt"], json!(now + 60));
    let id = text(&made["id"]);
    let path = format!("/apikeys/{id}");
    let before = api.get(&path).await;
    for (fields, expected) in [
        (
            json!({ "expiresAt": now - 5 }),
            "Invalid expiresAt: expected epoch seconds in the future",
        ),
        (
            json!({ "expiresAt": i64::MAX }),
            "Invalid expiresAt: expected epoch seconds in the future",
        ),
        (
            json!({ "expiresAt": "soon" }),
            "Invalid value for tollgate.expiresAt: invalid type",
        ),
        (
            json!({ "expires": now + 60 }),
            "Invalid value for tollgate.expires: unknown field",
        ),
    ] {
        let error = api
            .call(400, Method::POST, "/apikeys", json!({ "tollgate": fields }))
            .await;
        assert!(text(&error["message"]).starts_with(expected), "{error}");
    }
    for (operation, expected) in [
        (
            ["replace", "/tollgate/expiresAt", "1"],
            "Invalid expiresAt: expected epoch seconds in the future",
        ),
        (
            ["add", "/tollgate/expiresAt", "2027-01-01"],
            "Invalid expiresAt: expected epoch seconds, got",
        ),
        (
            ["replace", "/tollgate/expiry", "1"],
            "Invalid patch path  '/tollgate/expiry' specified for op 'replace'. Must be one of: [/tollgate/expiresAt, /tollgate/restriction, /tollgate/overrides/<usagePlanId>]",
        ),
    ] {
        let error = api
            .patch(400, &path, &[["replace", "/name", "x"], operation])
            .await;
        assert!(text(&error["message"]).starts_with(expected), "{error}");
    }
    let rotations = format!("{path}/rotations");
    for (body, expected) in [
        (
            json!({}),
            "Invalid overlapSeconds: expected a whole number from 0 to 7776000",
        ),
        (
            json!({ "overlapSeconds": -1 }),
            "Invalid overlapSeconds: expected a whole number",
        ),
        (
            json!({ "overlapSeconds": 7_776_001 }),
            "Invalid overlapSeconds: expected a whole number",
        ),
        (
            json!({ "overlapSeconds": 1.5 }),
            "Invalid value for overlapSeconds: invalid type",
        ),
        (
            json!({ "overlapSeconds": 1, "value": "short" }),
            "API Key value should be at least 20",
        ),
        (
            json!(["a-value-of-20-letters-at-least", 5]),
            "Invalid request body: ",
        ),
    ] {
        let error = api.call(400, Method::POST, &rotations, body).await;
        assert!(text(&error["message"]).starts_with(expected), "{error}");
    }
    let own = json!({ "overlapSeconds": 1, "value": made["value"] });
    api.call(409, Method::POST, &rotations, own).await;
    let none = json!({ "overlapSeconds": 1 });
    api.call(404, Method::POST, "/apikeys/nope/rotations", none.clone())
        .await;
    api.call(404, Method::DELETE, &rotations, Value::Null).await;
    assert_eq!(api.get(&path).await, before);
    api.patch(200, &path, &[["replace", "/enabled", "false"]])
        .await;
    let error = api.call(400, Method::POST, &rotations, none).await;
    assert!(text(&error["message"]).contains("disabled"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_day_of_use_is_shown_through_rollovers_unlinks_and_links() {
    let store = Store::embedded().await;
    let (api, admin) = Api::managed(&store).await;
    let (plan, key) = linked(&admin, plan(None, Some((9, PeriodKind::Month)))).await;
    let engine = engine(&store, PATIENT).await;
    let path = format!("/apikeys/{}", key.record.id);
    let shown = async || api.get(&path).await["tollgate"]["lastUsedDay"].clone();
    assert!(!members(&api.get(&path).await).contains("tollgate"));
    let now = Timestamp::now();
    for (hours, reason) in [(0, Reason::Ok), (24, Reason::Ok), (72, Reason::Ok)] {
        let at = now + SignedDuration::from_hours(hours);
        assert_eq!(decide_at(&engine, &key.value, at).await.reason, reason);
        assert_eq!(shown().await, json!(day_of(at).to_string()));
    }
    let last = json!(day_of(now + SignedDuration::from_hours(72)).to_string());
    admin.unlink(&plan.id, &key.record.id).await.unwrap();
    assert_eq!(shown().await, last);
    admin.link(&plan.id, &key.record.id).await.unwrap();
    assert_eq!(shown().await, last);
    // What a refusal shows is no use.
    let late = now + SignedDuration::from_hours(96);
    admin.unlink(&plan.id, &key.record.id).await.unwrap();
    assert_eq!(
        decide_at(&engine, &key.value, late).await.reason,
        Reason::NotInPlan
    );
    assert_eq!(shown().await, last);
}
