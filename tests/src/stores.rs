//! The stores that tests run on, each with a table of its own.

use std::sync::atomic::{AtomicU32, Ordering};

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use tollgate_dynamo::connection::sdk_config_at;
use tollgate_dynamo::schema;

/// The variable that says where DynamoDB Local listens; `./test` starts it and sets this.
pub const DYNAMODB_LOCAL: &str = "TOLLGATE_TEST_DYNAMODB_LOCAL";

/// Which store a test runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The one that `tollgate dev` embeds.
    Embedded,
    /// AWS's own emulator.
    DynamodbLocal,
}

/// A table in a store.
#[derive(Debug, Clone)]
pub struct Store {
    /// Where the store listens.
    pub endpoint: String,
    /// The table.
    pub table: String,
}

impl Store {
    /// A new, empty table.
    pub async fn new(kind: Kind) -> Self {
        static TABLES: AtomicU32 = AtomicU32::new(0);
        let endpoint = match kind {
            Kind::Embedded => embedded().await,
            Kind::DynamodbLocal => std::env::var(DYNAMODB_LOCAL)
                .unwrap_or_else(|_| panic!("set {DYNAMODB_LOCAL} to its endpoint, or run ./test")),
        };
        let number = TABLES.fetch_add(1, Ordering::Relaxed);
        let store = Self {
            endpoint,
            table: format!("test-{}-{number}", std::process::id()),
        };
        let client = store.client().await;
        let created = schema::create(&client, &store.table).await.unwrap();
        assert_eq!(created, schema::Created::Made);
        store
    }

    /// A new, empty table in the embedded store.
    pub async fn embedded() -> Self {
        Self::new(Kind::Embedded).await
    }

    /// The same table by another way: through a proxy.
    #[must_use]
    pub fn through(&self, endpoint: &str) -> Self {
        Self {
            endpoint: endpoint.to_owned(),
            ..self.clone()
        }
    }

    /// The SDK's configuration for it.
    pub async fn sdk_config(&self) -> SdkConfig {
        sdk_config_at(&self.endpoint).await
    }

    /// A plain client for it.
    pub async fn client(&self) -> Client {
        Client::new(&self.sdk_config().await)
    }
}

async fn embedded() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let database = dynoxide::Database::memory().unwrap();
    tokio::spawn(dynoxide::server::serve_on(listener, database));
    format!("http://{address}")
}

/// Makes two tests of each `async fn name(kind: Kind)`: one on the embedded store, one on `DynamoDB` Local.
///
/// It is for tests that prove the semantics of the store: expressions and conditions, transactions, indexes and pages, consumed
/// capacity, sizes of items, concurrent writes. Tests of behaviour that follows from those run on the embedded store alone.
#[macro_export]
macro_rules! on_both_stores {
    ($($name:ident),+ $(,)?) => {
        mod embedded {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $name() {
                    super::$name($crate::stores::Kind::Embedded).await;
                }
            )+
        }
        mod dynamodb_local {
            $(
                #[tokio::test(flavor = "multi_thread")]
                #[ignore = "needs DynamoDB Local; ./test runs it"]
                async fn $name() {
                    super::$name($crate::stores::Kind::DynamodbLocal).await;
                }
            )+
        }
    };
}
