//! The `keys` bootstrap: configuration, one connection, then the management API for every event.

use std::sync::Arc;

use lambda_http::{Error, run};
use tollgate_keys::app;
use tollgate_store::connection::{Connection, sdk_config};
use tollgate_store::manage::Manager;
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> Result<(), Error> {
    let filter =
        EnvFilter::try_from_env("AWS_LAMBDA_LOG_LEVEL").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .json()
        .with_env_filter(filter)
        .init();

    let table = std::env::var("TOLLGATE_TABLE").unwrap_or_else(|_| "tollgate".to_owned());
    let connection = Connection::managing(&sdk_config().await);
    run(app(Arc::new(Manager::new(connection, table)))).await
}
