//! A steady decision and a start, compared with the bare function's and the closest peer's.

use std::time::Duration;

use tollgate_tests::proxy::Proxy;
use tollgate_tests::stores::{Kind, Store};
use tollgate_tests::world::{admin, linked, plan};

use super::peer::{self, Peer};
use crate::cost::Consumed;
use crate::statistics::{count, median};
use crate::subject::{Program, Round, Subject, milliseconds, request};
use crate::{fill, report, stores};

const ROUNDS: usize = 9;
const REQUESTS: usize = 500;
/// Rounds of the peer, each a process of its own.
const PEER_ROUNDS: usize = 3;
const STARTS: usize = 15;

/// A function's figures.
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) steady: Round,
    /// Calls for each decision.
    calls: f64,
    /// What a proxy in front of the store has seen.
    store: Option<Seen>,
    /// `None` for the peer, which is no function.
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

/// Measures the functions and the peer. The functions take turns: whatever else the machine does affects both.
pub(crate) async fn measure(kind: Kind) -> Vec<Row> {
    let store = Store::new(kind).await;
    let generous = plan(fill::THROTTLE, fill::QUOTA);
    let (_, key) = linked(&admin(&store).await, generous).await;
    let request = request(&key.value);
    let mut subjects = Vec::new();
    for program in Program::all() {
        let subject = Subject::start(program, &store).await;
        subject.round(&request, REQUESTS).await;
        subjects.push((program, subject, Vec::new()));
    }
    for _ in 0..ROUNDS {
        for (_, subject, rounds) in &mut subjects {
            rounds.push(subject.round(&request, REQUESTS).await);
        }
    }
    let mut peers = Vec::new();
    for _ in 0..PEER_ROUNDS {
        peers.extend(peer::round(&store, REQUESTS).await);
    }
    let mut rows = Vec::new();
    for (program, subject, rounds) in &subjects {
        rows.push(function_row(*program, subject, rounds, &store, &request).await);
    }
    rows.extend(peer_row(&peers));
    rows
}

async fn function_row(
    program: Program,
    subject: &Subject,
    rounds: &[Round],
    store: &Store,
    request: &str,
) -> Row {
    let seen = seen(program, store, request).await;
    let binary = std::fs::metadata(program.path()).expect("it is built");
    Row {
        name: program.name().to_owned(),
        steady: Round::median(rounds),
        calls: seen.consumed.calls,
        store: Some(seen),
        start: Some(starts(program, store, request).await),
        peak_memory: subject.peak_memory(),
        binary: Some(count(binary.len().try_into().expect("fits")) / 1e6),
    }
}

/// The peer's row, if it is installed.
fn peer_row(peers: &[Peer]) -> Option<Row> {
    let version = &peers.first()?.version;
    let rounds: Vec<_> = peers.iter().map(|peer| peer.admitted).collect();
    Some(Row {
        name: format!("zae-limiter {version}"),
        steady: Round::median(&rounds),
        calls: median(peers.iter().map(|peer| peer.calls).collect()),
        store: None,
        start: None,
        peak_memory: median(peers.iter().map(|peer| peer.peak_memory).collect()),
        binary: None,
    })
}

/// What a proxy in front of the store sees of a decision.
struct Seen {
    consumed: Consumed,
    /// How long the store took, in milliseconds.
    took: f64,
}

async fn seen(program: Program, store: &Store, request: &str) -> Seen {
    let proxy = Proxy::to(&store.endpoint).await;
    let subject = Subject::start(program, &store.through(&proxy.endpoint)).await;
    subject.round(request, REQUESTS).await;
    proxy.take_calls();
    subject.round(request, REQUESTS).await;
    let calls = proxy.take_calls();
    Seen {
        consumed: Consumed::of(REQUESTS, &calls),
        took: median(calls.iter().map(|call| milliseconds(call.took)).collect()),
    }
}

async fn starts(program: Program, store: &Store, request: &str) -> Start {
    let (mut inits, mut firsts) = (Vec::new(), Vec::new());
    for _ in 0..STARTS {
        let subject = Subject::start(program, store).await;
        inits.push(milliseconds(subject.init().await));
        // Requests do not arrive in the moment in which a function has started.
        tokio::time::sleep(Duration::from_millis(20)).await;
        firsts.push(milliseconds(subject.decide(request).await.took));
    }
    Start {
        init: median(inits),
        first: median(firsts),
    }
}

/// A figure of a row, if the row has it.
type Figure = fn(&Row) -> Option<f64>;

const COLUMNS: [(&str, Figure); 12] = [
    ("calls", |row| Some(row.calls)),
    ("units", |row| {
        let consumed = row.store.as_ref().map(|seen| seen.consumed);
        consumed.map(|consumed| consumed.written + consumed.read)
    }),
    ("p50 ms", |row| Some(row.steady.p50)),
    ("p95 ms", |row| Some(row.steady.p95)),
    ("p99 ms", |row| Some(row.steady.p99)),
    ("CPU ms", |row| Some(row.steady.processor)),
    ("store ms", |row| row.store.as_ref().map(|seen| seen.took)),
    ("init ms", |row| row.start.as_ref().map(|start| start.init)),
    ("first ms", |row| {
        row.start.as_ref().map(|start| start.first)
    }),
    ("first / p50", |row| {
        let start = row.start.as_ref();
        start.map(|start| start.first / row.steady.p50)
    }),
    ("peak MB", |row| Some(row.peak_memory)),
    ("binary MB", |row| row.binary),
];

pub(crate) fn table(kind: Kind, rows: &[Row]) -> String {
    let title = format!("one decision, {}", stores::name(kind));
    let names = COLUMNS.iter().map(|(name, _)| *name);
    let header: Vec<_> = [title.as_str()].into_iter().chain(names).collect();
    let line = |name: String, figure: &dyn Fn(Figure) -> Option<f64>| {
        let cell =
            |figure: Option<f64>| figure.map_or("-".to_owned(), |figure| format!("{figure:.2}"));
        let cells = COLUMNS.iter().map(|(_, of)| cell(figure(*of)));
        [name].into_iter().chain(cells).collect::<Vec<_>>()
    };
    let figures = rows.iter().map(|row| line(row.name.clone(), &|of| of(row)));
    let (ours, others) = rows.split_first().expect("the authorizer");
    let ratios = others.iter().map(|other| {
        let name = format!("{} / {}", ours.name, other.name);
        line(name, &|of| of(ours).zip(of(other)).map(|(a, b)| a / b))
    });
    report::table(&header, &figures.chain(ratios).collect::<Vec<_>>())
}
