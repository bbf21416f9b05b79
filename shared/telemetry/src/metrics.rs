//! Metrics in CloudWatch's embedded metric format: log lines that CloudWatch turns into metrics, so that no API call is needed.
//!
//! Code counts through the `metrics` facade. This module adds the counts up, and writes at most one line in ten seconds (and one
//! more for each plan, if plans are counted), whatever an instance's traffic.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use metrics::{Unit, describe_counter, describe_histogram};
use metrics_cloudwatch_embedded::{Builder, Collector};

/// The namespace of the metrics in CloudWatch.
pub const NAMESPACE: &str = "Tollgate";
/// The dimension of every metric.
const DIMENSION: &str = "FunctionName";
/// The shortest time between two lines.
const INTERVAL: Duration = Duration::from_secs(10);

/// Every counter.
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
    last_flush: Mutex<Option<Instant>>,
}

/// The process has metrics already.
#[derive(Debug, thiserror::Error)]
#[error("metrics can be installed once in a process: {0}")]
pub struct InstallError(String);

impl Metrics {
    /// Starts counting. Lambda's environment gives the function's name and version.
    ///
    /// # Errors
    /// [`InstallError`] if the process has metrics already.
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
        // A line holds a hundred values, the first hundred of its ten seconds.
        describe_histogram!("StoreLatency", Unit::Milliseconds, "");
        Ok(Self {
            collector,
            last_flush: Mutex::new(None),
        })
    }

    /// Writes the counts if ten seconds have passed since the last line. The first call writes at once, because an instance may
    /// decide a single request and never run again.
    pub fn flush_if_due(&self) {
        let mut last = self
            .last_flush
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if last.is_none_or(|at| at.elapsed() >= INTERVAL) {
            *last = Some(Instant::now());
            self.flush();
        }
    }

    /// Writes the counts since the last line, if there are any.
    pub fn flush(&self) {
        // Requests must not fail because the log cannot be written.
        drop(self.collector.flush(std::io::stdout().lock()));
    }
}
