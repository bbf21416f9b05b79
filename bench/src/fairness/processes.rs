//! Several real functions on one key, with a store that answers as soon as DynamoDB does.

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
const CASES: [(usize, f64, (f64, u32)); 5] = [
    (1, 100.0, (300.0, 600)),
    (8, 15.0, (300.0, 600)),
    (8, 200.0, (300.0, 600)),
    (8, 400.0, (1_000.0, 2_000)),
    (12, 500.0, (1_000.0, 1_000)),
];
/// How long requests come.
const TIME: Duration = Duration::from_secs(15);
/// What the proxy adds to a call.
const CALL: Duration = Duration::from_millis(4);

/// What came of a case.
#[derive(Default)]
struct Came {
    reasons: BTreeMap<String, usize>,
    took: Vec<f64>,
}

pub(crate) async fn run(authorizer: Option<&Path>) {
    let program = authorizer.map_or_else(|| Program::Authorizer.path(), Path::to_owned);
    let mut rows = Vec::new();
    for case in CASES {
        rows.push(measure(&program, case).await);
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

async fn measure(
    program: &Path,
    (instances, load, throttle): (usize, f64, (f64, u32)),
) -> [String; 9] {
    let store = Store::new(Kind::Embedded).await;
    let (_, key) = linked(&admin(&store).await, plan(Some(throttle), None)).await;
    let request = request(&key.value);
    let proxy = Proxy::to(&store.endpoint).await;
    let through = store.through(&proxy.endpoint);
    let mut free = Vec::new();
    for _ in 0..instances {
        let function = Function::start_program(program, &through, Start::default()).await;
        function.run(request.clone()).await;
        free.push(function);
    }
    proxy.rule(|_, _| Fault::Delay(CALL));
    proxy.take_calls();
    let free = Arc::new(Mutex::new(free));
    let came = Arc::<Mutex<Came>>::default();
    let mut random = Rng::with_seed(7);
    let mut next = Instant::now();
    let end = next + TIME;
    let mut running = Vec::new();
    while next < end {
        next += Duration::from_secs_f64(gap(&mut random, load));
        sleep_until(next).await;
        // As Lambda would, but with no more instances than these.
        let which = random.u32(..);
        let function = {
            let mut free = free.lock().await;
            match free.len() {
                0 => continue,
                some => free.swap_remove(which as usize % some),
            }
        };
        let (free, came, request) = (Arc::clone(&free), Arc::clone(&came), request.clone());
        running.push(tokio::spawn(async move {
            let invoked = function.run(request).await;
            let answer: Value =
                serde_json::from_slice(&invoked.outcome.expect("no error")).expect("JSON");
            let reason = answer["context"]["reason"].as_str().unwrap_or_default();
            let mut came = came.lock().await;
            *came.reasons.entry(reason.to_owned()).or_default() += 1;
            came.took.push(milliseconds(invoked.took));
            free.lock().await.push(function);
        }));
    }
    for running in running {
        running.await.expect("it ends");
    }
    // Reading plans again is another matter.
    let writes = proxy.take_counts().get("UpdateItem").copied().unwrap_or(0);
    let mut came = came.lock().await;
    let decisions = came.took.len();
    let of = |reason: &str| came.reasons.get(reason).copied().unwrap_or(0);
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
        format!("{:.1}", percentile(&mut came.took, 0.5)),
        format!("{:.1}", percentile(&mut came.took, 0.99)),
    ]
}
