//! One instance under different loads: calls and capacity units for each decision, and times.

use std::time::{Duration, Instant};

use tollgate_core::calendar::PeriodKind;
use tollgate_tests::proxy::Proxy;
use tollgate_tests::stores::{Kind, Store};
use tollgate_tests::world::{admin, linked, plan};

use crate::arrivals::{Arrivals, Zipf};
use crate::cost::Consumed;
use crate::subject::{Decided, Program, Round, Subject, request};
use crate::{fill, report, stores};

/// Requests per second that the key of the paced loads may make, and its burst.
const RATE: f64 = 400.0;
const BURST: u32 = 40;
const PACED: Duration = Duration::from_secs(8);
const KEYS: usize = 10_000;
const ZIPF_REQUESTS: usize = 10_000;
const FLOOD: Duration = Duration::from_secs(4);
const BAD_KEYS: usize = 1_000_000;
/// Of the bad keys, one in so many could be somebody's own and has to be asked about; the others have a wrong checksum.
const ASKED: usize = 100;
/// Requests by which bad keys are timed; the memory that they take is that of all.
const BAD_TIMED: usize = 20_000;

/// What a load has shown.
pub(crate) struct Row {
    load: String,
    decisions: usize,
    admitted: usize,
    consumed: Consumed,
    round: Round,
    peak_memory: f64,
}

/// Decisions under a load.
#[derive(Default)]
struct Run {
    admitted: usize,
    took: Vec<Duration>,
}

/// One instance, twice: at the store to take the time, and at a proxy before it to count.
struct Pair {
    direct: Subject,
    counted: Subject,
    proxy: Proxy,
}

impl Pair {
    async fn start(store: &Store) -> Self {
        let proxy = Proxy::to(&store.endpoint).await;
        let counted = Subject::start(Program::Authorizer, &store.through(&proxy.endpoint)).await;
        Self {
            direct: Subject::start(Program::Authorizer, store).await,
            counted,
            proxy,
        }
    }

    /// Runs a load on both.
    async fn run(&self, load: impl Into<String>, run: impl AsyncFn(&Subject) -> Run) -> Row {
        self.run_each(load, &run, &run).await
    }

    /// Runs a load by which calls are counted, and one by which the time is taken.
    async fn run_each(
        &self,
        load: impl Into<String>,
        count: impl AsyncFn(&Subject) -> Run,
        time: impl AsyncFn(&Subject) -> Run,
    ) -> Row {
        self.proxy.take_calls();
        let counted = count(&self.counted).await;
        let calls = self.proxy.take_calls();
        let before = self.direct.processor_time();
        let timed = time(&self.direct).await;
        let processor = self.direct.processor_time().saturating_sub(before);
        Row {
            load: load.into(),
            decisions: counted.took.len(),
            admitted: counted.admitted,
            consumed: Consumed::of(counted.took.len(), &calls),
            round: Round::new(&timed.took, processor),
            peak_memory: self.counted.peak_memory(),
        }
    }
}

/// All loads.
pub(crate) async fn measure(kind: Kind, full: bool) -> Vec<Row> {
    let mut rows = Vec::new();
    for share in [0.05, 0.5, 0.95] {
        rows.push(paced(kind, share).await);
    }
    rows.push(zipf(kind).await);
    rows.push(throttled(kind).await);
    rows.push(quota_spent(kind).await);
    if kind == Kind::Embedded {
        rows.push(bad_keys(kind, if full { 1 } else { ASKED }).await);
    }
    rows
}

/// A key at a share of its rate, its requests independent of each other.
async fn paced(kind: Kind, share: f64) -> Row {
    let store = Store::new(kind).await;
    let limits = plan(Some((RATE, BURST)), fill::QUOTA);
    let (_, key) = linked(&admin(&store).await, limits).await;
    let request = request(&key.value);
    let pair = Pair::start(&store).await;
    for subject in [&pair.counted, &pair.direct] {
        subject.decide(&request).await;
    }
    let load = format!("a key at {:.0}% of its rate", share * 100.0);
    pair.run(load, async |subject| {
        let mut arrivals = Arrivals::new(RATE * share, 7);
        gather(PACED, async || {
            arrivals.next().await;
            subject.decide(&request).await
        })
        .await
    })
    .await
}

/// Many keys, a few of them with most of the requests.
async fn zipf(kind: Kind) -> Row {
    let store = Store::new(kind).await;
    let limits = plan(fill::THROTTLE, fill::QUOTA);
    let (_, keys) = fill::table(&admin(&store).await, limits, KEYS).await;
    let requests: Vec<_> = keys.iter().map(|key| request(key)).collect();
    let pair = Pair::start(&store).await;
    // Cold reads belong to a start, not to the load.
    for subject in [&pair.counted, &pair.direct] {
        for request in &requests {
            subject.decide(request).await;
        }
    }
    pair.run(format!("{KEYS} keys by Zipf's law"), async |subject| {
        let mut zipf = Zipf::new(KEYS, 1.0, 7);
        let mut run = Run::default();
        for _ in 0..ZIPF_REQUESTS {
            run.add(subject.decide(&requests[zipf.next()]).await);
        }
        run
    })
    .await
}

/// A key far over its rate: refused from memory until a token can exist.
async fn throttled(kind: Kind) -> Row {
    flood(kind, "refused: over the rate", Some((0.1, 1)), None).await
}

/// A key whose quota is spent.
async fn quota_spent(kind: Kind) -> Row {
    flood(
        kind,
        "refused: quota spent",
        None,
        Some((1, PeriodKind::Month)),
    )
    .await
}

/// A key with one request in its plan, asked again and again after it.
async fn flood(
    kind: Kind,
    load: &str,
    throttle: Option<(f64, u32)>,
    quota: Option<(u64, PeriodKind)>,
) -> Row {
    let store = Store::new(kind).await;
    let (_, key) = linked(&admin(&store).await, plan(throttle, quota)).await;
    let request = request(&key.value);
    let pair = Pair::start(&store).await;
    for subject in [&pair.counted, &pair.direct] {
        for _ in 0..2 {
            subject.decide(&request).await;
        }
    }
    let seconds = FLOOD.as_secs();
    pair.run(format!("{load} ({seconds} s)"), async |subject| {
        gather(FLOOD, async || subject.decide(&request).await).await
    })
    .await
}

/// Values that are nobody's, each another one.
async fn bad_keys(kind: Kind, asked: usize) -> Row {
    let store = Store::new(kind).await;
    let pair = Pair::start(&store).await;
    let template = request("@");
    let load = format!("{BAD_KEYS} bad keys, one in {asked} well-formed");
    let bad_keys = async |subject: &Subject, keys: usize| {
        let mut run = Run::default();
        for number in 0..keys {
            let key = if number % asked == 0 {
                format!("nobody-has-this-one-{number:012}")
            } else {
                // Of the form of a value made here, with a checksum that is wrong.
                format!("tg_{number:0>39}")
            };
            run.add(subject.decide(&template.replace('@', &key)).await);
        }
        run
    };
    let count = async |subject: &Subject| bad_keys(subject, BAD_KEYS).await;
    let time = async |subject: &Subject| bad_keys(subject, BAD_TIMED).await;
    pair.run_each(load, count, time).await
}

/// Decisions until time is up.
async fn gather(time: Duration, decide: impl AsyncFnMut() -> Decided) -> Run {
    let mut decide = decide;
    let end = Instant::now() + time;
    let mut run = Run::default();
    while Instant::now() < end {
        run.add(decide().await);
    }
    run
}

impl Run {
    fn add(&mut self, decided: Decided) {
        self.admitted += usize::from(decided.admitted);
        self.took.push(decided.took);
    }
}

pub(crate) fn table(kind: Kind, rows: &[Row]) -> String {
    let header = [
        &format!("one instance, {}", stores::name(kind)),
        "decisions",
        "admitted",
        "calls / decision",
        "write units",
        "read units",
        "p50 ms",
        "p95 ms",
        "p99 ms",
        "CPU ms",
        "peak MB",
    ];
    let cells = |row: &Row| {
        let names = [
            row.load.clone(),
            row.decisions.to_string(),
            row.admitted.to_string(),
        ];
        let memory = [format!("{:.1}", row.peak_memory)];
        let cells = names.into_iter().chain(row.consumed.cells());
        let cells = cells.chain(row.round.cells());
        cells.chain(memory).collect::<Vec<_>>()
    };
    let rows: Vec<_> = rows.iter().map(cells).collect();
    report::table(&header, &rows)
}
