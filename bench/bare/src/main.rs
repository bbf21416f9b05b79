//! The smallest Lambda authorizer with a counter in DynamoDB: one conditional `UpdateItem` with the same SDK, on a connection
//! that is opened during init. It validates nothing, knows no plan, and counts to a fixed limit.

use std::collections::HashMap;

use aws_config::SdkConfig;
use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::config::{
    BehaviorVersion, Region, SharedCredentialsProvider, StalledStreamProtectionConfig,
};
use aws_sdk_dynamodb::types::AttributeValue;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
struct Event {
    headers: HashMap<String, String>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    // As the authorizer is configured: from the environment alone, one attempt, without the SDK's time limits.
    let credentials = EnvironmentVariableCredentialsProvider::new();
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .region(Region::new(std::env::var("AWS_REGION")?))
        .endpoint_url(std::env::var("AWS_ENDPOINT_URL_DYNAMODB")?)
        .retry_config(RetryConfig::disabled())
        .timeout_config(TimeoutConfig::disabled())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .build();
    let client = Client::new(&config);
    let table = std::env::var("TOLLGATE_TABLE")?;
    let (client, table) = (&client, table.as_str());
    client
        .get_item()
        .table_name(table)
        .set_key(Some(counter("-")))
        .send()
        .await?;
    run(service_fn(async |event: LambdaEvent<Event>| {
        let key = event.payload.headers.get("x-api-key");
        let count = client
            .update_item()
            .table_name(table)
            .set_key(Some(counter(key.map_or("", String::as_str))))
            .update_expression("ADD #count :one")
            .condition_expression("attribute_not_exists(#count) OR #count < :limit")
            .expression_attribute_names("#count", "count")
            .expression_attribute_values(":one", AttributeValue::N("1".to_owned()))
            .expression_attribute_values(":limit", AttributeValue::N("1000000000".to_owned()))
            .send();
        let counted = count.await.is_ok();
        Ok::<Value, Error>(json!({ "isAuthorized": counted, "context": {} }))
    }))
    .await
}

fn counter(key: &str) -> HashMap<String, AttributeValue> {
    let text = |value: String| AttributeValue::S(value);
    HashMap::from([
        ("pk".to_owned(), text(format!("BARE#{key}"))),
        ("sk".to_owned(), text("COUNTER".to_owned())),
    ])
}
