//! Which DynamoDB a command talks to, and which table in it.

use aws_config::SdkConfig;
use clap::Args;
use tollgate_dynamo::connection::{is_loopback, sdk_config, sdk_config_at};

use crate::arguments::url::dynamodb_endpoint;

/// The table, and where it is.
#[derive(Debug, Clone, Args)]
pub(crate) struct StoreArguments {
    /// The DynamoDB endpoint; without one, the one that `AWS_ENDPOINT_URL_DYNAMODB` or `AWS_ENDPOINT_URL` names
    #[arg(long, value_name = "URL", value_parser = dynamodb_endpoint)]
    pub(crate) dynamodb_endpoint: Option<String>,
    /// The table
    #[arg(
        long,
        env = "TOLLGATE_TABLE",
        default_value = "tollgate",
        value_name = "NAME"
    )]
    pub(crate) table: String,
}

impl StoreArguments {
    /// The endpoint: the flag's, or else the environment's. `None` means AWS's own.
    pub(crate) fn endpoint(&self) -> Option<String> {
        let from_environment = || {
            ["AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL"]
                .into_iter()
                .filter_map(|name| std::env::var(name).ok())
                .find(|url| !url.is_empty())
        };
        self.dynamodb_endpoint.clone().or_else(from_environment)
    }

    /// Whether the endpoint is on this machine.
    pub(crate) fn is_local(&self) -> bool {
        self.endpoint()
            .is_some_and(|endpoint| is_loopback(&endpoint))
    }

    /// The SDK's configuration for the endpoint.
    pub(crate) async fn sdk_config(&self) -> SdkConfig {
        match self.endpoint() {
            Some(endpoint) => sdk_config_at(&endpoint).await,
            None => sdk_config().await,
        }
    }
}
