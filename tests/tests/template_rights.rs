//! The template grants each function the rights that its calls need, and no others.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tollgate_core::calendar::PeriodKind;
use tollgate_keys::vault::Vault;
use tollgate_tests::api::Api;
use tollgate_tests::kms::Kms;
use tollgate_tests::proxy::Proxy;
use tollgate_tests::sam;
use tollgate_tests::stores::{Kind, Store};
use tollgate_tests::world::{PATIENT, admin, decide_at, engine, linked, plan};

use crate::template::TEMPLATES;

/// The actions that a role may do on the table, and on what.
async fn actions(role: &str, policy: usize) -> (BTreeSet<String>, Value) {
    let stack = sam::template(TEMPLATES[0]).await;
    let policies = &stack["Resources"][role]["Properties"]["Policies"];
    let statements = policies[policy]["PolicyDocument"]["Statement"]
        .as_array()
        .unwrap();
    let resource = statements[0]["Resource"]["Fn::If"][1].clone();
    let mut all = BTreeSet::new();
    for statement in statements {
        assert_eq!(statement["Resource"]["Fn::If"][1], resource);
        let action = &statement["Action"];
        let actions = action
            .as_array()
            .cloned()
            .unwrap_or_else(|| vec![action.clone()]);
        all.extend(
            actions
                .iter()
                .map(|action| action.as_str().unwrap().replace("dynamodb:", "")),
        );
    }
    (all, resource)
}

#[tokio::test]
#[ignore = "needs the SAM CLI; ./test runs it"]
async fn the_authorizer_may_do_what_it_does_and_no_more() {
    let store = Store::new(Kind::DynamodbLocal).await;
    let limits = plan(Some((100.0, 100)), Some((1_000, PeriodKind::Month)));
    let (_, key) = linked(&admin(&store).await, limits).await;
    let proxy = Proxy::to(&store.endpoint).await;
    let engine = engine(&store.through(&proxy.endpoint), PATIENT).await;
    // Days close, and are written out.
    for day in 0..3 {
        let now = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24 * day);
        for _ in 0..2 {
            let verdict = decide_at(&engine, &key.value, now).await;
            assert!(verdict.is_allowed(), "{verdict:?}");
        }
    }
    let done: BTreeSet<_> = proxy.take_counts().into_keys().collect();
    let (allowed, resource) = actions("AuthorizerRole", 1).await;
    assert_eq!(allowed, done);
    assert_eq!(resource, json!({ "Fn::GetAtt": ["Table", "Arn"] }));
    // What it writes belongs to a key: it can make neither plans nor the items by which values are found.
    let stack = sam::template(TEMPLATES[0]).await;
    let charge = &stack["Resources"]["AuthorizerRole"]["Properties"]["Policies"][1];
    let writes = &charge["PolicyDocument"]["Statement"][1];
    assert_eq!(
        writes["Action"],
        json!(["dynamodb:UpdateItem", "dynamodb:PutItem"])
    );
    let keys = &writes["Condition"]["ForAllValues:StringLike"]["dynamodb:LeadingKeys"];
    assert_eq!(keys, &json!(["KEY#*"]));
}

#[tokio::test]
#[ignore = "needs the SAM CLI; ./test runs it"]
async fn management_may_do_what_it_does_and_no_more() {
    let store = Store::new(Kind::DynamodbLocal).await;
    let proxy = Proxy::to(&store.endpoint).await;
    let api = Api::on(store.through(&proxy.endpoint)).await;
    let stages = json!([{ "apiId": "api", "stage": "prod" }]);
    let quota = json!({ "limit": 10, "period": "DAY" });
    let plan = json!({ "name": "p", "apiStages": stages, "quota": quota });
    let plan = api.post("/usageplans", plan).await;
    let plan = format!("/usageplans/{}", plan["id"].as_str().unwrap());
    let key = api.key(json!({ "name": "k" })).await;
    let link = json!({ "keyId": key, "keyType": "API_KEY" });
    api.post(&format!("{plan}/keys"), link).await;
    let used = format!("{plan}/keys/{key}/usage");
    api.patch(200, &used, &[["replace", "/remaining", "1"]])
        .await;
    // What a deletion sweeps.
    closed_day(&store, &key).await;
    for path in ["/apikeys", "/usageplans", &format!("{plan}/keys")] {
        api.get(path).await;
    }
    api.delete(&format!("/apikeys/{key}")).await;
    api.patch(200, &plan, &[["remove", "/apiStages", "api:prod"]])
        .await;
    api.delete(&plan).await;
    let mut done: BTreeSet<_> = proxy.take_counts().into_keys().collect();
    // A transaction needs the rights of its parts, here puts.
    assert!(done.remove("TransactWriteItems"));
    assert_eq!(actions("KeysRole", 1).await.0, done);
}

/// A key policy is the whole truth about a KMS key unless it hands the matter over to IAM.
#[tokio::test]
#[ignore = "needs the SAM CLI; ./test runs it"]
async fn only_key_management_may_open_what_is_kept_of_values() {
    let stack = sam::template(TEMPLATES[0]).await;
    let policy = &stack["Resources"]["ValuesKey"]["Properties"]["KeyPolicy"];
    for statement in policy["Statement"].as_array().unwrap() {
        let manages = json!({ "AWS": { "Fn::GetAtt": ["KeysRole", "Arn"] } });
        let is_use = |action: &Value| {
            let action = action.as_str().unwrap();
            let uses = [
                "Decrypt",
                "Encrypt",
                "ReEncrypt",
                "GenerateDataKey",
                "CreateGrant",
                "*",
            ];
            uses.iter()
                .any(|used| action.trim_start_matches("kms:").starts_with(used))
        };
        let uses = statement["Action"].as_array().unwrap().iter().any(is_use);
        assert_eq!(uses, statement["Principal"] == manages, "{statement}");
    }
    let kms = Kms::start().await;
    let vault = || async { Vault::kms(&kms.sdk_config().await, kms.key.clone()) };
    let store = Store::new(Kind::DynamodbLocal).await;
    let api = Api::with(store.clone(), vault().await).await;
    api.key(json!({})).await;
    let another = Api::with(store, vault().await).await;
    another.get("/apikeys?includeValues=true").await;
    let done: BTreeSet<_> = kms.proxy.take_counts().into_keys().collect();
    let allowed = policy["Statement"][0]["Action"].as_array().unwrap().iter();
    let allowed = allowed.map(|action| action.as_str().unwrap().replace("kms:", ""));
    assert_eq!(allowed.collect::<BTreeSet<_>>(), done);
}

/// The authorizer cannot even be built to decrypt: it has no client for KMS.
#[test]
fn the_authorizer_has_no_client_for_kms() {
    let tree = |package: &str| {
        let cargo = std::process::Command::new(env!("CARGO"))
            .args([
                "tree",
                "--offline",
                "--edges",
                "normal",
                "--package",
                package,
            ])
            .current_dir(sam::root())
            .output()
            .unwrap();
        assert!(cargo.status.success());
        String::from_utf8(cargo.stdout).unwrap()
    };
    assert!(tree("tollgate-keys").contains("aws-sdk-kms"));
    assert!(!tree("tollgate-authorizer").contains("aws-sdk-kms"));
}

async fn closed_day(store: &Store, key: &str) {
    use aws_sdk_dynamodb::types::AttributeValue as A;
    let put = store.client().await.put_item().table_name(&store.table);
    put.item("pk", A::S(format!("KEY#{key}")))
        .item("sk", A::S("USAGE#plan#2026-01-01".to_owned()))
        .send()
        .await
        .unwrap();
}

#[tokio::test]
#[ignore = "needs the SAM CLI; ./test runs it"]
async fn the_policies_for_people_open_what_they_are_for() {
    let stack = sam::template(TEMPLATES[0]).await;
    let opens = |policy: &str, call: &str| {
        let policy = &stack["Resources"][policy]["Properties"]["PolicyDocument"];
        let resources = policy["Statement"][0]["Resource"].as_array().unwrap();
        resources.iter().any(|resource| {
            let arn = resource["Fn::Sub"].as_str().unwrap();
            let (_, pattern) = arn.split_once("${ManagementApi}/").unwrap();
            fits(pattern, &format!("$default/{call}"))
        })
    };
    for (call, viewer, support) in [
        ("GET/apikeys", true, true),
        ("GET/usageplans/p/usage", true, true),
        ("PATCH/apikeys/k", false, true),
        ("POST/apikeys/k/rotations", false, true),
        ("DELETE/apikeys/k/rotations", false, true),
        ("PATCH/usageplans/p/keys/k/usage", false, true),
        ("POST/apikeys", false, false),
        ("DELETE/apikeys/k", false, false),
        ("POST/apikeys/k/moves", false, false),
        ("PATCH/usageplans/p", false, false),
        ("POST/usageplans/p/keys", false, false),
    ] {
        assert_eq!(opens("ViewerPolicy", call), viewer, "{call}");
        assert_eq!(opens("SupportPolicy", call), support, "{call}");
        assert!(opens("AdministratorPolicy", call), "{call}");
    }
}

/// Whether an IAM pattern, in which `*` stands for any text, matches.
fn fits(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, rest)) => text.strip_prefix(start).is_some_and(|text| {
            (0..=text.len()).any(|from| text.get(from..).is_some_and(|text| fits(rest, text)))
        }),
    }
}
