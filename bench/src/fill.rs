//! Tables with many keys.

use indicatif::ProgressBar;
use tollgate_core::key::KeyValue;
use tollgate_store::manage::Manager;
use tollgate_store::manage::imports::ImportKey;

/// Rows of an import.
const ROWS: usize = 1_000;

/// Imports keys with these values into a plan, each named after its place.
pub(crate) async fn import(manager: &Manager, plan: &str, values: &[String]) {
    let bar = ProgressBar::new(values.len().try_into().expect("a size of 64 bits"));
    for (part, values) in values.chunks(ROWS).enumerate() {
        let rows = values.iter().enumerate().map(|(row, value)| ImportKey {
            row: row + 1,
            value: KeyValue::parse(value).expect("a value"),
            sealed: None,
            name: Some(format!("key-{:08}", part * ROWS + row)),
            description: None,
            enabled: Some(true),
            plans: vec![plan.to_owned()],
        });
        let imported = manager.import_keys(rows.collect(), Vec::new(), true, None);
        let ids = imported.await.expect("an import").ids;
        bar.inc(ids.len().try_into().expect("a few"));
    }
    bar.finish_and_clear();
}

/// So many values for keys.
pub(crate) fn values(keys: usize) -> Vec<String> {
    let numbers = 0..keys;
    numbers
        .map(|number| format!("value-of-the-key-{number:08}"))
        .collect()
}
