//! The cost of decisions on AWS, from the capacity units that they consumed.

use tollgate_tests::proxy::Call;

use crate::report;
use crate::statistics::count;

/// Prices of `us-east-1` in dollars per million, from AWS's pages.
const WRITE_UNITS: f64 = 0.625;
const READ_UNITS: f64 = 0.125;
const HTTP_API_REQUESTS: f64 = 1.00;
const REST_API_REQUESTS: f64 = 3.50;
const LAMBDA_REQUESTS: f64 = 0.20;
/// A second of a GB on arm64, not per million.
const LAMBDA_SECOND: f64 = 0.000_013_333_4;
/// An authorizer's memory in GB, and the seconds it is billed for, which are more than is measured here.
const MEMORY: f64 = 0.125;
const SECONDS: f64 = 0.010;

/// What a decision under a plan consumes.
pub(crate) struct Cost {
    pub(crate) shape: String,
    /// By each request.
    pub(crate) consumed: Consumed,
}

/// What a request consumes on average.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Consumed {
    pub(crate) calls: f64,
    /// Capacity units.
    pub(crate) written: f64,
    pub(crate) read: f64,
}

impl Consumed {
    /// The average of `requests` that made these calls. A failed condition costs a unit for each KB, though the answer does not
    /// say so; meters are under 1 KB here.
    pub(crate) fn of(requests: usize, calls: &[Call]) -> Self {
        let (mut written, mut read) = (0.0, 0.0);
        for call in calls {
            let units = call.capacity + f64::from(u8::from(call.refused));
            if call.operation == "GetItem" {
                read += units;
            } else {
                written += units;
            }
        }
        let requests = count(requests);
        Self {
            calls: count(calls.len()) / requests,
            written: written / requests,
            read: read / requests,
        }
    }

    /// Calls, write units and read units.
    pub(crate) fn cells(&self) -> [String; 3] {
        [self.calls, self.written, self.read].map(|figure| format!("{figure:.3}"))
    }
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
            let consumed = cost.consumed;
            let store = consumed.written * WRITE_UNITS + consumed.read * READ_UNITS;
            let authorizer = HTTP_API_REQUESTS + LAMBDA_REQUESTS + duration + store;
            let dollars = [store, authorizer, store, REST_API_REQUESTS];
            let dollars = dollars.map(|dollars| format!("{dollars:.2}"));
            let shape = [cost.shape.clone()].into_iter();
            shape
                .chain(consumed.cells())
                .chain(dollars)
                .collect::<Vec<_>>()
        })
        .collect();
    report::table(&header, &rows)
}
