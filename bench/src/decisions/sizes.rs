//! Decisions in tables of different sizes: they have to be flat.

use tollgate_core::calendar::PeriodKind;
use tollgate_tests::stores::{Kind, Store};
use tollgate_tests::world::{make_plan, manager, plan};

use crate::fill;
use crate::report;
use crate::stores::{self, kinds};
use crate::subject::{Program, Round, Subject, request};

const ROUNDS: usize = 5;
const REQUESTS: usize = 600;

/// A table and what a steady decision in it took.
pub(crate) struct Row {
    kind: Kind,
    keys: usize,
    steady: Round,
}

pub(crate) async fn measure(full: bool) -> Vec<Row> {
    let mut sizes = vec![1_000, 100_000];
    if full {
        sizes.push(1_000_000);
    }
    let mut rows = Vec::new();
    for kind in kinds() {
        let mut tables = Vec::new();
        for &keys in &sizes {
            let store = Store::new(kind).await;
            let manager = manager(&store).await;
            let limits = plan(
                Some((5_000.0, 10_000)),
                Some((1_000_000_000, PeriodKind::Month)),
            );
            let plan = make_plan(&manager, limits).await;
            let values = fill::values(keys);
            fill::import(&manager, &plan.id, &values).await;
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
