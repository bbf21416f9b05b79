//! A fleet of instances under faults, in simulated time. `tollgate-bench simulate` runs the same for longer.

use tollgate_tests::simulation::{Faults, Scenario};

/// Decisions of a run here.
const DECISIONS: usize = 1_500;

#[test]
fn whatever_goes_wrong_on_the_way_every_promise_is_kept() {
    let mut admitted = 0;
    for seed in 0..12 {
        let summary = Scenario::new(seed, DECISIONS).run();
        admitted += summary.unwrap_or_else(|broken| panic!("{broken}")).admitted;
    }
    assert!(
        admitted > 1_000,
        "only {admitted} admitted: nothing was tried"
    );
}

#[test]
fn a_seed_gives_the_same_run_again() {
    let run = || Scenario::new(7, DECISIONS).run();
    assert_eq!(run(), run());
}

#[test]
fn a_store_that_forgets_conditions_is_found_out() {
    let faults = Faults {
        ignores_conditions: true,
        ..Faults::default()
    };
    let scenario = Scenario {
        faults: Some(faults),
        ..Scenario::new(1, DECISIONS)
    };
    let broken = scenario.run().expect_err("promises are broken");
    assert!(broken.contains("holds more than"), "{broken}");
}

#[test]
fn where_nothing_goes_wrong_nothing_is_refused_that_has_room() {
    for seed in 100..108 {
        let summary = Scenario::calm(seed, DECISIONS).run();
        let summary = summary.unwrap_or_else(|broken| panic!("{broken}"));
        let contended = summary.reasons.get("contended");
        assert_eq!(contended, None, "seed {seed}");
    }
}
