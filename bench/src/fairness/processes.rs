//! Several real functions on one key, with a store that answers as fast as DynamoDB does.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until};
use tollgate_tests::lambda::{Function, Start};
use tollgate_tests::proxy::{Fault, Proxy};
use tollgate_tests::stores::{Kind, Store};
use tollgate_tests::world::{admin, linked, plan};

use super::PAGE;
use crate::arrivals::gap;
use crate::report;
use crate::statistics::{count, percentile};
use crate::subject::{Program, milliseconds, request};

/// Instances, requests per second of all together, and the plan's rate and burst.
type Case = (usize, f64, (f64, u32));

const CASES: [Case; 5] = [
    (1, 100.0, (300.0, 600)),
    (8, 15.0, (300.0, 600)),
    (8, 200.0, (300.0, 600)),
    (8, 400.0, (1_000.0, 2_000)),
    (12, 500.0, (1_000.0, 1_000)),
];
/// How long requests arrive.
const TIME: Duration = Duration::from_secs(15);
/// The time that the proxy adds to a call.
const CALL: Duration = Duration::from_millis(4);

pub(crate) async fn run(authorizer: Option<&Path>) {
    let program = authorizer.map_or_else(|| Program::Authorizer.path(), Path::to_owned);
    let mut rows = Vec::new();
    for case in CASES {
        rows.push(row(case, measure(&program, case).await));
    }
    let header = [
        "instances",
        "requests/s",
        "plan",
        "decisions",
        "refused",
        "of these `contended`",
        "writes / decision",
        "p50 ms",
        "p99 ms",
    ];
    let table = report::table(&header, &rows);
    if authorizer.is_some() {
        println!("{table}");
    } else {
        report::write(PAGE, "processes", &table);
    }
}

/// What a case has shown.
struct Measured {
    decided: Decided,
    writes: usize,
}

/// The decisions of a case, as they are made.
#[derive(Default)]
struct Decided {
    reasons: BTreeMap<String, usize>,
    /// Milliseconds of each.
    took: Vec<f64>,
}

async fn measure(program: &Path, (instances, load, throttle): Case) -> Measured {
    let store = Store::new(Kind::Embedded).await;
    let (_, key) = linked(&admin(&store).await, plan(Some(throttle), None)).await;
    let request = request(&key.value);
    let proxy = Proxy::to(&store.endpoint).await;
    let through = store.through(&proxy.endpoint);
    let fleet = Fleet::start(program, &through, instances, &request).await;
    proxy.rule(|_, _| Fault::Delay(CALL));
    proxy.take_calls();
    fleet.send(load, &request).await;
    // Reads of plans that are due again are left out.
    let writes = proxy.take_counts().get("UpdateItem").copied().unwrap_or(0);
    let decided = std::mem::take(&mut *fleet.decided.lock().await);
    Measured { decided, writes }
}

/// Functions that share the requests to one key.
struct Fleet {
    free: Arc<Mutex<Vec<Function>>>,
    decided: Arc<Mutex<Decided>>,
}

impl Fleet {
    /// Starts the functions and sends each a first request.
    async fn start(program: &Path, store: &Store, instances: usize, request: &str) -> Self {
        let mut free = Vec::new();
        for _ in 0..instances {
            let function = Function::start_program(program, store, Start::default()).await;
            function.run(request.to_owned()).await;
            free.push(function);
        }
        Self {
            free: Arc::new(Mutex::new(free)),
            decided: Arc::default(),
        }
    }

    /// Sends requests at a load until [`TIME`] is up, each to a free function.
    async fn send(&self, load: f64, request: &str) {
        let mut random = Rng::with_seed(7);
        let mut next = Instant::now();
        let end = next + TIME;
        let mut running = Vec::new();
        while next < end {
            next += Duration::from_secs_f64(gap(&mut random, load));
            sleep_until(next).await;
            let which = random.u32(..) as usize;
            // Lambda would start another instance; here the request is dropped.
            let Some(function) = self.take_free(which).await else {
                continue;
            };
            let (free, decided) = (Arc::clone(&self.free), Arc::clone(&self.decided));
            let request = request.to_owned();
            running.push(tokio::spawn(async move {
                let (reason, took) = decide(&function, request).await;
                decided.lock().await.add(reason, took);
                free.lock().await.push(function);
            }));
        }
        for running in running {
            running.await.expect("it ends");
        }
    }

    async fn take_free(&self, which: usize) -> Option<Function> {
        let mut free = self.free.lock().await;
        let which = which.checked_rem(free.len())?;
        Some(free.swap_remove(which))
    }
}

/// The reason of a decision, and the milliseconds it took.
async fn decide(function: &Function, request: String) -> (String, f64) {
    let invoked = function.run(request).await;
    let answer: Value = serde_json::from_slice(&invoked.outcome.expect("no error")).expect("JSON");
    let reason = answer["context"]["reason"].as_str().unwrap_or_default();
    (reason.to_owned(), milliseconds(invoked.took))
}

impl Decided {
    fn add(&mut self, reason: String, took: f64) {
        *self.reasons.entry(reason).or_default() += 1;
        self.took.push(took);
    }
}

fn row((instances, load, throttle): Case, measured: Measured) -> [String; 9] {
    let Measured {
        mut decided,
        writes,
    } = measured;
    let decisions = decided.took.len();
    let of = |reason: &str| decided.reasons.get(reason).copied().unwrap_or(0);
    let (refused, contended) = (decisions - of("ok"), of("contended"));
    [
        instances.to_string(),
        format!("{load}"),
        format!("{}/s, burst {}", throttle.0, throttle.1),
        decisions.to_string(),
        format!(
            "{refused} ({:.1}%)",
            100.0 * count(refused) / count(decisions)
        ),
        contended.to_string(),
        format!("{:.2}", count(writes) / count(decisions)),
        format!("{:.1}", percentile(&mut decided.took, 0.5)),
        format!("{:.1}", percentile(&mut decided.took, 0.99)),
    ]
}
