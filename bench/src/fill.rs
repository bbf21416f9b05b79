//! Tables with many keys, and limits that are never reached.

use indicatif::ProgressBar;
use tollgate_admin::Admin;
use tollgate_admin::imports::ImportKey;
use tollgate_core::calendar::PeriodKind;
use tollgate_core::key::KeyValue;
use tollgate_core::plan::Plan;
use tollgate_dynamo::item::plan::PlanRecord;
use tollgate_tests::world::make_plan;

/// A throttle and a quota that no measurement reaches.
pub(crate) const THROTTLE: Option<(f64, u32)> = Some((5_000.0, 10_000));
pub(crate) const QUOTA: Option<(u64, PeriodKind)> = Some((1_000_000_000, PeriodKind::Month));

/// Rows in a call.
const ROWS: usize = 1_000;

/// The sizes of tables that are compared.
pub(crate) fn sizes(full: bool) -> Vec<usize> {
    let largest = full.then_some(1_000_000);
    [1_000, 100_000].into_iter().chain(largest).collect()
}

/// Fills a table with keys in one plan, and returns the plan and the keys' values.
pub(crate) async fn table(admin: &Admin, limits: Plan, keys: usize) -> (PlanRecord, Vec<String>) {
    let plan = make_plan(admin, limits).await;
    let numbers = 0..keys;
    let values = numbers.map(|number| format!("value-of-the-key-{number:08}"));
    let values: Vec<_> = values.collect();
    import(admin, &plan.id, &values).await;
    (plan, values)
}

/// Imports keys with these values into a plan. Each is named by its place.
async fn import(admin: &Admin, plan: &str, values: &[String]) {
    let bar = ProgressBar::new(values.len().try_into().expect("a size of 64 bits"));
    for (part, values) in values.chunks(ROWS).enumerate() {
        let rows = values.iter().enumerate().map(|(row, value)| ImportKey {
            row: row + 1,
            value: KeyValue::parse(value).expect("a value"),
            sealed: None,
            name: Some(format!("key-{:08}", part * ROWS + row)),
            description: None,
            enabled: Some(true),
            plans: vec![plan.into()],
            customer_id: None,
            expires: None,
            restriction: None,
            overrides: std::collections::BTreeMap::new(),
        });
        let imported = admin.import_keys(rows.collect(), Vec::new(), true, None);
        let ids = imported.await.expect("an import").ids;
        bar.inc(ids.len().try_into().expect("a few"));
    }
    bar.finish_and_clear();
}
