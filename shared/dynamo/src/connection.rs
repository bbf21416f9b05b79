//! The SDK client: made from the environment, warmed during init, renewed after a thaw.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::config::interceptors::{
    BeforeDeserializationInterceptorContextRef, BeforeTransmitInterceptorContextRef,
};
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::config::{
    BehaviorVersion, Config, ConfigBag, Credentials, Intercept, Region, RuntimeComponents,
    SharedCredentialsProvider, SharedHttpClient, StalledStreamProtectionConfig,
};
use aws_sdk_dynamodb::error::BoxError;
use aws_smithy_http_client::tls;
use aws_smithy_types::config_bag::{Storable, StoreReplace};
use jiff::{SignedDuration, Timestamp};

use crate::clock::Clock;

/// How long an idle connection is kept. An older one may be dead without our knowing it, and trying it would cost a
/// whole time-out.
const KEEP_ALIVE: Duration = Duration::from_secs(45);

/// The SDK's own variable for DynamoDB's endpoint.
const ENDPOINT: &str = "AWS_ENDPOINT_URL_DYNAMODB";

/// A client for DynamoDB, and the clock that its answers correct.
#[derive(Debug)]
pub struct Connection {
    config: Config,
    ground: Environment,
    current: Mutex<Current>,
    clock: Arc<Clock>,
}

/// What connections stand on: the machine's network and clock, or others in their place.
#[derive(Clone)]
pub struct Environment {
    http: Arc<dyn Fn() -> SharedHttpClient + Send + Sync>,
    /// Tells the time.
    pub now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
}

impl Environment {
    /// The machine's own.
    pub fn machine() -> Self {
        Self {
            http: Arc::new(http_client),
            now: Arc::new(Timestamp::now),
        }
    }

    /// Another network, and another clock.
    pub fn other(
        http: SharedHttpClient,
        now: impl Fn() -> Timestamp + Send + Sync + 'static,
    ) -> Self {
        Self {
            http: Arc::new(move || http.clone()),
            now: Arc::new(now),
        }
    }
}

impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Environment").finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Current {
    client: Client,
    used: Timestamp,
}

/// The SDK's configuration from what Lambda sets for a function: credentials, region and endpoint, all in the environment.
/// The SDK's other sources (profiles, containers, instances, identity tokens) would be a ninth of the authorizer, and are
/// never asked there.
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

/// The SDK's configuration from all its own sources: region, credentials, `AWS_ENDPOINT_URL_DYNAMODB`.
pub async fn sdk_config() -> SdkConfig {
    aws_config::defaults(BehaviorVersion::latest())
        .http_client(http_client())
        .load()
        .await
}

/// The SDK's configuration for DynamoDB at `endpoint`. One on this machine needs no account: where the environment
/// names no credentials or region, they are made up.
pub async fn sdk_config_at(endpoint: &str) -> SdkConfig {
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(http_client())
        .endpoint_url(endpoint);
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

/// Whether an endpoint URL names this machine.
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

impl Connection {
    /// For the engine: it sets a time limit on every attempt, and a second try of a charge needs its judgement.
    pub fn deciding(config: &SdkConfig) -> Self {
        Self::deciding_on(Environment::machine(), config)
    }

    /// As [`deciding`](Self::deciding), on other ground.
    pub fn deciding_on(ground: Environment, config: &SdkConfig) -> Self {
        Self::new(
            ground,
            config,
            RetryConfig::disabled(),
            TimeoutConfig::disabled(),
        )
    }

    /// For management, whose calls can be made again: the SDK's own tries.
    pub fn managing(config: &SdkConfig) -> Self {
        Self::managing_on(Environment::machine(), config)
    }

    /// As [`managing`](Self::managing), on other ground.
    pub fn managing_on(ground: Environment, config: &SdkConfig) -> Self {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(2))
            .operation_attempt_timeout(Duration::from_secs(3))
            .operation_timeout(Duration::from_secs(12))
            .build();
        Self::new(
            ground,
            config,
            RetryConfig::standard().with_max_attempts(4),
            timeouts,
        )
    }

    fn new(
        ground: Environment,
        config: &SdkConfig,
        tries: RetryConfig,
        timeouts: TimeoutConfig,
    ) -> Self {
        let clock = Arc::new(Clock::new(Arc::clone(&ground.now)));
        let mut builder = aws_sdk_dynamodb::config::Builder::from(config);
        if std::env::var(ENDPOINT).is_ok_and(|url| url.is_empty()) {
            // The SDK would take an empty one for a URL. A template writes one where it has none to give.
            builder.set_endpoint_url(config.endpoint_url().map(str::to_owned));
        }
        let config = builder
            .retry_config(tries)
            .timeout_config(timeouts)
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .interceptor(DateHeader(Arc::clone(&clock)))
            .http_client((ground.http)())
            .build();
        let current = Mutex::new(Current {
            client: Client::from_conf(config.clone()),
            used: (ground.now)(),
        });
        Self {
            config,
            ground,
            current,
            clock,
        }
    }

    /// The client. After a pause longer than the keep-alive it is a new one: a frozen environment's connections are
    /// dead, and their own idle time may have stood still with it.
    pub fn client(&self) -> Client {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let now = (self.ground.now)();
        let idle = now.duration_since(current.used).abs();
        if idle > SignedDuration::try_from(KEEP_ALIVE).unwrap_or(SignedDuration::MAX) {
            let http = (self.ground.http)();
            let config = self.config.to_builder().http_client(http).build();
            current.client = Client::from_conf(config);
        }
        current.used = now;
        current.client.clone()
    }

    /// The clock that this connection's answers correct.
    pub fn clock(&self) -> &Arc<Clock> {
        &self.clock
    }
}

fn http_client() -> SharedHttpClient {
    aws_smithy_http_client::Builder::new()
        .tls_provider(tls::Provider::Rustls(
            tls::rustls_provider::CryptoMode::AwsLc,
        ))
        .pool_idle_timeout(KEEP_ALIVE)
        .build_https()
}

/// Hands the `Date` of every answer to the clock.
#[derive(Debug)]
struct DateHeader(Arc<Clock>);

/// When a call was sent, by our own clock.
#[derive(Debug)]
struct SentAt(Timestamp);

impl Storable for SentAt {
    type Storer = StoreReplace<Self>;
}

impl Intercept for DateHeader {
    fn name(&self) -> &'static str {
        "DateHeader"
    }

    fn read_before_transmit(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        call: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let sent = SentAt(self.0.uncorrected());
        call.interceptor_state().store_put(sent);
        Ok(())
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        call: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let response: &HttpResponse = context.response();
        let sent = call.load::<SentAt>();
        if let (Some(date), Some(SentAt(sent))) = (response.headers().get("date"), sent) {
            self.0.observe(date, *sent);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use aws_sdk_dynamodb::types::AttributeValue;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// Answers every request on every connection, and counts the connections.
    async fn counting_server() -> (String, Arc<AtomicUsize>) {
        const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: application/x-amz-json-1.0\r\ncontent-length: 2\r\n\r\n{}";
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(async move {
                    let mut request = vec![0; 16 * 1024];
                    while socket.read(&mut request).await.is_ok_and(|read| read > 0) {
                        socket.write_all(ANSWER).await.expect("an open socket");
                    }
                });
            }
        });
        (url, connections)
    }

    #[tokio::test]
    async fn a_connection_is_kept_between_calls_and_dropped_after_a_thaw() {
        let (url, connections) = counting_server().await;
        let connection = Connection::deciding(&sdk_config_at(&url).await);
        let call = async || {
            let read = connection.client().get_item().table_name("t");
            read.key("pk", AttributeValue::S("k".into()))
                .send()
                .await
                .expect("an answer");
            connections.load(Ordering::SeqCst)
        };
        assert_eq!(call().await, 1);
        assert_eq!(call().await, 1);
        let hour = SignedDuration::from_hours(1);
        connection.current.lock().expect("not poisoned").used -= hour;
        assert_eq!(call().await, 2);
        assert_eq!(call().await, 2);
    }

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
