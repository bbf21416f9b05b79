//! The `sample` bootstrap: a backend behind the authorizer, which answers with what the authorizer has told it.

use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use serde_json::{Value, json};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    run(service_fn(async |event: LambdaEvent<Value>| {
        Ok::<_, Error>(answer(&event.payload))
    }))
    .await
}

/// An HTTP API puts a simple answer's context under `lambda`, a policy's too.
fn answer(event: &Value) -> Value {
    let body = json!({
        "path": event["rawPath"],
        "authorizer": event["requestContext"]["authorizer"]["lambda"],
    });
    json!({
        "statusCode": 200,
        "headers": { "content-type": "application/json" },
        "body": body.to_string(),
    })
}
