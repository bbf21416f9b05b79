//! A steady decision, and a start, beside the bare function's and the closest peer's.

use std::time::Duration;

use tollgate_core::calendar::PeriodKind;
use tollgate_tests::stores::{Kind, Store};
use tollgate_tests::world::{linked, manager, plan};

use super::peer;
use crate::statistics::{count, median};
use crate::subject::{Program, Round, Subject, milliseconds, request};
use crate::{report, stores};

const ROUNDS: usize = 9;
const REQUESTS: usize = 600;
const STARTS: usize = 15;

/// A function's figures.
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) steady: Round,
    /// Absent where it is no function of ours to start.
    start: Option<Start>,
    /// MB.
    peak_memory: f64,
    /// MB.
    binary: Option<f64>,
}

/// How a function starts, in milliseconds.
struct Start {
    init: f64,
    first: f64,
}

/// The functions in turns, so that what else the machine does meets them alike.
pub(crate) async fn measure(kind: Kind) -> Vec<Row> {
    let store = Store::new(kind).await;
    let generous = plan(
        Some((5_000.0, 10_000)),
        Some((1_000_000_000, PeriodKind::Month)),
    );
    let (_, key) = linked(&manager(&store).await, generous).await;
    let request = request(&key.value);
    let programs = [Program::Authorizer, Program::Bare];
    let mut subjects = Vec::new();
    for program in programs {
        let subject = Subject::start(program, &store).await;
        subject.round(&request, REQUESTS).await;
        subjects.push((program, subject, Vec::new()));
    }
    let mut peers = Vec::new();
    for _ in 0..ROUNDS {
        for (_, subject, rounds) in &mut subjects {
            rounds.push(subject.round(&request, REQUESTS).await);
        }
        peers.extend(peer::round(&store, REQUESTS).await);
    }
    let mut rows = Vec::new();
    for (program, subject, rounds) in &subjects {
        let binary = std::fs::metadata(program.path()).expect("it is built");
        rows.push(Row {
            name: program.name().to_owned(),
            steady: Round::median(rounds),
            start: Some(starts(*program, &store, &request).await),
            peak_memory: subject.peak_memory(),
            binary: Some(count(binary.len().try_into().expect("fits")) / 1e6),
        });
    }
    if let Some(version) = peers.first().map(|peer| peer.version.clone()) {
        let rounds: Vec<_> = peers.iter().map(|peer| peer.admitted).collect();
        rows.push(Row {
            name: format!("zae-limiter {version}, the library alone"),
            steady: Round::median(&rounds),
            start: None,
            peak_memory: median(peers.iter().map(|peer| peer.peak_memory).collect()),
            binary: None,
        });
    }
    rows
}

async fn starts(program: Program, store: &Store, request: &str) -> Start {
    let (mut inits, mut firsts) = (Vec::new(), Vec::new());
    for _ in 0..STARTS {
        let subject = Subject::start(program, store).await;
        inits.push(milliseconds(subject.init().await));
        // A function that has just started is not asked in the same moment.
        tokio::time::sleep(Duration::from_millis(20)).await;
        firsts.push(milliseconds(subject.decide(request).await.took));
    }
    Start {
        init: median(inits),
        first: median(firsts),
    }
}

pub(crate) fn table(kind: Kind, rows: &[Row]) -> String {
    let header = [
        &format!("one decision, {}", stores::name(kind)),
        "p50 ms",
        "p95 ms",
        "p99 ms",
        "CPU ms",
        "init ms",
        "first ms",
        "peak MB",
        "binary MB",
    ];
    let figure =
        |figure: Option<f64>| figure.map_or_else(|| "-".to_owned(), |it| format!("{it:.2}"));
    let cells = |row: &Row| {
        let start = row.start.as_ref();
        let rest = [
            figure(start.map(|start| start.init)),
            figure(start.map(|start| start.first)),
            format!("{:.1}", row.peak_memory),
            figure(row.binary),
        ];
        [row.name.clone()]
            .into_iter()
            .chain(row.steady.cells())
            .chain(rest)
            .collect::<Vec<_>>()
    };
    let mut lines: Vec<_> = rows.iter().map(cells).collect();
    if let [authorizer, bare, ..] = rows {
        let ratio = |of: &dyn Fn(&Row) -> Option<f64>| {
            let ratio = of(authorizer).zip(of(bare)).map(|(ours, bare)| ours / bare);
            figure(ratio)
        };
        let start = |of: fn(&Start) -> f64| move |row: &Row| row.start.as_ref().map(of);
        lines.insert(
            2,
            vec![
                "authorizer / bare".to_owned(),
                ratio(&|row| Some(row.steady.p50)),
                ratio(&|row| Some(row.steady.p95)),
                ratio(&|row| Some(row.steady.p99)),
                ratio(&|row| Some(row.steady.processor)),
                ratio(&start(|start| start.init)),
                ratio(&start(|start| start.first)),
                ratio(&|row| Some(row.peak_memory)),
                ratio(&|row| row.binary),
            ],
        );
    }
    report::table(&header, &lines)
}
