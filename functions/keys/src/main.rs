//! The `keys` bootstrap: configuration, one connection, then the management API for every event.

use std::sync::Arc;

use lambda_http::{Error, run};
use tollgate_keys::app;
use tollgate_keys::vault::Vault;
use tollgate_store::connection::{Connection, sdk_config};
use tollgate_store::manage::Manager;

#[tokio::main]
async fn main() -> Result<(), Error> {
    tollgate_telemetry::init();

    let table = std::env::var("TOLLGATE_TABLE").ok();
    let table = table
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "tollgate".to_owned());
    let sdk = sdk_config().await;
    let manager = Manager::new(Connection::managing(&sdk), table);
    run(app(Arc::new(manager), Arc::new(Vault::from_env(&sdk)))).await
}
