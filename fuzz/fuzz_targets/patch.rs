//! Any JSON as the body of an update, for each resource. Changes that a plan takes leave a plan that is valid or refused.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tollgate_admin::input::PlanEdit;
use tollgate_api::Patch;
use tollgate_core::plan::Plan;
use tollgate_dynamo::item::plan::PlanRecord;
use tollgate_keys::patch::paths::{API_KEY, USAGE, USAGE_PLAN};
use tollgate_keys::patch::{plan, read};

fn empty_plan() -> PlanRecord {
    PlanRecord {
        id: "plan".into(),
        revision: 1,
        deleted: false,
        name: "plan".to_owned(),
        description: None,
        product_code: None,
        tags: Default::default(),
        created: Default::default(),
        limits: Plan::default(),
    }
}

fuzz_target!(|json: &[u8]| {
    let patch = || serde_json::from_slice::<Patch>(json).ok();
    for paths in [API_KEY, USAGE] {
        let _ = patch().map(|patch| read(patch, paths));
    }
    let Some(Ok(changes)) = patch().map(|patch| read(patch, USAGE_PLAN)) else {
        return;
    };
    let mut record = empty_plan();
    let mut edit = PlanEdit::of(&record);
    for change in &changes {
        if plan::apply(change, &mut edit).is_err() {
            return;
        }
    }
    let draft = edit.finish();
    if draft.clone().apply(&mut record).is_ok() {
        // A valid plan says of itself what it was said to be.
        let mut again = record.clone();
        PlanEdit::of(&record).finish().apply(&mut again).expect("a stored plan is valid");
        assert_eq!(again, record);
    }
});
