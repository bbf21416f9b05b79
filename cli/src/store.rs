//! Which DynamoDB a command talks to, and which table there.

use aws_config::SdkConfig;
use clap::Args;
use tollgate_dynamo::connection::{is_loopback, sdk_config, sdk_config_at};

/// The table, and where it is.
#[derive(Debug, Clone, Args)]
pub(crate) struct StoreArguments {
    /// The DynamoDB endpoint; without one, the one that `AWS_ENDPOINT_URL_DYNAMODB` or `AWS_ENDPOINT_URL` names
    #[arg(long, value_name = "URL", value_parser = endpoint_url)]
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
    /// The endpoint that is asked for: the flag's, or else the environment's.
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

    /// The SDK's configuration for the endpoint, AWS's own where none is named.
    pub(crate) async fn sdk_config(&self) -> SdkConfig {
        match self.endpoint() {
            Some(endpoint) => sdk_config_at(&endpoint).await,
            None => sdk_config().await,
        }
    }
}

fn endpoint_url(text: &str) -> Result<String, String> {
    match url::Url::parse(text) {
        Ok(url) if ["http", "https"].contains(&url.scheme()) && url.has_host() => {
            Ok(text.to_owned())
        }
        _ => Err("expected a URL such as http://127.0.0.1:8000".to_owned()),
    }
}
