//! The `authorizer` bootstrap: configuration, one connection, then the handler for every event.

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

/// Time kept back for the answer's own way.
const MARGIN: Duration = Duration::from_millis(50);
/// TLS can take most of a second on the smallest functions; init has the time.
const WARM_LIMIT: Duration = Duration::from_secs(3);

/// How many events Lambda sends an environment at once, where that is more than one (Lambda Managed Instances).
const CONCURRENCY: &str = "AWS_LAMBDA_MAX_CONCURRENCY";

fn main() -> Result<(), Error> {
    // One event at a time needs one thread: a second would only cost memory and start-up.
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

/// When an answer has to be out, from the invocation's deadline in milliseconds since the epoch. `now` is by the corrected clock:
/// Lambda's deadline is by a clock that is right.
fn deadline(milliseconds: u64, now: Timestamp) -> Instant {
    let now = u64::try_from(now.as_millisecond()).unwrap_or(0);
    let left = Duration::from_millis(milliseconds.saturating_sub(now));
    Instant::now() + left.saturating_sub(MARGIN)
}
