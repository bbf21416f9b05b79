//! A function under measurement: a real bootstrap, its times, and how much of the machine it uses.

use std::path::PathBuf;
use std::time::Duration;

use procfs::process::Process;
use serde_json::Value;
use tollgate_tests::lambda::{Function, Start, event};
use tollgate_tests::stores::Store;

use crate::statistics::{count, median, percentile};

/// The programs that can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Program {
    Authorizer,
    /// One conditional `UpdateItem`, and nothing else.
    Bare,
    /// The authorizer of the release before.
    Previous,
}

/// Names the authorizer of the release before, if it was built.
const PREVIOUS: &str = "TOLLGATE_BENCH_PREVIOUS";

impl Program {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Authorizer => "authorizer",
            Self::Bare => "bare",
            Self::Previous => "release before",
        }
    }

    /// The programs that are there.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        let previous = std::env::var_os(PREVIOUS).map(|_| Self::Previous);
        [Self::Authorizer, Self::Bare].into_iter().chain(previous)
    }

    /// Its release build.
    pub(crate) fn path(self) -> PathBuf {
        if self == Self::Previous {
            return std::env::var_os(PREVIOUS).expect("it is there").into();
        }
        let bench = std::env::current_exe().expect("this program has a path");
        // target/measure/tollgate-bench -> target/release
        let target = bench.parent().and_then(|profile| profile.parent());
        let path = target.expect("a target directory").join("release");
        let path = path.join(self.name());
        assert!(
            path.exists(),
            "{} is not built; run bench/run",
            path.display()
        );
        path
    }
}

/// A running function.
pub(crate) struct Subject {
    function: Function,
    process: Process,
}

/// A request as the event that API Gateway would send.
pub(crate) fn request(key: &str) -> String {
    event("http-api-v2", Some(key)).to_string()
}

/// One decision.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Decided {
    pub(crate) took: Duration,
    pub(crate) admitted: bool,
}

impl Subject {
    pub(crate) async fn start(program: Program, store: &Store) -> Self {
        let function = Function::start_program(&program.path(), store, Start::default()).await;
        let id = function.process_id().try_into().expect("a process id");
        let process = Process::new(id).expect("it runs");
        function.init().await;
        Self { function, process }
    }

    pub(crate) async fn init(&self) -> Duration {
        self.function.init().await
    }

    pub(crate) async fn decide(&self, request: &str) -> Decided {
        let invoked = self.function.run(request.to_owned()).await;
        let answer = invoked.outcome.expect("no error");
        let answer: Value = serde_json::from_slice(&answer).expect("JSON");
        Decided {
            took: invoked.took,
            admitted: answer["isAuthorized"] == true,
        }
    }

    /// Sends `requests` one after the other. All must be admitted.
    pub(crate) async fn round(&self, request: &str, requests: usize) -> Round {
        let before = self.processor_time();
        let mut took = Vec::with_capacity(requests);
        for _ in 0..requests {
            let decided = self.decide(request).await;
            assert!(decided.admitted, "a steady request is admitted");
            took.push(decided.took);
        }
        Round::new(&took, self.processor_time().saturating_sub(before))
    }

    /// The processor time of its threads so far.
    pub(crate) fn processor_time(&self) -> Duration {
        let tasks = self.process.tasks().expect("it runs");
        // A thread may end in between.
        let times = tasks.filter_map(|task| task.ok()?.schedstat().ok());
        Duration::from_nanos(times.map(|times| times.sum_exec_runtime).sum())
    }

    /// The most memory it has used, in MB.
    pub(crate) fn peak_memory(&self) -> f64 {
        let status = self.process.status().expect("it runs");
        let kib = status.vmhwm.expect("Linux tells");
        count(kib.try_into().expect("fits")) * 1024.0 / 1e6
    }
}

/// The times of a round of decisions, in milliseconds for each.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Round {
    pub(crate) p50: f64,
    pub(crate) p95: f64,
    pub(crate) p99: f64,
    /// Processor time of the function for each decision.
    pub(crate) processor: f64,
}

impl Round {
    pub(crate) fn new(took: &[Duration], processor: Duration) -> Self {
        let mut took: Vec<_> = took.iter().map(|took| milliseconds(*took)).collect();
        Self {
            p50: percentile(&mut took, 0.5),
            p95: percentile(&mut took, 0.95),
            p99: percentile(&mut took, 0.99),
            processor: milliseconds(processor) / count(took.len()),
        }
    }

    /// The median of each figure.
    pub(crate) fn median(rounds: &[Self]) -> Self {
        let of = |figure: fn(&Self) -> f64| median(rounds.iter().map(figure).collect());
        Self {
            p50: of(|round| round.p50),
            p95: of(|round| round.p95),
            p99: of(|round| round.p99),
            processor: of(|round| round.processor),
        }
    }

    pub(crate) fn cells(&self) -> [String; 4] {
        [self.p50, self.p95, self.p99, self.processor].map(|figure| format!("{figure:.2}"))
    }
}

pub(crate) fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
