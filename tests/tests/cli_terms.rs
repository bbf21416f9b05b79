//! `tollgate keys update --only`, `override`, `move`, `whoami` and `capacity`, as people run them.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use serde_json::{Value, json};
use tollgate_tests::cli::{Tollgate, failed, id, run, start};
use tollgate_tests::gateway::Dev;

const STAGE: &str = "local:$default";

/// A gateway, a plan of ten a day, and a key in it: its id and its value.
async fn world() -> (Dev, Tollgate, String, Value) {
    let (dev, tollgate) = start().await;
    let plan = format!("plans create --name Basic --stage {STAGE} --quota 10 --period day");
    let plan = tollgate.json(&plan).await;
    let key = tollgate
        .json(&format!("keys create --name first --plan {}", id(&plan)))
        .await;
    (dev, tollgate, id(&plan).to_owned(), key)
}

#[tokio::test]
async fn a_key_is_kept_to_some_methods_and_a_plan_to_others() {
    let (dev, tollgate, plan, key) = world().await;
    let (key_id, value) = (id(&key), key["value"].as_str());
    let reason = async |path: &str| dev.get(path, value).await.2;
    let only =
        format!("keys update {key_id} --only {STAGE}/pets/GET --only {STAGE}/toys/{{id}}/ANY");
    let shown = tollgate.say(&only).await;
    assert!(
        shown.contains(&format!("{STAGE}/toys/{{id}}/ANY")),
        "{shown}"
    );
    assert_eq!(reason("/pets").await, "ok");
    assert_eq!(reason("/toys/7").await, "ok");
    assert_eq!(reason("/cars").await, "method_not_allowed");
    tollgate
        .say(&format!("keys update {key_id} --unrestricted"))
        .await;
    assert_eq!(reason("/cars").await, "ok");
    let open = format!("plans update {plan} --open-method {STAGE}/cars/GET");
    let shown = tollgate.say(&open).await;
    assert!(shown.contains("open only"), "{shown}");
    let opened = tollgate.json(&format!("plans show {plan}")).await;
    assert_eq!(
        opened["tollgate"]["methods"],
        json!({ STAGE: ["/cars/GET"] })
    );
    let open = format!("plans update {plan} --open-all-methods {STAGE}");
    assert!(!tollgate.say(&open).await.contains("open only"));
    let made = format!("keys create --only {STAGE} --only {STAGE}/pets/GET");
    let made = tollgate.json(&made).await;
    assert_eq!(made["tollgate"]["restriction"], json!({ STAGE: [] }));
    let (code, error) = tollgate
        .fail(&format!("keys update {key_id} --only pets"))
        .await;
    assert!(
        code == 2 && error.contains("expected the API's id and its stage"),
        "{error}"
    );
}

#[tokio::test]
async fn a_key_has_limits_of_its_own_moves_and_its_holder_is_told() {
    let (dev, tollgate, plan, key) = world().await;
    let (key_id, value) = (id(&key), key["value"].as_str().unwrap());
    for _ in 0..3 {
        assert_eq!(dev.get("/", Some(value)).await.2, "ok");
    }
    let own = format!(
        "keys override {key_id} {plan} --quota 5 --rate 0.001 --burst 50 --until 2099-12-31 --method-throttle {STAGE}//GET=0.001:40"
    );
    let shown = tollgate.say(&own).await;
    assert!(shown.contains("2099-12-31"), "{shown}");
    let told = tollgate.say(&format!("whoami --key {value}")).await;
    let row = |what: &str| {
        let row = told.lines().find(|line| line.contains(what)).unwrap();
        let words: Vec<_> = row.split_whitespace().collect();
        words[2..5].join(" ")
    };
    assert_eq!(row("quota"), "5 3 2", "{told}");
    assert_eq!(row("throttle"), "0.001 50 0", "{told}");
    assert_eq!(row("//GET"), "0.001 40 0", "{told}");
    for expected in ["ok", "ok", "quota"] {
        assert_eq!(dev.get("/", Some(value)).await.2, expected);
    }
    tollgate
        .say(&format!("keys end-override {key_id} {plan}"))
        .await;
    let other = "plans create --name Other --quota 6 --period day --stage local:$default";
    let other = id(&tollgate.json(other).await).to_owned();
    let carry = format!("keys move {key_id} {plan} {other} --usage carry");
    assert!(
        tollgate
            .say(&carry)
            .await
            .contains(&format!("to plan Other ({other})"))
    );
    let told = tollgate.json(&format!("whoami --key {value}")).await;
    assert_eq!(told["usagePlans"][0]["name"], "Other");
    assert_eq!(told["usagePlans"][0]["quota"]["left"], 1);
    for (line, expected) in [
        (carry.clone(), None),
        (
            format!("keys move {key_id} {plan} {other}"),
            Some("--usage"),
        ),
        (
            format!("keys override {key_id} {other}"),
            Some("nothing to override"),
        ),
        (
            format!("keys override {key_id} {plan} --quota 5"),
            Some("is not in plan"),
        ),
        (
            format!("keys override {key_id} {other} --quota 5 --until 2020-01-01"),
            Some("expected the last day"),
        ),
        (
            "whoami --key nobody-has-this-key".to_owned(),
            Some("the API key is not known"),
        ),
    ] {
        match expected {
            Some(expected) => {
                let (_, error) = tollgate.fail(&line).await;
                assert!(error.contains(expected), "{line}: {error}");
            }
            // Said again, it is done already.
            None => drop(tollgate.say(&line).await),
        }
    }
    let nowhere = run(&format!("whoami --key {value}"), &[]).await;
    assert_eq!(failed(&nowhere).0, 2);
}

#[tokio::test]
async fn an_owner_is_told_what_the_backends_must_bear() {
    let (dev, tollgate, plan, key) = world().await;
    assert_eq!(dev.get("/", key["value"].as_str()).await.2, "ok");
    let second = format!(
        "plans create --name Fast --stage {STAGE} --rate 2 --burst 8 --method-throttle {STAGE}/pets/GET=1:2"
    );
    let second = id(&tollgate.json(&second).await).to_owned();
    for _ in 0..2 {
        tollgate.json(&format!("keys create --plan {second}")).await;
    }
    let lines = tollgate.json("capacity").await;
    let line = |method: Option<&str>| {
        let lines = lines.as_array().unwrap().iter();
        let mut found = lines.filter(|line| line["method"].as_str() == method);
        found.next().unwrap().clone()
    };
    let stage = line(None);
    assert_eq!(
        (&stage["activeKeys"], &stage["unthrottledKeys"]),
        (&json!(3), &json!(1))
    );
    assert_eq!(
        (&stage["rateLimit"], &stage["burstLimit"]),
        (&json!(4), &json!(16))
    );
    // Ten by the quota, and twice a day's worth of two a second with the burst.
    assert_eq!(stage["requestsPerDay"], json!(10 + 2 * (172_800 + 8)));
    assert_eq!(line(Some("/pets/GET"))["rateLimit"], json!(2));
    let shown = tollgate.say("capacity").await;
    assert!(shown.contains("4 and more"), "{shown}");
    let one = tollgate.json(&format!("capacity --plan {plan}")).await;
    assert_eq!(one[0]["activeKeys"], json!(1));
    let (code, _) = tollgate.fail("capacity --plan nope").await;
    assert_eq!(code, 3);
}
