//! Any JSON as the body of an update, for each resource; what may be applied to a plan is applied to one.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tollgate_keys::patch::plan::Patched;
use tollgate_keys::patch::{API_KEY, Patch, USAGE, USAGE_PLAN};
use tollgate_keys::wire::plan::UsagePlan;

fuzz_target!(|json: &[u8]| {
    let read = || serde_json::from_slice::<Patch>(json).ok();
    for paths in [API_KEY, USAGE] {
        let _ = read().map(|patch| patch.read(paths));
    }
    let Some(Ok(operations)) = read().map(|patch| patch.read(USAGE_PLAN)) else {
        return;
    };
    let mut plan = Patched::of(UsagePlan::default());
    for operation in &operations {
        let _ = plan.apply(operation);
    }
    serde_json::to_string(&plan.into_plan()).expect("a patched plan can be shown");
});
