//! One instance under different loads: calls, capacity units and times of its decisions.
//!
//! - [`pair`]: a load, run once to count and once to measure times.

use std::time::Duration;

use tollgate_core::calendar::PeriodKind;
use tollgate_tests::stores::{Kind, Store};
use tollgate_tests::world::{admin, linked, plan};

use crate::arrivals::{Arrivals, Zipf};
use crate::subject::{Subject, request};
use crate::{fill, report, stores};

mod pair;

pub(crate) use pair::Row;
use pair::{Pair, Run, gather};

/// The throttle of the key under paced loads: requests per second, and burst.
const RATE: f64 = 400.0;
const BURST: u32 = 40;
const PACED: Duration = Duration::from_secs(8);
const KEYS: usize = 10_000;
const ZIPF_REQUESTS: usize = 10_000;
const FLOOD: Duration = Duration::from_secs(4);
const BAD_KEYS: usize = 1_000_000;
/// Of the bad keys, one in this many could be a key of the caller's own, and has to be looked up; the others have a wrong
/// checksum.
const ASKED: usize = 100;
/// Bad keys that are timed. The memory is measured with all of them.
const BAD_TIMED: usize = 20_000;

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

/// Independent requests of a key at a share of its rate.
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
    // The first read of a key is part of a start, not of this load.
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

/// A key whose plan admits one request, after which many more follow.
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

/// Values that belong to no key, each a new one.
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
                // The form of a generated value, with a wrong checksum.
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
