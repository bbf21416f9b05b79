//! The `keys` bootstrap: configuration, one connection, then the management API for every event.

use std::sync::Arc;

use lambda_http::{Error, run};
use tollgate_keys::app;
use tollgate_keys::vault::Vault;
use tollgate_store::connection::{Connection, sdk_config};
use tollgate_store::engine::{Engine, Settings};
use tollgate_store::manage::Manager;
use tollgate_store::table::Table;

#[tokio::main]
async fn main() -> Result<(), Error> {
    tollgate_telemetry::init();

    let table = std::env::var("TOLLGATE_TABLE").ok();
    let table = table
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "tollgate".to_owned());
    let sdk = sdk_config().await;
    let decided = Table::new(Connection::deciding(&sdk), table.clone());
    let engine = Engine::new(decided, Settings::default());
    let manager = Manager::new(Connection::managing(&sdk), table);
    let vault = Vault::from_env(&sdk);
    run(app(Arc::new(manager), Arc::new(engine), Arc::new(vault))).await
}
