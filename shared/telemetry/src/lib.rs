//! Logs and metrics of the functions: JSON lines on standard output, from where Lambda collects them.
//!
//! - [`init`]: the log.
//! - [`metrics`]: counters and latencies in CloudWatch's embedded metric format.

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

pub mod metrics;

/// Our own crates, whose logs never contain a key's value.
const OURS: [&str; 6] = [
    "tollgate_authorizer",
    "tollgate_keys",
    "tollgate_dynamo",
    "tollgate_engine",
    "tollgate_admin",
    "authorizer",
];

/// The exporter of metrics, which complains of every latency beyond the hundred that a line can hold.
const SILENT: &str = "metrics_cloudwatch_embedded";

/// Starts logging, at the level that `TOLLGATE_LOG_LEVEL` names, or else Lambda's `AWS_LAMBDA_LOG_LEVEL`, or else INFO.
///
/// Only our own crates log more than INFO. At DEBUG the runtime and the HTTP client would log whole events and requests, and with
/// them the callers' keys.
pub fn init() {
    let level = ["TOLLGATE_LOG_LEVEL", "AWS_LAMBDA_LOG_LEVEL"]
        .into_iter()
        .filter_map(|name| std::env::var(name).ok())
        .find(|level| !level.is_empty());
    tracing_subscriber::registry()
        .with(
            tracing_subscriber::fmt::layer()
                .json()
                .with_span_list(false),
        )
        .with(filter(&level.unwrap_or_default()))
        .init();
}

fn filter(level: &str) -> Targets {
    let level: LevelFilter = match level {
        // Lambda has a level above errors.
        "FATAL" => LevelFilter::ERROR,
        "" => LevelFilter::INFO,
        level => level.parse().unwrap_or(LevelFilter::INFO),
    };
    Targets::new()
        .with_default(level.min(LevelFilter::INFO))
        .with_target(SILENT, LevelFilter::OFF)
        .with_targets(OURS.map(|name| (name, level)))
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn only_our_own_crates_log_more_than_info() {
        for (level, ours, others) in [
            ("TRACE", Level::TRACE, Level::INFO),
            ("debug", Level::DEBUG, Level::INFO),
            ("INFO", Level::INFO, Level::INFO),
            ("", Level::INFO, Level::INFO),
            ("nonsense", Level::INFO, Level::INFO),
            ("WARN", Level::WARN, Level::WARN),
            ("FATAL", Level::ERROR, Level::ERROR),
        ] {
            let filter = filter(level);
            for (target, most) in [
                ("tollgate_engine", ours),
                ("authorizer", ours),
                ("hyper_util::client", others),
                ("lambda_runtime", others),
            ] {
                for at in [
                    Level::ERROR,
                    Level::WARN,
                    Level::INFO,
                    Level::DEBUG,
                    Level::TRACE,
                ] {
                    assert_eq!(
                        filter.would_enable(target, &at),
                        at <= most,
                        "{level} {target} {at}"
                    );
                }
            }
            assert!(!filter.would_enable("metrics_cloudwatch_embedded::collector", &Level::ERROR));
        }
    }
}
