//! The `keys` bootstrap: reads the configuration, connects once, then answers every event as the management API.

use std::sync::Arc;

use lambda_http::{Error, LambdaEvent, service_fn};
use lambda_runtime::spawn_graceful_shutdown_handler;
use serde_json::value::RawValue;
use tollgate_admin::Admin;
use tollgate_dynamo::connection::{Connection, sdk_config};
use tollgate_engine::Engine;
use tollgate_engine::config::Config;
use tollgate_keys::vault::Vault;
use tollgate_keys::{app, lambda};
use tollgate_telemetry::metrics::Metrics;

#[tokio::main]
async fn main() -> Result<(), Error> {
    tollgate_telemetry::init();
    let metrics = Arc::new(Metrics::install()?);

    let config = Config::from_env()?;
    let sdk = sdk_config().await;
    let engine = Engine::from_config(&config, Connection::deciding(&sdk));
    let admin = Admin::new(Connection::managing(&sdk), config.table);
    let vault = Vault::from_env(&sdk);
    let app = app(Arc::new(admin), Arc::new(engine), Arc::new(vault));
    let at_shutdown = Arc::clone(&metrics);
    spawn_graceful_shutdown_handler(async move || at_shutdown.flush()).await;
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Box<RawValue>>| {
        let (app, metrics) = (app.clone(), Arc::clone(&metrics));
        async move {
            let answer = lambda::handle(app, event).await;
            metrics.flush_if_due();
            answer
        }
    }))
    .await
}
