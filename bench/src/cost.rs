//! What decisions cost on AWS, from the units that they were seen to consume.

use crate::decisions::loads::Row;
use crate::report;
use crate::statistics::count;

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

/// Dollars per million requests of each load.
pub(crate) fn table(rows: &[Row]) -> String {
    let header = [
        "dollars per million requests",
        "DynamoDB",
        "HTTP API with the authorizer",
        "in process, no API",
        "REST API with its own usage plans",
    ];
    let duration = MEMORY * SECONDS * LAMBDA_SECOND * 1e6;
    let rows: Vec<_> = rows
        .iter()
        .map(|row| {
            let units = row.written * WRITE_UNITS + row.read * READ_UNITS;
            let store = units / count(row.decisions);
            let authorizer = HTTP_API_REQUESTS + LAMBDA_REQUESTS + duration + store;
            let dollars = [store, authorizer, store, REST_API_REQUESTS];
            let dollars = dollars.map(|dollars| format!("{dollars:.2}"));
            [vec![row.load.clone()], dollars.to_vec()].concat()
        })
        .collect();
    report::table(&header, &rows)
}
