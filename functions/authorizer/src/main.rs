//! The `authorizer` bootstrap: it reads the configuration, opens one connection, and hands every event to the library.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use lambda_runtime::{
    Error, LambdaEvent, run_concurrent, service_fn, spawn_graceful_shutdown_handler,
};
use serde_json::value::RawValue;
use tokio::runtime::Builder;
use tokio::time::Instant;
use tollgate_authorizer::Authorizer;
use tollgate_authorizer::config::Config;
use tollgate_dynamo::connection::{Connection, sdk_config_of_function};
use tollgate_telemetry::metrics::Metrics;

/// Time kept back for sending the answer.
const MARGIN: Duration = Duration::from_millis(50);
/// The time limit of the first connection. TLS can take most of a second on the smallest functions, and init has that time.
const WARM_LIMIT: Duration = Duration::from_secs(3);

/// The variable that says how many events Lambda sends an environment at once, if more than one (Lambda Managed Instances).
const CONCURRENCY: &str = "AWS_LAMBDA_MAX_CONCURRENCY";

fn main() -> Result<(), Error> {
    // One event at a time needs one thread. A second would only cost memory and start-up time.
    let mut runtime = match std::env::var(CONCURRENCY).as_deref() {
        Err(_) | Ok("0" | "1") => Builder::new_current_thread(),
        Ok(_) => Builder::new_multi_thread(),
    };
    runtime.enable_all().build()?.block_on(serve())
}

async fn serve() -> Result<(), Error> {
    tollgate_telemetry::init();
    let metrics = Arc::new(Metrics::install()?);

    let config = Config::from_env()?;
    let connection = Connection::deciding(&sdk_config_of_function());
    let authorizer = Arc::new(Authorizer::new(config, connection));
    if let Err(failure) = authorizer.engine().table().warm(WARM_LIMIT).await {
        tracing::error!(%failure, "the store could not be reached during init");
    }
    let at_shutdown = Arc::clone(&metrics);
    spawn_graceful_shutdown_handler(async move || at_shutdown.flush()).await;

    run_concurrent(service_fn(move |event: LambdaEvent<Box<RawValue>>| {
        let (authorizer, metrics) = (Arc::clone(&authorizer), Arc::clone(&metrics));
        async move {
            let now = (authorizer.engine().time())();
            let deadline = deadline(event.context.deadline, now);
            let answer = authorizer.handle(event.payload.get(), Some(deadline)).await;
            metrics.flush_if_due();
            answer.map_err(Error::from)
        }
    }))
    .await
}

/// The moment by which a decision must end, from the invocation's deadline in milliseconds since the epoch. `now` must be by the
/// corrected clock, because Lambda's deadline is by a correct one.
fn deadline(milliseconds: u64, now: Timestamp) -> Instant {
    let now = u64::try_from(now.as_millisecond()).unwrap_or(0);
    let left = Duration::from_millis(milliseconds.saturating_sub(now));
    Instant::now() + left.saturating_sub(MARGIN)
}
