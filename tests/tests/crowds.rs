//! A busy key that several instances share: everything that has room is admitted, with few calls. In simulated time, so that
//! it does not depend on the machine.

use jiff::SignedDuration;
use std::time::Duration;
use tollgate_tests::simulation::{Crowd, Met};

/// Meets, and checks what holds for every crowd.
fn meet(crowd: &Crowd) -> Met {
    let met = crowd.meet();
    assert_eq!(met.reasons.get("contended"), None, "{crowd:?}");
    assert_eq!(met.reasons.get("uncertain"), None, "{crowd:?}");
    assert_eq!(met.refused_with_room, 0, "{crowd:?}: {:?}", met.reasons);
    met
}

#[expect(clippy::cast_precision_loss, reason = "counts of a test")]
fn tries(met: &Met) -> f64 {
    met.tries as f64 / met.decisions as f64
}

#[test]
fn eight_instances_at_two_thirds_of_a_rate_are_refused_nothing() {
    let met = meet(&Crowd::default());
    assert!(met.over <= 0.0, "over by {} requests", met.over);
    assert!(tries(&met) <= 1.10, "{} tries", tries(&met));
    assert!(met.most_tries <= 3, "{} tries", met.most_tries);
}

#[test]
fn twelve_instances_at_half_of_a_rate_are_refused_nothing() {
    let met = meet(&Crowd {
        instances: 12,
        load: 500.0,
        throttle: (1_000.0, 1_000),
        ..Crowd::default()
    });
    assert!(met.over <= 0.0, "over by {} requests", met.over);
    assert!(tries(&met) <= 1.10, "{} tries", tries(&met));
}

#[test]
fn a_slow_store_and_many_instances_refuse_nothing_either() {
    for (instances, load, throttle) in [
        (32, 47.0, (50.0, 50)),
        (4, 20.0, (100.0, 200)),
        (32, 285.0, (300.0, 300)),
        (12, 570.0, (1_000.0, 2_000)),
    ] {
        let met = meet(&Crowd {
            instances,
            load,
            throttle,
            round_trip: Duration::from_millis(20),
            ..Crowd::default()
        });
        assert!(met.over <= 0.0, "over by {} requests", met.over);
        assert!(tries(&met) <= 1.4, "{} tries", tries(&met));
    }
}

#[test]
fn a_key_that_is_seldom_used_costs_hardly_more_than_a_write_a_request() {
    for throttle in [(50.0, 50), (300.0, 600), (1_000.0, 2_000)] {
        let met = meet(&Crowd {
            load: throttle.0 * 0.05,
            throttle,
            requests: 1_000,
            ..Crowd::default()
        });
        assert!(tries(&met) <= 1.1, "{throttle:?}: {} tries", tries(&met));
    }
}

#[test]
fn sixteen_method_buckets_beside_the_plans_are_refused_nothing() {
    let met = meet(&Crowd {
        methods: 16,
        ..Crowd::default()
    });
    assert!(met.over <= 0.0, "over by {} requests", met.over);
    assert!(tries(&met) <= 1.4, "{} tries", tries(&met));
}

#[test]
fn an_instance_that_has_a_key_for_itself_needs_one_write_a_request() {
    let met = meet(&Crowd {
        instances: 1,
        load: 100.0,
        ..Crowd::default()
    });
    assert_eq!(met.tries, met.decisions);
}

#[test]
fn clocks_that_are_apart_are_not_held_against_the_caller() {
    for apart in [300, 1_000] {
        let met = meet(&Crowd {
            instances: 2,
            load: 10.0,
            throttle: (100.0, 20),
            clocks: SignedDuration::from_millis(apart),
            requests: 400,
            ..Crowd::default()
        });
        // By how far the clocks were apart.
        let apart = 2.0 * SignedDuration::from_millis(apart).as_secs_f64();
        assert!(met.over <= 100.0 * apart, "over by {} requests", met.over);
    }
}

#[test]
fn a_clock_that_steps_does_not_lock_out_the_others() {
    for step in [8, -8] {
        let met = meet(&Crowd {
            instances: 4,
            load: 40.0,
            throttle: (100.0, 20),
            step: SignedDuration::from_secs(step),
            requests: 800,
            ..Crowd::default()
        });
        let locked_out = met.right_after_a_step;
        assert!(
            locked_out <= 2,
            "{locked_out} refused after a step of {step} s"
        );
    }
}
