//! The real binary of the management API, driven over a Runtime API as Lambda drives it.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use serde_json::{Value, json};
use tollgate_tests::lambda::{Function, Start, event};
use tollgate_tests::stores::Store;
use tollgate_tests::world::admin;

/// A call of `/apikeys` as API Gateway hands it to the function.
fn of_management(method: &str) -> Value {
    let mut request = event("http-api-v2", None);
    request["routeKey"] = json!("$default");
    request["requestContext"]["routeKey"] = json!("$default");
    request["requestContext"]["stage"] = json!("$default");
    request["rawPath"] = json!("/apikeys");
    request["requestContext"]["http"]["path"] = json!("/apikeys");
    request["requestContext"]["http"]["method"] = json!(method);
    request
}

#[tokio::test(flavor = "multi_thread")]
async fn the_keys_function_serves_the_management_api() {
    let store = Store::embedded().await;
    let function = Function::start("keys", &store, Start::default()).await;
    let mut request = of_management("POST");
    request["body"] = json!(json!({ "name": "n", "enabled": true }).to_string());
    request["isBase64Encoded"] = json!(false);
    let answer = function.invoke(request).await;
    assert_eq!(answer["statusCode"], 201, "{answer}");
    assert_eq!(
        answer["headers"]["x-amzn-requestid"],
        of_management("POST")["requestContext"]["requestId"]
    );
    let key: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
    assert!(key["value"].as_str().unwrap().starts_with("tg_"));
    assert_eq!(
        admin(&store)
            .await
            .key(&key["id"].as_str().unwrap().into())
            .await
            .unwrap()
            .name
            .as_deref(),
        Some("n")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_keys_function_refuses_what_is_no_request_and_lives_on() {
    let store = Store::embedded().await;
    let function = Function::start("keys", &store, Start::default()).await;
    let process = function.process_id();
    let mut bad = Vec::new();
    for query in ["name=\"x\"", "name=a b", "name=<x>", "name=\u{e9}\u{7f}"] {
        let mut request = of_management("GET");
        request["rawQueryString"] = json!(query);
        bad.push(request);
    }
    for body in ["%%%", "e30", "e30=e30="] {
        let mut request = of_management("POST");
        request["body"] = json!(body);
        request["isBase64Encoded"] = json!(true);
        bad.push(request);
    }
    for request in bad {
        let answer = function.invoke(request.clone()).await;
        assert_eq!(answer["statusCode"], 400, "{request}: {answer}");
        assert_eq!(answer["headers"]["x-amzn-errortype"], "BadRequestException");
        assert_eq!(
            answer["headers"]["x-amzn-requestid"],
            request["requestContext"]["requestId"]
        );
        let body: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
        assert_eq!(body["__type"], "BadRequestException");
        let message = body["message"].as_str().unwrap();
        assert!(message.starts_with("Invalid "), "{message}");
    }
    // What is no HTTP request at all is an error of the call's own, and not the end of the function.
    for event in [json!(null), json!([]), json!({})] {
        function.try_invoke(event).await.unwrap_err();
    }
    let mut good = of_management("POST");
    good["body"] = json!("e30=");
    good["isBase64Encoded"] = json!(true);
    good["rawQueryString"] = json!("name=%22x%22&other=a+b");
    assert_eq!(function.invoke(good).await["statusCode"], 201);
    assert_eq!(function.process_id(), process);
    assert!(!function.stop().await.contains("panicked"));
}
