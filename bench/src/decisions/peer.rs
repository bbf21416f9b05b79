//! The closest peer, `zae-limiter`: a DynamoDB token bucket as a Python library. Measured in process, without a function
//! around it.

use serde::Deserialize;
use tokio::process::Command;
use tollgate_tests::stores::Store;

use crate::subject::Round;

/// The variable with the path of a Python that has the peer installed. `bench/run` sets it.
const PYTHON: &str = "TOLLGATE_BENCH_PYTHON";

/// The figures that `bench/zae_baseline.py` prints.
#[derive(Debug, Deserialize)]
struct Printed {
    version: String,
    admitted: Figures,
    peak_kib: f64,
}

#[derive(Debug, Deserialize)]
struct Figures {
    p50_us: f64,
    p95_us: f64,
    p99_us: f64,
    cpu_us: f64,
    calls: f64,
}

/// The figures of one round.
pub(crate) struct Peer {
    pub(crate) version: String,
    pub(crate) admitted: Round,
    /// Calls for each decision.
    pub(crate) calls: f64,
    /// MB.
    pub(crate) peak_memory: f64,
}

/// Measures admitted requests, one after the other; `None` if there is no such Python.
pub(crate) async fn round(store: &Store, requests: usize) -> Option<Peer> {
    let python = std::env::var_os(PYTHON)?;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/zae_baseline.py");
    let output = Command::new(python)
        .args([script, "--endpoint", &store.endpoint])
        .args(["--requests", &requests.to_string()])
        .env("AWS_REGION", "us-east-1")
        .env("AWS_ACCESS_KEY_ID", "local")
        .env("AWS_SECRET_ACCESS_KEY", "local")
        .stderr(std::process::Stdio::inherit())
        .output()
        .await
        .expect("Python runs");
    assert!(output.status.success(), "{script} failed");
    let printed: Printed = serde_json::from_slice(&output.stdout).expect("figures");
    let milliseconds = |microseconds: f64| microseconds / 1e3;
    Some(Peer {
        version: printed.version,
        admitted: Round {
            p50: milliseconds(printed.admitted.p50_us),
            p95: milliseconds(printed.admitted.p95_us),
            p99: milliseconds(printed.admitted.p99_us),
            processor: milliseconds(printed.admitted.cpu_us),
        },
        calls: printed.admitted.calls,
        peak_memory: printed.peak_kib * 1024.0 / 1e6,
    })
}
