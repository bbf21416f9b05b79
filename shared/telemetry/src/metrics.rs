//! Metrics in CloudWatch's embedded metric format: log lines that CloudWatch turns into metrics, without a call.
//!
//! What is counted goes through the `metrics` facade. Here it is added up, so that an instance writes one line (and one
//! more for each plan, where those are counted) in ten seconds at most, whatever its traffic.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use metrics::{Unit, describe_counter, describe_histogram};
use metrics_cloudwatch_embedded::{Builder, Collector};

/// Where the metrics are found in CloudWatch.
pub const NAMESPACE: &str = "Tollgate";
/// The dimension that all have.
const DIMENSION: &str = "FunctionName";
/// How far apart lines are, at least.
const INTERVAL: Duration = Duration::from_secs(10);

/// Everything that is counted.
const COUNTERS: [&str; 14] = [
    "Allowed",
    "Throttled",
    "QuotaExceeded",
    "Denied",
    "Contended",
    "Uncertain",
    "StoreUnavailable",
    "BadEvents",
    "StoreCalls",
    "StoreFailures",
    "ManagementCalls",
    "ManagementFailures",
    "WhoAmI",
    "WhoAmIThrottled",
];

/// The process's metrics.
pub struct Metrics {
    collector: &'static Collector,
    written: Mutex<Option<Instant>>,
}

/// Metrics were installed already.
#[derive(Debug, thiserror::Error)]
#[error("metrics can be installed once in a process: {0}")]
pub struct InstallError(String);

impl Metrics {
    /// Starts counting. The function's name and version are taken from Lambda's environment.
    ///
    /// # Errors
    /// [`InstallError`] the second time.
    pub fn install() -> Result<Self, InstallError> {
        let function = std::env::var("AWS_LAMBDA_FUNCTION_NAME");
        let version = std::env::var("AWS_LAMBDA_FUNCTION_VERSION");
        let collector = Builder::new()
            .cloudwatch_namespace(NAMESPACE)
            .with_dimension(DIMENSION, function.unwrap_or_else(|_| "local".to_owned()))
            .init()
            .map_err(|error| InstallError(error.to_string()))?;
        collector.set_property("FunctionVersion", version.unwrap_or_default());
        for name in COUNTERS {
            describe_counter!(name, Unit::Count, "");
        }
        // A line holds a hundred values: the first hundred of its ten seconds.
        describe_histogram!("StoreLatency", Unit::Milliseconds, "");
        Ok(Self {
            collector,
            written: Mutex::new(None),
        })
    }

    /// Writes what was counted, unless that was done a moment ago. The first call writes at once, so that an instance
    /// which decides a single request is seen.
    pub fn flush_if_due(&self) {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        if written.is_none_or(|at| at.elapsed() >= INTERVAL) {
            *written = Some(Instant::now());
            self.flush();
        }
    }

    /// Writes what was counted since the last line; nothing where nothing was.
    pub fn flush(&self) {
        // A log that cannot be written to is no reason to fail requests.
        drop(self.collector.flush(std::io::stdout().lock()));
    }
}
