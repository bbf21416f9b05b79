//! The guards that the documentation has for other languages do what the one for Rust does.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use std::fs;
use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tollgate_tests::sam::root;

const NODE: &str = r#"
const answer = { statusCode: 201, headers: { a: 'b' }, body: 'pets' };
const guarded = exports.guard(async (event) => "answer" in event ? event.answer : answer);
let text = ''; process.stdin.on('data', (some) => text += some).on('end', async () => {
  const answers = []; for (const event of JSON.parse(text)) answers.push(await guarded(event, {}));
  console.log(JSON.stringify(answers));
});
"#;
const PYTHON: &str = r#"
import sys
answer = {"statusCode": 201, "headers": {"a": "b"}, "body": "pets"}
guarded = guard(lambda event, context: event.get("answer", answer))
print(json.dumps([guarded(event, None) for event in json.load(sys.stdin)]))
"#;

/// The code of this language in the documentation.
fn snippet(language: &str) -> String {
    let text = fs::read_to_string(root().join("docs/answers.md")).unwrap();
    let (_, rest) = text.split_once(&format!("```{language}\n")).unwrap();
    rest.split_once("```").unwrap().0.to_owned()
}

/// What a program makes of these events.
async fn answers(program: &str, flag: &str, code: &str, events: &Value) -> Vec<Value> {
    let mut command = Command::new(program);
    command
        .args([flag, code])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input
        .write_all(events.to_string().as_bytes())
        .await
        .unwrap();
    drop(input);
    let output = child.wait_with_output().await.unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

/// An event with this context of an authorizer.
fn event(authorizer: &Value) -> Value {
    json!({ "requestContext": { "authorizer": authorizer } })
}

/// API Gateway's rule for payload format 2.0: a handler's answer without a `statusCode` is the body of a 200, JSON.
async fn answers_without_a_status_are_json(program: &str, flag: &str, code: &str) {
    let admitted = |answer: &Value| {
        let mut event = event(&json!({ "lambda": { "decision": "allow" } }));
        event["answer"] = answer.clone();
        event
    };
    let own =
        json!({ "statusCode": 202, "headers": { "content-type": "text/plain" }, "body": "{}" });
    let given = json!([{ "hello": 1 }, "hello", "{\"hello\":1}", [1, 2], 7, null, own]);
    let events: Vec<_> = given.as_array().unwrap().iter().map(admitted).collect();
    let mut answers = answers(program, flag, code, &json!(events)).await;
    assert_eq!(answers.pop().unwrap(), own);
    for (given, answer) in given.as_array().unwrap().iter().zip(&answers) {
        assert_eq!(answer["statusCode"], 200, "{given}");
        let headers = json!({ "content-type": "application/json" });
        assert_eq!(answer["headers"], headers, "{given}");
        let body = answer["body"].as_str().unwrap();
        match given {
            Value::String(text) => assert_eq!(body, text),
            other => assert_eq!(&serde_json::from_str::<Value>(body).unwrap(), other),
        }
    }
}

/// `Retry-After` is a whole number of seconds, never too few, whatever the context holds.
async fn any_wait_is_whole_seconds(program: &str, flag: &str, code: &str) {
    let waits = [
        (json!("1.5"), json!("2")),
        (json!(1.5), json!("2")),
        (json!("3"), json!("3")),
        (json!(""), Value::Null),
        (json!(0), Value::Null),
        (json!("-1"), Value::Null),
        (json!("soon"), Value::Null),
        (json!("Infinity"), Value::Null),
        (json!({}), Value::Null),
        (Value::Null, Value::Null),
    ];
    let refused = |wait: &Value| {
        event(
            &json!({ "lambda": { "decision": "throttled", "reason": "rate", "retryAfter": wait } }),
        )
    };
    let events: Vec<_> = waits.iter().map(|(wait, _)| refused(wait)).collect();
    let answers = answers(program, flag, code, &json!(events)).await;
    for ((wait, expected), answer) in waits.iter().zip(&answers) {
        assert_eq!(answer["statusCode"], 429, "{wait}");
        assert_eq!(&answer["headers"]["retry-after"], expected, "{wait}");
    }
}

async fn guards_as_the_layer_does(program: &str, flag: &str, code: &str) {
    let event = |authorizer: Value| event(&authorizer);
    let told = json!({
        "decision": "allow", "reason": "ok", "violatedPolicy": "rate",
        "rateLimit": "\"rate\";r=4;t=1", "rateLimitPolicy": "\"rate\";q=5;w=1",
    });
    let refused = |decision: &str| {
        let mut told = told.clone();
        told["decision"] = json!(decision);
        told["reason"] = json!("rate");
        told["retryAfter"] = json!(3);
        told
    };
    let events = json!([
        event(json!({ "lambda": told })),
        event(told.clone()),
        event(json!({ "lambda": refused("throttled") })),
        event(refused("quota_exceeded")),
        event(json!({ "lambda": refused("denied") })),
        event(json!({ "lambda": { "decision": "perhaps" } })),
        event(json!({})),
        event(Value::Null),
        event(json!("allow")),
        event(json!({ "lambda": {}, "decision": "allow" })),
        event(json!({ "lambda": "allow" })),
        json!({ "requestContext": null }),
        json!({}),
    ]);
    let answers = answers(program, flag, code, &events).await;
    let statuses: Vec<_> = answers.iter().map(|answer| &answer["statusCode"]).collect();
    assert_eq!(
        statuses,
        [
            201, 201, 429, 429, 403, 403, 403, 403, 403, 403, 403, 403, 403
        ]
    );
    for answer in &answers[..5] {
        assert_eq!(answer["headers"]["ratelimit"], "\"rate\";r=4;t=1");
        assert_eq!(answer["headers"]["ratelimit-policy"], "\"rate\";q=5;w=1");
    }
    for answer in &answers[..2] {
        assert_eq!(
            (&answer["headers"]["a"], &answer["body"]),
            (&json!("b"), &json!("pets"))
        );
    }
    let body = |answer: &Value| -> Value {
        serde_json::from_str(answer["body"].as_str().unwrap()).unwrap()
    };
    for answer in &answers[2..4] {
        assert_eq!(answer["headers"]["retry-after"], "3");
        let problem = body(answer);
        assert_eq!(problem["violated-policies"], json!(["rate"]));
        assert!(
            problem["type"]
                .as_str()
                .unwrap()
                .ends_with("#quota-exceeded")
        );
        assert_eq!(
            (&problem["status"], &problem["reason"]),
            (&json!(429), &json!("rate"))
        );
    }
}

#[tokio::test]
#[ignore = "needs Node.js; ./test runs it"]
async fn the_guard_for_node_guards_as_the_layer_does() {
    let code = snippet("js") + NODE;
    guards_as_the_layer_does("node", "-e", &code).await;
    answers_without_a_status_are_json("node", "-e", &code).await;
    any_wait_is_whole_seconds("node", "-e", &code).await;
}

#[tokio::test]
#[ignore = "needs Python; ./test runs it"]
async fn the_guard_for_python_guards_as_the_layer_does() {
    let code = snippet("python") + PYTHON;
    guards_as_the_layer_does("python3", "-c", &code).await;
    answers_without_a_status_are_json("python3", "-c", &code).await;
    any_wait_is_whole_seconds("python3", "-c", &code).await;
}

/// The example of a REST API answers as `tollgate dev --api rest` does, which has its body from the same text.
#[tokio::test]
#[ignore = "needs the SAM CLI; ./test runs it"]
async fn the_rest_example_has_the_body_that_the_local_gateway_answers_with() {
    let example = tollgate_tests::sam::template("examples/rest-api/template.yaml").await;
    let denied = &example["Globals"]["Api"]["GatewayResponses"]["ACCESS_DENIED"];
    assert_eq!(denied["StatusCode"], 429);
    let path = root().join("cli/src/gateway/access_denied.json");
    let local = fs::read_to_string(path).unwrap();
    let body = denied["ResponseTemplates"]["application/json"].as_str();
    assert_eq!(body.unwrap().trim(), local.trim());
}
