//! Any list of patch operations changes a plan wholly or not at all, and any plan can be made again from what is shown of
//! it.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use axum::http::Method;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::json;
use tollgate_tests::api::{Api, text};

const PLANS: usize = 40;
const PATCHES: usize = 6;

/// Numbers as they come: good, out of range, of another kind.
fn numbers() -> impl Strategy<Value = String> {
    prop_oneof![
        20 => (0..6u32).prop_map(|number| number.to_string()),
        1 => (0.5..20.0f64).prop_map(|number| number.to_string()),
        1 => Just("-1".to_owned()),
        1 => Just("many".to_owned()),
        1 => Just(String::new()),
    ]
}

fn stages() -> impl Strategy<Value = String> {
    prop_oneof![12 => Just("a:s".to_owned()), 3 => "[ab]:[sd]", 1 => Just("a".to_owned()), 1 => Just("a:$default".to_owned())]
}

fn methods() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => Just("~1pets~1{id}/GET".to_owned()),
        4 => Just("/pets/{id}/GET".to_owned()),
        4 => Just("~1/ANY".to_owned()),
        1 => Just("nothing".to_owned()),
    ]
}

/// An operation: what, where, and its value.
fn operations() -> impl Strategy<Value = (String, String, Option<String>)> {
    let words = prop_oneof![
        12 => Just("replace"), 3 => Just("add"), 2 => Just("remove"), 1 => Just("copy"),
    ];
    let simple = prop_oneof![
        Just("/name"),
        Just("/description"),
        Just("/productCode"),
        Just("/quota/limit"),
        Just("/quota/offset"),
        Just("/throttle/rateLimit"),
        Just("/throttle/burstLimit"),
        Just("/quota"),
        Just("/throttle"),
        Just("/id"),
    ];
    let of_number = (simple, numbers()).prop_map(|(path, value)| (path.to_owned(), value));
    let of_period = prop_oneof![Just("DAY"), Just("WEEK"), Just("MONTH"), Just("YEAR")]
        .prop_map(|period| ("/quota/period".to_owned(), period.to_owned()));
    let of_stage = stages().prop_map(|stage| ("/apiStages".to_owned(), stage));
    let field = prop_oneof![Just("rateLimit"), Just("burstLimit")];
    let of_method =
        (stages(), methods(), field, numbers()).prop_map(|(stage, method, field, value)| {
            (
                format!("/apiStages/{stage}/throttle/{method}/{field}"),
                value,
            )
        });
    let target = prop_oneof![4 => of_number, 2 => of_period, 3 => of_stage, 3 => of_method];
    (words, target, any::<bool>()).prop_map(|(word, (path, value), valued)| {
        (
            word.to_owned(),
            path,
            Some(value).filter(|_| valued || word != "remove"),
        )
    })
}

fn patch(operations: &[(String, String, Option<String>)]) -> String {
    let operations = operations.iter().map(|(op, path, value)| {
        let mut operation = json!({ "op": op, "path": path });
        if let Some(value) = value {
            operation["value"] = json!(value);
        }
        operation
    });
    json!({ "patchOperations": operations.collect::<Vec<_>>() }).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn any_patch_is_made_wholly_or_not_at_all() {
    let api = Api::embedded().await;
    let mut runner = TestRunner::deterministic();
    let lists = proptest::collection::vec(operations(), 1..4);
    let mut case = || lists.new_tree(&mut runner).unwrap().current();
    let (mut made, mut refused) = (0, 0);
    for _ in 0..PLANS {
        let stage = json!({ "apiId": "a", "stage": "s" });
        let quota = json!({ "limit": 5, "period": "WEEK" });
        let throttle = json!({ "rateLimit": 5, "burstLimit": 5 });
        let plan =
            json!({ "name": "plan", "apiStages": [stage], "quota": quota, "throttle": throttle });
        let plan = api.post("/usageplans", plan).await;
        let path = format!("/usageplans/{}", text(&plan["id"]));
        for _ in 0..PATCHES {
            let before = api.get(&path).await;
            let operations = case();
            let (status, answer, _) = api.raw(Method::PATCH, &path, patch(&operations)).await;
            let after = api.get(&path).await;
            match status.as_u16() {
                200 => {
                    made += 1;
                    assert_eq!(answer, after, "{operations:?}");
                    // Doing the same again may be refused (there is nothing left to remove), and changes nothing more.
                    let only_sets = operations.iter().all(|(op, ..)| op != "remove");
                    let (again, ..) = api.raw(Method::PATCH, &path, patch(&operations)).await;
                    assert!(again.is_success() || !only_sets, "{operations:?}");
                    if only_sets {
                        assert_eq!(api.get(&path).await, after, "{operations:?}");
                    }
                }
                400 | 404 => {
                    refused += 1;
                    assert_eq!(before, after, "{operations:?}");
                    assert!(!text(&answer["message"]).is_empty());
                }
                other => panic!("{other}: {answer} {operations:?}"),
            }
        }
        round_trip(&api, &path).await;
    }
    // The cases have to be worth it.
    assert!(made > 40 && refused > 40, "{made} made, {refused} refused");
}

/// What is shown of a plan makes the same plan.
async fn round_trip(api: &Api, path: &str) {
    let mut shown = api.get(path).await;
    let fields = shown.as_object_mut().unwrap();
    fields.remove("id");
    // Only an update sets a product code.
    fields.remove("productCode");
    let copy = api.post("/usageplans", shown.clone()).await;
    let mut copy = api.get(&format!("/usageplans/{}", text(&copy["id"]))).await;
    copy.as_object_mut().unwrap().remove("id");
    assert_eq!(copy, shown);
}
