//! Several instances on one key. None sees what the others have filled, so that guesses fail: a second call each.

use std::time::{Duration, Instant};

use tollgate_tests::proxy::Proxy;
use tollgate_tests::stores::{Kind, Store};
use tollgate_tests::world::{linked, manager, plan};

use crate::arrivals::Arrivals;
use crate::model::{self, Guesses};
use crate::report;
use crate::statistics::count;
use crate::subject::{Program, Subject, request};

/// Requests per second that the key may make, and its burst.
const RATE: f64 = 300.0;
const BURST: u32 = 30;
/// Requests of a run, which at most takes this long.
const REQUESTS: f64 = 1_200.0;
const LONGEST: f64 = 20.0;

/// Calls for each decision.
pub(crate) struct Cell {
    pub(crate) share: f64,
    pub(crate) instances: usize,
    pub(crate) calls: f64,
    pub(crate) modelled: Guesses,
}

pub(crate) async fn measure() -> Vec<Cell> {
    let mut cells = Vec::new();
    for share in [0.05, 0.5, 0.95] {
        for instances in [1, 2, 4, 8] {
            cells.push(Cell {
                share,
                instances,
                calls: calls(share, instances).await,
                modelled: model::guesses(share, instances, BURST),
            });
        }
    }
    cells
}

async fn calls(share: f64, instances: usize) -> f64 {
    let store = Store::new(Kind::Embedded).await;
    let (_, key) = linked(&manager(&store).await, plan(Some((RATE, BURST)), None)).await;
    let request = request(&key.value);
    let proxy = Proxy::to(&store.endpoint).await;
    let mut subjects = Vec::new();
    for _ in 0..instances {
        let subject = Subject::start(Program::Authorizer, &store.through(&proxy.endpoint)).await;
        subject.decide(&request).await;
        subjects.push(subject);
    }
    proxy.take_calls();
    let of_one = |(number, subject): (usize, Subject)| {
        let request = request.clone();
        async move {
            let seed = number.try_into().expect("a few");
            let mut arrivals = Arrivals::new(RATE * share / count(instances), seed);
            let time = (REQUESTS / RATE / share).min(LONGEST);
            let end = Instant::now() + Duration::from_secs_f64(time);
            let mut decisions = 0;
            while Instant::now() < end {
                arrivals.next().await;
                subject.decide(&request).await;
                decisions += 1;
            }
            decisions
        }
    };
    let running: Vec<_> = subjects
        .into_iter()
        .enumerate()
        .map(of_one)
        .map(tokio::spawn)
        .collect();
    let mut decisions = 0;
    for running in running {
        decisions += running.await.expect("it ends");
    }
    // Reading plans again is another matter.
    let calls = proxy.take_counts();
    count(calls.get("UpdateItem").copied().unwrap_or(0)) / count(decisions)
}

pub(crate) fn table(cells: &[Cell]) -> String {
    let header = [
        "calls / decision",
        "instances",
        "measured",
        "model",
        "model, without learning",
        "model, the least possible",
    ];
    let rows: Vec<_> = cells
        .iter()
        .map(|cell| {
            let modelled = &cell.modelled;
            [
                format!("a key at {:.0}% of its rate", cell.share * 100.0),
                cell.instances.to_string(),
                format!("{:.2}", cell.calls),
                format!("{:.2}", modelled.learned),
                format!("{:.2}", modelled.seen),
                format!("{:.2}", modelled.least),
            ]
        })
        .collect();
    report::table(&header, &rows)
}
