//! Several instances share a key, under many loads and with stores of different speeds. Time is simulated and the engine is the
//! real one, so the figures do not depend on this machine.

use indicatif::ProgressBar;
use itertools::iproduct;
use tollgate_tests::simulation::{Crowd, Met};

use super::PAGE;
use crate::report;
use crate::statistics::count;

/// Rate and burst of the plans.
const PLANS: [(f64, u32); 5] = [
    (50.0, 50),
    (100.0, 200),
    (300.0, 600),
    (1_000.0, 1_000),
    (1_000.0, 2_000),
];
const INSTANCES: [usize; 4] = [4, 8, 12, 32];
/// Loads, as shares of the rate.
const LOADS: [f64; 5] = [0.05, 0.2, 0.5, 0.67, 0.95];
/// The highest load on one key, in requests per second.
const MOST: f64 = 600.0;
/// How long a call takes, in milliseconds.
const ROUND_TRIPS: [u32; 4] = [1, 4, 10, 20];

pub(crate) fn run(requests: usize) {
    let plans = iproduct!(PLANS, LOADS).filter(|((rate, _), load)| rate * load <= MOST);
    let plans: Vec<_> = plans.collect();
    let cells = plans.len() * ROUND_TRIPS.len() * INSTANCES.len();
    let bar = ProgressBar::new(cells.try_into().expect("a few"));
    let mut rows = Vec::new();
    for (throttle, load) in plans {
        for round_trip in ROUND_TRIPS {
            let met = INSTANCES.map(|instances| {
                let crowd = Crowd {
                    instances,
                    load: throttle.0 * load,
                    throttle,
                    round_trip: std::time::Duration::from_millis(round_trip.into()),
                    requests,
                    ..Crowd::default()
                };
                let met = crowd.meet();
                bar.inc(1);
                met
            });
            rows.push(row(throttle, load, round_trip, &met));
        }
    }
    bar.finish_and_clear();
    let writes = INSTANCES.map(|instances| format!("writes, {instances} instances"));
    let mut header = vec![
        "plan",
        "load",
        "call takes",
        "decisions",
        "refused with room",
        "of these `contended`",
    ];
    header.extend(writes.iter().map(String::as_str));
    header.extend(["p50 ms", "p99 ms", "over by"]);
    report::write(PAGE, "crowds", &report::table(&header, &rows));
}

fn row((rate, burst): (f64, u32), load: f64, round_trip: u32, met: &[Met]) -> Vec<String> {
    let decisions: usize = met.iter().map(|met| met.decisions).sum();
    let contended = met.iter().filter_map(|met| met.reasons.get("contended"));
    let contended: usize = contended.sum();
    let refused: usize = met.iter().map(|met| met.refused_with_room).sum();
    let mut took: Vec<_> = met.iter().flat_map(|met| met.took.clone()).collect();
    took.sort_unstable();
    let percentile = |share: usize| took[took.len() * share / 100].as_secs_f64() * 1_000.0;
    let over = met.iter().map(|met| met.over).fold(0.0, f64::max);
    let mut cells = vec![
        format!("{rate}/s, burst {burst}"),
        format!("{:.0}%", load * 100.0),
        format!("{round_trip} ms"),
        decisions.to_string(),
        refused.to_string(),
        contended.to_string(),
    ];
    cells.extend(
        met.iter()
            .map(|met| format!("{:.2}", count(met.tries) / count(met.decisions))),
    );
    cells.extend([percentile(50), percentile(99)].map(|time| format!("{time:.1}")));
    cells.push(format!("{over:.1}"));
    cells
}
