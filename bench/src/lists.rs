//! Pages of the management API's lists in tables of different sizes: the cost of a page must depend only on what it shows.

use std::time::Instant;

use clap::Args;
use itertools::Itertools;
use serde_json::{Value, json};
use tollgate_core::calendar::PeriodKind;
use tollgate_tests::api::{Api, text};
use tollgate_tests::proxy::Proxy;
use tollgate_tests::stores::{Kind, Store};
use tollgate_tests::world::{admin, plan};

use crate::statistics::median;
use crate::stores::{kinds, name};
use crate::subject::milliseconds;
use crate::{fill, report};

/// How often each page is read.
const ROUNDS: usize = 21;

/// `tollgate-bench lists`.
#[derive(Debug, Args)]
pub(crate) struct Lists {
    /// A table of a million keys as well; it takes some 6 GB of memory
    #[arg(long)]
    pub(crate) full: bool,
}

/// The cost of a page.
struct Cost {
    calls: usize,
    /// Read units.
    capacity: f64,
    milliseconds: f64,
}

impl Lists {
    pub(crate) async fn run(&self) {
        let sizes = fill::sizes(self.full);
        let mut report = String::new();
        for kind in kinds() {
            let mut columns = Vec::new();
            for size in &sizes {
                columns.push(measure(kind, *size).await);
            }
            report += &table(name(kind), &sizes, &columns);
        }
        report::write("performance.md", "lists", &report);
    }
}

/// Each list with the cost of a page of 25, in a table of `size` keys, all in one plan.
async fn measure(kind: Kind, size: usize) -> Vec<(&'static str, Cost)> {
    let store = Store::new(kind).await;
    let limits = plan(Some((10.0, 20)), Some((1_000, PeriodKind::Month)));
    let (plan, _) = fill::table(&admin(&store).await, limits, size).await;
    let api = Api::on(store.clone()).await;
    add_few(&api).await;
    let proxy = Proxy::to(&store.endpoint).await;
    let counted = Api::on(store.through(&proxy.endpoint)).await;
    let mut costs = Vec::new();
    for (name, list) in lists(&plan.id) {
        // The second page, because the first may cost less.
        let first = api.get(&format!("{list}&limit=25")).await;
        let page = format!("{list}&limit=25&position={}", text(&first["position"]));
        proxy.take_calls();
        let entries = entries(&counted.get(&page).await);
        assert_eq!(entries, 25, "{page}");
        let calls = proxy.take_calls();
        let cost = Cost {
            calls: calls.len(),
            capacity: calls.iter().map(|call| call.capacity).sum(),
            milliseconds: time(&api, &page).await,
        };
        costs.push((name, cost));
    }
    costs
}

/// Adds a hundred keys of two customers, with names of their own.
async fn add_few(api: &Api) {
    for number in 0..100 {
        let customer = format!("customer-{}", number % 2);
        let key = json!({ "name": format!("few-{number}"), "customerId": customer });
        api.key(key).await;
    }
}

/// The lists, each with its path and the start of its query.
fn lists(plan: &str) -> [(&'static str, String); 7] {
    let keys = format!("/usageplans/{plan}/keys");
    let today = jiff::Timestamp::now().strftime("%F").to_string();
    let usage = format!("/usageplans/{plan}/usage?startDate={today}&endDate={today}");
    let all_keys = |query: &str| format!("/apikeys?{query}");
    [
        ("keys", all_keys("name=")),
        ("keys, a prefix that all have", all_keys("name=key-")),
        ("keys, a prefix that 100 have", all_keys("name=few-")),
        ("keys of a customer", all_keys("customerId=customer-1")),
        ("a plan's keys", format!("{keys}?name=")),
        (
            "a plan's keys, a prefix that all have",
            format!("{keys}?name=key-"),
        ),
        ("usage of a plan's keys, a day", usage),
    ]
}

/// The median time to read a page, in milliseconds.
async fn time(api: &Api, page: &str) -> f64 {
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let started = Instant::now();
        api.get(page).await;
        times.push(milliseconds(started.elapsed()));
    }
    median(times)
}

fn entries(page: &Value) -> usize {
    let items = page["item"].as_array().map(Vec::len);
    let values = page["values"].as_object().map(serde_json::Map::len);
    items.or(values).unwrap_or(0)
}

fn table(store: &str, sizes: &[usize], columns: &[Vec<(&'static str, Cost)>]) -> String {
    // The calls at every size come first, then the units, then the times.
    let names: Vec<_> = ["calls", "read units", "ms"]
        .into_iter()
        .cartesian_product(sizes)
        .map(|(what, size)| format!("{what}, {size} keys"))
        .collect();
    let header: Vec<_> = [store]
        .into_iter()
        .chain(names.iter().map(String::as_str))
        .collect();
    let figures: [fn(&Cost) -> String; 3] = [
        |cost| cost.calls.to_string(),
        |cost| cost.capacity.to_string(),
        |cost| format!("{:.1}", cost.milliseconds),
    ];
    let row = |(row, (list, _)): (usize, &(&str, Cost))| {
        let cells = figures
            .iter()
            .flat_map(|figure| columns.iter().map(|column| figure(&column[row].1)));
        [(*list).to_owned()]
            .into_iter()
            .chain(cells)
            .collect::<Vec<_>>()
    };
    let rows: Vec<_> = columns[0].iter().enumerate().map(row).collect();
    report::table(&header, &rows)
}
