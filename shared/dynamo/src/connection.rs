//! The SDK client: built from the environment, connected during init, and replaced after a frozen Lambda environment resumes.
//!
//! - `sdk`: the SDK's configuration; `date`: passes the `Date` of every answer to the clock.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::config::{Config, SharedHttpClient, StalledStreamProtectionConfig};
use jiff::{SignedDuration, Timestamp};

use crate::clock::Clock;

mod date;
mod sdk;

use date::DateHeader;
use sdk::{ENDPOINT, http_client};
pub use sdk::{is_loopback, sdk_config, sdk_config_at, sdk_config_of_function, sdk_loader};

/// How long an idle connection is kept. An older one may have been closed by the other side without notice, and using it would
/// cost a whole timeout.
const KEEP_ALIVE: Duration = Duration::from_secs(45);

/// A client for DynamoDB, and the clock that its answers correct.
#[derive(Debug)]
pub struct Connection {
    config: Config,
    environment: Environment,
    current: Mutex<Current>,
    clock: Arc<Clock>,
}

/// The network and the clock that a connection uses: the machine's own, or substitutes for tests and simulations.
#[derive(Clone)]
pub struct Environment {
    http: Arc<dyn Fn() -> SharedHttpClient + Send + Sync>,
    /// Returns the current time.
    pub now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
}

impl Environment {
    /// The machine's own network and clock.
    pub fn machine() -> Self {
        Self {
            http: Arc::new(http_client),
            now: Arc::new(Timestamp::now),
        }
    }

    /// A substitute network and clock.
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

impl Connection {
    /// A connection for the engine, without the SDK's retries: the engine sets a time limit for every attempt, and decides
    /// itself whether a charge may be attempted again.
    pub fn deciding(config: &SdkConfig) -> Self {
        Self::deciding_on(Environment::machine(), config)
    }

    /// Like [`deciding`](Self::deciding), in another environment.
    pub fn deciding_on(environment: Environment, config: &SdkConfig) -> Self {
        Self::new(
            environment,
            config,
            RetryConfig::disabled(),
            TimeoutConfig::disabled(),
        )
    }

    /// A connection for management, with the SDK's own retries, because its calls can be repeated.
    pub fn managing(config: &SdkConfig) -> Self {
        Self::managing_on(Environment::machine(), config)
    }

    /// Like [`managing`](Self::managing), in another environment.
    pub fn managing_on(environment: Environment, config: &SdkConfig) -> Self {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(2))
            .operation_attempt_timeout(Duration::from_secs(3))
            .operation_timeout(Duration::from_secs(12))
            .build();
        Self::new(
            environment,
            config,
            RetryConfig::standard().with_max_attempts(4),
            timeouts,
        )
    }

    fn new(
        environment: Environment,
        config: &SdkConfig,
        tries: RetryConfig,
        timeouts: TimeoutConfig,
    ) -> Self {
        let clock = Arc::new(Clock::new(Arc::clone(&environment.now)));
        let mut builder = aws_sdk_dynamodb::config::Builder::from(config);
        if std::env::var(ENDPOINT).is_ok_and(|url| url.is_empty()) {
            // The SDK would parse an empty endpoint as a URL. A template sets an empty variable if it has no endpoint.
            builder.set_endpoint_url(config.endpoint_url().map(str::to_owned));
        }
        let config = builder
            .retry_config(tries)
            .timeout_config(timeouts)
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .interceptor(DateHeader(Arc::clone(&clock)))
            .http_client((environment.http)())
            .build();
        let current = Mutex::new(Current {
            client: Client::from_conf(config.clone()),
            used: (environment.now)(),
        });
        Self {
            config,
            environment,
            current,
            clock,
        }
    }

    /// Returns the client. After a pause longer than the keep-alive it is a new one: the connections of a frozen environment
    /// are dead, and their idle timers may have stopped during the freeze.
    pub fn client(&self) -> Client {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let now = (self.environment.now)();
        let idle = now.duration_since(current.used).abs();
        if idle > SignedDuration::try_from(KEEP_ALIVE).unwrap_or(SignedDuration::MAX) {
            let http = (self.environment.http)();
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
}
