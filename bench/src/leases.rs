//! What leases would save, by the model, if an instance bought several requests at once for some time.

use crate::model::{self, Lease};
use crate::report;

/// Requests per second of the plan, and its burst.
const RATE: f64 = 100.0;
const BURST: u32 = 200;

/// Writes the table.
pub(crate) fn run() {
    let rules = [
        ("one by one", Lease::None),
        ("10 for 0.2 s", Lease::Fixed(10.0, 0.2 * RATE)),
        ("own rate for 0.2 s", Lease::OwnRate(0.2 * RATE)),
        ("own rate for 1 s", Lease::OwnRate(RATE)),
    ];
    let title = format!("calls / decision (refused), {RATE} requests/s, burst {BURST}");
    let names = rules.iter().map(|(name, _)| *name);
    let header: Vec<_> = [title.as_str(), "instances"]
        .into_iter()
        .chain(names)
        .collect();
    let mut rows = Vec::new();
    for load in [0.05, 0.5, 0.95] {
        for instances in [1, 2, 4, 8, 32] {
            let cells = rules.iter().map(|(_, rule)| {
                let leased = model::leased(load, instances, BURST, *rule);
                format!("{:.2} ({:.1}%)", leased.calls, leased.refused * 100.0)
            });
            let names = [
                format!("a key at {:.0}% of its rate", load * 100.0),
                instances.to_string(),
            ];
            rows.push(names.into_iter().chain(cells).collect::<Vec<_>>());
        }
    }
    report::write("performance.md", "leases", &report::table(&header, &rows));
}
