//! A deployment and a roll-back: for a while, this release's authorizer and the one before share a table.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use std::path::PathBuf;

use serde_json::json;
use tokio::task::JoinHandle;
use tollgate_core::calendar::{PeriodKind, day_of};
use tollgate_tests::lambda::{Function, Start, binary, event};
use tollgate_tests::stores::Store;
use tollgate_tests::world::{admin, linked, plan, total, used};

/// The authorizer of the release before, which `./test` builds.
fn previous() -> PathBuf {
    const VARIABLE: &str = "TOLLGATE_TEST_PREVIOUS";
    let folder =
        std::env::var(VARIABLE).unwrap_or_else(|_| panic!("{VARIABLE} is not set; run ./test"));
    PathBuf::from(folder).join("authorizer")
}

/// A caller that asks until its quota is spent: how many of its requests were admitted.
async fn caller(program: PathBuf, store: Store, key: String) -> JoinHandle<u64> {
    let function = Function::start_program(&program, &store, Start::default()).await;
    tokio::spawn(async move {
        let mut admitted = 0;
        loop {
            let answer = function.invoke(event("http-api-v2", Some(&key))).await;
            if answer["isAuthorized"] == json!(true) {
                admitted += 1;
                continue;
            }
            match answer["context"]["reason"].as_str().unwrap() {
                "quota" => return admitted,
                // Four instances without a pause between their requests meet each other.
                "contended" | "rate" => {}
                other => panic!("{other}: {answer}"),
            }
        }
    })
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the previous release; ./test runs it"]
async fn old_and_new_instances_on_one_key_admit_exactly_its_quota() {
    let store = Store::embedded().await;
    let admin = admin(&store).await;
    let limits = plan(Some((5_000.0, 500)), Some((600, PeriodKind::Month)));
    let (plan, key) = linked(&admin, limits).await;
    let mut callers = Vec::new();
    for program in [
        previous(),
        binary("authorizer"),
        previous(),
        binary("authorizer"),
    ] {
        callers.push(caller(program, store.clone(), key.value.clone()).await);
    }
    assert_eq!(total(callers).await, 600);
    let today = day_of(jiff::Timestamp::now()).yesterday().unwrap();
    assert_eq!(used(&admin, &plan.id, &key.record.id, today).await, 600);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the previous release; ./test runs it"]
async fn a_key_goes_on_where_the_other_release_left_it() {
    let store = Store::embedded().await;
    let limits = plan(Some((0.001, 100)), Some((9, PeriodKind::Month)));
    let (_, key) = linked(&admin(&store).await, limits).await;
    let mut left = Vec::new();
    for program in [previous(), binary("authorizer"), previous()] {
        let function = Function::start_program(&program, &store, Start::default()).await;
        for _ in 0..3 {
            let answer = function
                .invoke(event("http-api-v2", Some(&key.value)))
                .await;
            left.push(answer["context"]["quotaRemaining"].as_u64().unwrap());
        }
    }
    assert_eq!(left, [8, 7, 6, 5, 4, 3, 2, 1, 0]);
}
