//! What the functions tell: JSON lines on standard output, as Lambda collects them.
//!
//! - [`init`]: the log.
//! - [`metrics`]: counters and latencies, in CloudWatch's embedded metric format.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

pub mod metrics;

/// Our own crates, whose logs never hold a key's value.
const OURS: [&str; 4] = [
    "tollgate_authorizer",
    "tollgate_keys",
    "tollgate_store",
    "authorizer",
];

/// The exporter of metrics complains of every latency beyond the hundred that a line can hold.
const SILENT: &str = "metrics_cloudwatch_embedded=off";

/// Starts logging at the level that `TOLLGATE_LOG_LEVEL` names, or else Lambda's `AWS_LAMBDA_LOG_LEVEL`; INFO where
/// neither does.
///
/// More than INFO is for our own crates only: at DEBUG the runtime and the HTTP client log whole events and requests,
/// and with them the callers' keys.
pub fn init() {
    let level = ["TOLLGATE_LOG_LEVEL", "AWS_LAMBDA_LOG_LEVEL"]
        .into_iter()
        .filter_map(|name| std::env::var(name).ok())
        .find(|level| !level.is_empty());
    tracing_subscriber::fmt()
        .json()
        .with_span_list(false)
        .with_env_filter(filter(&level.unwrap_or_default()))
        .init();
}

fn filter(level: &str) -> EnvFilter {
    let level: LevelFilter = match level {
        // Lambda's own word for what is worse than an error.
        "FATAL" => LevelFilter::ERROR,
        "" => LevelFilter::INFO,
        level => level.parse().unwrap_or(LevelFilter::INFO),
    };
    let others = level.min(LevelFilter::INFO);
    let ours = OURS.map(|name| format!("{name}={level}"));
    EnvFilter::new(format!("{others},{SILENT},{}", ours.join(",")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_crates_log_more_than_info() {
        assert!(filter("TRACE").to_string().contains("tollgate_store=trace"));
        for level in ["", "INFO", "DEBUG", "trace", "nonsense"] {
            let filter = filter(level).to_string();
            assert!(
                filter.split(',').any(|directive| directive == "info"),
                "{filter}"
            );
        }
        assert!(
            filter("ERROR")
                .to_string()
                .split(',')
                .any(|directive| directive == "error")
        );
    }
}
