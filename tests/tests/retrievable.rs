//! Values that can be shown again: encrypted in the table, shown where they are asked for, gone where KMS says so.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};
use tollgate_keys::vault::Vault;
use tollgate_tests::api::{Api, text};
use tollgate_tests::cli::{self, Tollgate, failed, id, start};
use tollgate_tests::gateway::Dev;
use tollgate_tests::kms::Kms;
use tollgate_tests::lambda::{Function, Start, event};
use tollgate_tests::proxy::Fault;
use tollgate_tests::stores::Store;

const VALUE: &str = "retrievable-value-0001";

fn named(name: &str, value: &str) -> Value {
    json!({ "name": name, "value": value, "enabled": true })
}

async fn import(api: &Api, csv: &str) {
    let path = "/apikeys?mode=import&format=csv&failonwarnings=true";
    let (status, answer, _) = api.raw(Method::POST, path, csv.to_owned()).await;
    assert_eq!(status, StatusCode::CREATED, "{answer}");
}

/// The values of a list, newest key first.
fn values(list: &Value) -> Vec<Option<&str>> {
    let items = list["item"].as_array().unwrap().iter();
    items
        .map(|item| item.get("value").map(|value| value.as_str().unwrap()))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn values_are_shown_where_they_are_asked_for_and_nowhere_else() {
    let api = Api::with(Store::embedded().await, Vault::local()).await;
    let id = api.key(named("k", VALUE)).await;
    import(&api, "Name,Key\ni,retrievable-imported-0001\n").await;
    let generated = api.post("/apikeys", json!({})).await;
    let generated = text(&generated["value"]);

    let key = format!("/apikeys/{id}");
    let shown = api.get(&format!("{key}?includeValue=true")).await;
    assert_eq!(shown["value"], VALUE);
    let all = api.get("/apikeys?includeValues=true").await;
    let expected = [generated.as_str(), "retrievable-imported-0001", VALUE];
    assert_eq!(values(&all), expected.map(Some));
    let plan = api.post("/usageplans", json!({ "name": "p" })).await;
    let keys = format!("/usageplans/{}/keys", text(&plan["id"]));
    let linked = json!({ "keyId": id, "keyType": "API_KEY" });
    assert_eq!(api.post(&keys, linked).await["value"], VALUE);
    assert_eq!(values(&api.get(&keys).await), [Some(VALUE)]);
    assert_eq!(api.get(&format!("{keys}/{id}")).await["value"], VALUE);

    assert_eq!(values(&api.get("/apikeys").await), [None; 3]);
    for path in [key.clone(), format!("{key}?includeValue=false")] {
        assert_eq!(api.get(&path).await.get("value"), None);
    }
    let patched = api.patch(200, &key, &[["replace", "/name", "n"]]).await;
    assert_eq!(patched.get("value"), None);
    // Changing a key keeps its value.
    let shown = api.get(&format!("{key}?includeValue=true")).await;
    assert_eq!(shown["value"], VALUE);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_from_before_has_no_value_until_it_is_imported_again() {
    let store = Store::embedded().await;
    let before = Api::on(store.clone()).await;
    let id = before.key(named("old", VALUE)).await;
    let api = Api::with(store, Vault::local()).await;
    let path = format!("/apikeys/{id}?includeValue=true");
    assert_eq!(api.get(&path).await.get("value"), None);
    import(&api, &format!("Name,Key\nold,{VALUE}\n")).await;
    assert_eq!(api.get(&path).await["value"], VALUE);
}

#[tokio::test(flavor = "multi_thread")]
async fn switched_off_again_keys_are_answered_without_their_values() {
    let api = Api::with(Store::embedded().await, Vault::local()).await;
    let id = api.key(named("k", VALUE)).await;
    let off = Api::on(api.store.clone()).await;
    let path = format!("/apikeys/{id}?includeValue=true");
    assert_eq!(off.get(&path).await.get("value"), None);
    let list = off.get("/apikeys?includeValues=true").await;
    assert_eq!(values(&list), [None]);
    assert_eq!(api.get(&path).await["value"], VALUE);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs AWS KMS played by moto; ./test runs it"]
async fn no_item_of_the_table_holds_a_value_in_plain() {
    let kms = Kms::start().await;
    let vault = Vault::kms(&kms.sdk_config().await, kms.key.clone());
    let api = Api::with(Store::embedded().await, vault).await;
    api.key(named("k", VALUE)).await;
    let scan = api.store.client().await.scan();
    let items = scan.table_name(&api.store.table).send().await.unwrap();
    let items = format!("{:?}", items.items());
    assert!(items.contains("sealed") && !items.contains(VALUE));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ciphertext_that_was_put_into_another_keys_record_is_not_shown() {
    let api = Api::with(Store::embedded().await, Vault::local()).await;
    let secret = api.key(named("secret", VALUE)).await;
    let other = api.key(named("other", "retrievable-value-0002")).await;
    let client = api.store.client().await;
    let key = |id: &str| {
        [("pk", format!("KEY#{id}")), ("sk", "KEY".to_owned())].map(|(name, value)| {
            let value = aws_sdk_dynamodb::types::AttributeValue::S(value);
            (name.to_owned(), value)
        })
    };
    let read = client.get_item().table_name(&api.store.table);
    let read = read.set_key(Some(key(&secret).into())).send().await;
    let sealed = read.unwrap().item.unwrap().remove("sealed").unwrap();
    let write = client.update_item().table_name(&api.store.table);
    let write = write.set_key(Some(key(&other).into()));
    let write = write.update_expression("SET sealed = :sealed");
    let write = write.expression_attribute_values(":sealed", sealed);
    write.send().await.unwrap();
    let list = api.get("/apikeys?includeValues=true").await;
    assert_eq!(values(&list), [None, Some(VALUE)]);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs AWS KMS played by moto; ./test runs it"]
async fn a_page_of_values_costs_a_call_of_kms_for_each_instance_that_made_them() {
    let kms = Kms::start().await;
    let sdk = kms.sdk_config().await;
    let store = Store::embedded().await;
    let instance = async || Api::with(store.clone(), Vault::kms(&sdk, kms.key.clone())).await;
    for _ in 0..2 {
        let api = instance().await;
        for _ in 0..20 {
            api.key(json!({})).await;
        }
        assert_eq!(
            kms.proxy.take_counts(),
            [("GenerateDataKey".into(), 1)].into()
        );
    }
    let reader = instance().await;
    for calls in [[("Decrypt".into(), 2)].into(), [].into()] {
        let list = reader.get("/apikeys?includeValues=true&limit=40").await;
        assert!(values(&list).iter().all(Option::is_some));
        assert_eq!(kms.proxy.take_counts(), calls);
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs AWS KMS played by moto; ./test runs it"]
async fn without_kms_no_key_is_made_and_keys_are_shown_without_values_as_before() {
    let kms = Kms::start().await;
    let vault = || async { Vault::kms(&kms.sdk_config().await, kms.key.clone()) };
    let store = Store::embedded().await;
    let made = Api::with(store.clone(), vault().await).await;
    let id = made.key(named("k", VALUE)).await;
    let api = Api::with(store, vault().await).await;
    let one = format!("/apikeys/{id}?includeValue=true");
    for fault in [Fault::InternalError, Fault::Refuse("AccessDeniedException")] {
        let shown = fault.clone();
        kms.proxy.rule(move |_, _| fault.clone());
        let new = named("n", "retrievable-value-0002");
        for (method, path, body) in [
            (Method::POST, "/apikeys", new),
            (Method::GET, &one, Value::Null),
        ] {
            let answer = api.call(503, method, path, body).await;
            assert!(text(&answer["message"]).contains("KMS"), "{answer}");
        }
        // A data key that is refused for good may not be this key's, but another's.
        let path = "/apikeys?includeValues=true";
        let (status, list, _) = api.raw(Method::GET, path, String::new()).await;
        match shown {
            Fault::InternalError => assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE),
            _ => assert_eq!((status, values(&list)), (StatusCode::OK, vec![None])),
        }
        let list = api.get("/apikeys").await;
        assert_eq!(list["item"].as_array().unwrap().len(), 1);
        // Where nobody has asked for values, things go on without.
        let plan = text(&api.post("/usageplans", json!({ "name": "p" })).await["id"]);
        let keys = format!("/usageplans/{plan}/keys");
        let linked = api
            .post(&keys, json!({ "keyId": id, "keyType": "API_KEY" }))
            .await;
        assert_eq!(linked.get("value"), None);
        assert_eq!(values(&api.get(&keys).await), [None]);
    }
    kms.proxy.rule(|_, _| Fault::None);
    assert_eq!(api.get(&one).await["value"], VALUE);
    api.key(named("n", "retrievable-value-0002")).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs AWS KMS played by moto; ./test runs it"]
async fn a_value_whose_kms_key_is_gone_does_not_hide_the_others() {
    let kms = Kms::start().await;
    let sdk = kms.sdk_config().await;
    let client = aws_sdk_kms::Client::new(&sdk);
    let earlier = client.create_key().send().await.unwrap();
    let earlier = earlier.key_metadata.unwrap().key_id;
    let store = Store::embedded().await;
    let before = Api::with(store.clone(), Vault::kms(&sdk, earlier.clone())).await;
    before.key(named("old", "retrievable-value-0002")).await;
    let api = Api::with(store.clone(), Vault::kms(&sdk, kms.key.clone())).await;
    api.key(named("new", VALUE)).await;
    // As long as KMS has the earlier key, its values are shown as well.
    let list = api.get("/apikeys?includeValues=true").await;
    assert_eq!(values(&list), [Some(VALUE), Some("retrievable-value-0002")]);

    let another = Kms::start().await;
    let another = Vault::kms(&another.sdk_config().await, another.key.clone());
    let another = Api::with(store, another).await;
    another.key(named("lost", "retrievable-value-0003")).await;
    let list = api.get("/apikeys?includeValues=true").await;
    let kept = [Some(VALUE), Some("retrievable-value-0002")];
    assert_eq!(values(&list), [&[None], kept.as_slice()].concat());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs AWS KMS played by moto; ./test runs it"]
async fn the_keys_function_keeps_values_by_the_key_in_its_environment() {
    let kms = Kms::start().await;
    let store = Store::embedded().await;
    let environment = [
        ("AWS_ENDPOINT_URL_KMS", kms.proxy.endpoint.as_str()),
        ("TOLLGATE_VALUES_KMS_KEY", kms.key.as_str()),
    ];
    let answer = async |event_name: &str, path: &str, query: &str| {
        let function = Function::start("keys", &store, Start::with(&environment)).await;
        let mut request = event(event_name, Some(VALUE));
        request["rawPath"] = json!(path);
        request["requestContext"]["http"]["path"] = json!(path);
        request["rawQueryString"] = json!(query);
        let answer = function.invoke(request).await;
        assert!(!function.stop().await.contains(VALUE));
        serde_json::from_str::<Value>(answer["body"].as_str().unwrap()).unwrap()
    };
    let made = answer("management-create-key", "/apikeys", "").await;
    let path = format!("/apikeys/{}", text(&made["id"]));
    let shown = answer("management-list-keys", &path, "includeValue=true").await;
    assert_eq!(shown["value"], made["value"]);
    let shown = answer("management-list-keys", &path, "").await;
    assert_eq!(shown.get("value"), None);
}

#[tokio::test]
async fn dev_can_keep_values_and_an_export_with_them_can_be_imported_elsewhere() {
    let dev = Dev::start(&["--retrievable", "--demo"], &[]).await;
    let url = dev.management.clone();
    let tollgate = Tollgate { url };
    let key = tollgate.json("keys create --name =1+1").await;
    let shown = tollgate
        .json(&format!("keys show {} --value", id(&key)))
        .await;
    assert_eq!(shown["value"], key["value"]);
    let exported = tollgate.say("keys export").await;
    assert_eq!(exported.matches(",tg_").count(), 3, "{exported}");
    assert!(exported.contains(&format!(",=1+1,{},", text(&key["value"]))));
    let inert = tollgate.say("keys export --for-spreadsheets").await;
    assert!(
        inert.contains(",'=1+1,") && !inert.contains(",=1+1,"),
        "{inert}"
    );

    let (_plain, elsewhere) = start().await;
    let file = std::env::temp_dir().join(format!("tollgate-export-{}.csv", std::process::id()));
    std::fs::write(&file, exported).unwrap();
    // Two of the keys are in plans that are not there.
    let imported = elsewhere
        .run(&format!("keys import {}", file.display()))
        .await;
    assert_eq!(
        String::from_utf8(imported.stdout).unwrap(),
        "3 keys imported, 2 warnings\n"
    );
    std::fs::remove_file(file).unwrap();
    let found = elsewhere.json("keys list --name =1").await;
    let (code, error) = elsewhere
        .fail(&format!("keys show {} --value", id(&found[0])))
        .await;
    assert!(code == 1 && error.contains("is not kept"), "{error}");
    let taken = format!("keys create --value {}", text(&key["value"]));
    let (_, error) = elsewhere.fail(&taken).await;
    assert!(error.contains("API Key already exists"), "{error}");
}

#[tokio::test]
async fn dev_keeps_values_on_this_machine_only() {
    let line = "dev --retrievable --gateway-port 0 --management-port 0 --dynamodb-endpoint http://192.0.2.1:8000";
    let (code, error) = failed(&cli::run(line, &[]).await);
    assert!(
        code == 1 && error.contains("expected a DynamoDB on this machine"),
        "{error}"
    );
}
