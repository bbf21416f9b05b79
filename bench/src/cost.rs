//! What decisions cost on AWS, from the units that they were seen to consume.

use tollgate_tests::proxy::Call;

use crate::report;

/// Prices of `us-east-1` in dollars per million, as AWS's pages have them.
const WRITE_UNITS: f64 = 0.625;
const READ_UNITS: f64 = 0.125;
const HTTP_API_REQUESTS: f64 = 1.00;
const REST_API_REQUESTS: f64 = 3.50;
const LAMBDA_REQUESTS: f64 = 0.20;
/// A second of a GB on arm64, not per million.
const LAMBDA_SECOND: f64 = 0.000_013_333_4;
/// An authorizer's memory in GB, and the time it is billed for: generous beside what is measured here.
const MEMORY: f64 = 0.125;
const SECONDS: f64 = 0.010;

/// What a decision consumes under a plan.
pub(crate) struct Cost {
    pub(crate) shape: String,
    pub(crate) calls: f64,
    /// Capacity units.
    pub(crate) written: f64,
    pub(crate) read: f64,
}

/// Units of these calls. A condition that does not hold costs a unit for each KB, and the answer does not say so; meters are
/// under 1 KB here.
pub(crate) fn units<'a>(calls: impl IntoIterator<Item = &'a Call>) -> f64 {
    let of_one = |call: &Call| call.capacity + f64::from(u8::from(call.refused));
    // A sum of nothing would be -0.
    calls
        .into_iter()
        .map(of_one)
        .fold(0.0, |sum, units| sum + units)
}

/// Dollars per million admitted requests.
pub(crate) fn table(costs: &[Cost]) -> String {
    let header = [
        "a plan with",
        "calls",
        "write units",
        "read units",
        "DynamoDB $",
        "HTTP API and authorizer $",
        "in process $",
        "REST API's own usage plans $",
    ];
    let duration = MEMORY * SECONDS * LAMBDA_SECOND * 1e6;
    let rows: Vec<_> = costs
        .iter()
        .map(|cost| {
            let store = cost.written * WRITE_UNITS + cost.read * READ_UNITS;
            let authorizer = HTTP_API_REQUESTS + LAMBDA_REQUESTS + duration + store;
            let units = [cost.calls, cost.written, cost.read].map(|units| format!("{units:.3}"));
            let dollars = [store, authorizer, store, REST_API_REQUESTS];
            let dollars = dollars.map(|dollars| format!("{dollars:.2}"));
            [vec![cost.shape.clone()], units.to_vec(), dollars.to_vec()].concat()
        })
        .collect();
    report::table(&header, &rows)
}
