//! Decisions in tables of different sizes: the size must not matter.

use tollgate_tests::stores::{Kind, Store};
use tollgate_tests::world::{admin, plan};

use crate::fill;
use crate::report;
use crate::stores::{self, kinds};
use crate::subject::{Program, Round, Subject, request};

const ROUNDS: usize = 5;
const REQUESTS: usize = 600;

/// A table and the times of steady decisions in it.
pub(crate) struct Row {
    kind: Kind,
    keys: usize,
    steady: Round,
}

pub(crate) async fn measure(full: bool) -> Vec<Row> {
    let mut rows = Vec::new();
    for kind in kinds() {
        let mut tables = Vec::new();
        for keys in fill::sizes(full) {
            let store = Store::new(kind).await;
            let limits = plan(fill::THROTTLE, fill::QUOTA);
            let (_, values) = fill::table(&admin(&store).await, limits, keys).await;
            let request = request(&values[keys / 2]);
            let subject = Subject::start(Program::Authorizer, &store).await;
            subject.round(&request, REQUESTS).await;
            tables.push((keys, request, subject, Vec::new()));
        }
        for _ in 0..ROUNDS {
            for (_, request, subject, rounds) in &mut tables {
                rounds.push(subject.round(request, REQUESTS).await);
            }
        }
        rows.extend(tables.into_iter().map(|(keys, _, _, rounds)| Row {
            kind,
            keys,
            steady: Round::median(&rounds),
        }));
    }
    rows
}

pub(crate) fn table(rows: &[Row]) -> String {
    let header = [
        "steady decisions",
        "keys in the table",
        "p50 ms",
        "p95 ms",
        "p99 ms",
        "CPU ms",
    ];
    let rows: Vec<_> = rows
        .iter()
        .map(|row| {
            let names = [stores::name(row.kind).to_owned(), row.keys.to_string()];
            names
                .into_iter()
                .chain(row.steady.cells())
                .collect::<Vec<_>>()
        })
        .collect();
    report::table(&header, &rows)
}
