//! The SDK's configuration: for a Lambda function, for the command line, or for a store on this machine.

use std::net::IpAddr;

use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::{ConfigLoader, SdkConfig};
use aws_sdk_dynamodb::config::{
    BehaviorVersion, Credentials, Region, SharedCredentialsProvider, SharedHttpClient,
};
use aws_smithy_http_client::tls;

use super::KEEP_ALIVE;

/// The SDK's environment variable for DynamoDB's endpoint.
pub(super) const ENDPOINT: &str = "AWS_ENDPOINT_URL_DYNAMODB";

/// Builds the SDK's configuration from the variables that Lambda sets for a function: credentials, region and endpoint. The
/// SDK's other sources (profiles, containers, instances, identity tokens) would make up a ninth of the authorizer's binary, and
/// a function never uses them.
pub fn sdk_config_of_function() -> SdkConfig {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let is_on = |name: &str| set(name).map(|value| value.eq_ignore_ascii_case("true"));
    let credentials = EnvironmentVariableCredentialsProvider::new();
    let mut config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .http_client(http_client());
    config.set_region(
        set("AWS_REGION")
            .or_else(|| set("AWS_DEFAULT_REGION"))
            .map(Region::new),
    );
    config.set_endpoint_url(set(ENDPOINT).or_else(|| set("AWS_ENDPOINT_URL")));
    config.set_use_fips(is_on("AWS_USE_FIPS_ENDPOINT"));
    config.set_use_dual_stack(is_on("AWS_USE_DUALSTACK_ENDPOINT"));
    config.build()
}

/// Builds the SDK's configuration from all of its own sources: region, credentials, `AWS_ENDPOINT_URL_DYNAMODB`.
pub async fn sdk_config() -> SdkConfig {
    sdk_loader().load().await
}

/// Like [`sdk_config`], before it is loaded: some of it can still be set.
pub fn sdk_loader() -> ConfigLoader {
    aws_config::defaults(BehaviorVersion::latest()).http_client(http_client())
}

/// Builds the SDK's configuration for DynamoDB at `endpoint`. A store on this machine needs no AWS account, so if the
/// environment has no credentials or region, this uses placeholders.
pub async fn sdk_config_at(endpoint: &str) -> SdkConfig {
    let mut loader = sdk_loader().endpoint_url(endpoint);
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    if is_loopback(endpoint) {
        if !set("AWS_ACCESS_KEY_ID") && !set("AWS_PROFILE") {
            let local =
                Credentials::new("local", "local", None, None, "made up for a local endpoint");
            loader = loader.credentials_provider(local);
        }
        if !set("AWS_REGION") && !set("AWS_DEFAULT_REGION") && !set("AWS_PROFILE") {
            loader = loader.region(Region::new("us-east-1"));
        }
    }
    loader.load().await
}

/// Whether an endpoint URL refers to this machine.
pub fn is_loopback(endpoint: &str) -> bool {
    let authority = endpoint
        .split_once("://")
        .map_or(endpoint, |(_, rest)| rest);
    let authority = authority.split(['/', '?']).next().unwrap_or_default();
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

pub(super) fn http_client() -> SharedHttpClient {
    aws_smithy_http_client::Builder::new()
        .tls_provider(tls::Provider::Rustls(
            tls::rustls_provider::CryptoMode::AwsLc,
        ))
        .pool_idle_timeout(KEEP_ALIVE)
        .build_https()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_this_machine_are_loopback() {
        for endpoint in [
            "http://localhost:8000",
            "http://127.0.0.1:8000/",
            "http://[::1]:8000",
            "https://127.1.2.3",
        ] {
            assert!(is_loopback(endpoint), "{endpoint}");
        }
        for endpoint in [
            "https://dynamodb.eu-west-1.amazonaws.com",
            "http://172.17.0.1:8000",
            "http://localhost.example.com:80",
            "http://example.com/127.0.0.1",
            "",
        ] {
            assert!(!is_loopback(endpoint), "{endpoint}");
        }
    }
}
