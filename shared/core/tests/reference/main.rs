//! Compares the charge rules with a slow, obvious model that shares no code with them, and checks properties that hold for any
//! plans, clocks and edits.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

#[expect(unreachable_pub, reason = "parts of this test")]
mod model;
#[path = "../support/mod.rs"]
#[expect(unreachable_pub, reason = "shared with the tests of the store")]
mod support;
#[expect(unreachable_pub, reason = "parts of this test")]
mod world;

use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};
use proptest::prelude::*;
use tollgate_core::bucket::Bucket;
use tollgate_core::calendar::PeriodKind;
use tollgate_core::charge::Refusal;
use tollgate_core::limit::Quota;
use tollgate_core::limits::{Limit, Limits};

use model::{DAY, Model, date};
use world::World;

const SECOND: i128 = 1_000_000_000;

/// Limits as the model sees them, in plain numbers.
#[derive(Debug, Clone, PartialEq)]
struct Plan {
    /// Pace (nanoseconds per request) and burst.
    rate: Option<(i128, u32)>,
    /// The throttle of each of two methods.
    methods: [Option<(i128, u32)>; 2],
    quota: Option<(u64, PeriodKind, u8)>,
}

impl Plan {
    fn limits(&self, method: usize) -> Limits {
        let bucket = |(interval, burst)| Bucket::new(interval, burst);
        let method_bucket = self.methods[method].map(bucket);
        let quota = self
            .quota
            .map(|(limit, kind, offset)| Quota::new(limit, kind, i64::from(offset)).unwrap());
        Limits::default()
            .and(self.rate.map(bucket).map(Limit::rate))
            .and(method_bucket.map(|bucket| Limit::method(format!("m{method}"), bucket)))
            .and(quota.map(Limit::quota))
    }
}

/// Limits that may change on a given day without a new revision, as a key's overrides do when they end.
#[derive(Debug, Clone)]
struct Agreed {
    first: Plan,
    then: Option<(Date, Plan)>,
}

impl Agreed {
    fn on(&self, day: Date) -> &Plan {
        match &self.then {
            Some((from, then)) if day >= *from => then,
            _ => &self.first,
        }
    }
}

#[derive(Debug, Clone)]
enum Event {
    /// Time passes, or goes back a little as it does with another instance's clock.
    Pass(i128),
    Edit(Plan),
    ChargeRequest {
        who: usize,
        method: usize,
        cost: u32,
    },
}

fn throttles() -> impl Strategy<Value = Option<(i128, u32)>> {
    let pace = prop_oneof![
        Just(SECOND),
        Just(333_333_334),
        1..=10i128,
        SECOND..DAY,
        Just(1_000_000 * SECOND),
    ];
    proptest::option::weighted(0.7, (pace, prop_oneof![0..8u32, Just(1_000)]))
}

fn quotas() -> impl Strategy<Value = Option<(u64, PeriodKind, u8)>> {
    let kind = prop_oneof![
        Just(PeriodKind::Day),
        Just(PeriodKind::Week),
        Just(PeriodKind::Month)
    ];
    let quota = (0..25u64, kind, 0..28u8);
    let quota =
        quota.prop_map(|(limit, kind, offset)| (limit, kind, offset % (kind.max_offset() + 1)));
    proptest::option::weighted(0.7, quota)
}

fn plans() -> impl Strategy<Value = Plan> {
    (throttles(), throttles(), throttles(), quotas()).prop_map(|(rate, first, second, quota)| {
        Plan {
            rate,
            methods: [first, second],
            quota,
        }
    })
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let pass = prop_oneof![
        4 => 0..3 * SECOND,
        1 => -SECOND..0,
        2 => 0..DAY,
        1 => 0..40 * DAY,
    ];
    let event = prop_oneof![
        6 => (0..3usize, 0..2usize, 1..4u32).prop_map(|(who, method, cost)| Event::ChargeRequest { who, method, cost }),
        3 => pass.prop_map(Event::Pass),
        1 => plans().prop_map(Event::Edit),
    ];
    proptest::collection::vec(event, 1..120)
}

/// 2026-11-30T23:59:50Z, ten seconds before a day, a week and a month end.
const START: i128 = 1_796_083_190 * SECOND;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn the_engine_decides_and_counts_as_the_model_does(first in plans(), events in events()) {
        let mut world = World::new(date(START), 3);
        let mut model = Model::starting(date(START));
        let (mut plan, mut revision, mut now) = (first, 1, START);
        for event in events {
            match event {
                Event::Pass(time) => now += time,
                Event::Edit(edited) => { plan = edited; revision += 1; }
                Event::ChargeRequest { who, method, cost } => {
                    let expected = model.decide(&plan, method, cost, now);
                    let got = world.decide(who, (&plan, revision), method, cost, now).unwrap();
                    let got = got.map_err(|refusal| (
                        refusal.reason,
                        refusal.until.map(Timestamp::as_nanosecond),
                    ));
                    prop_assert_eq!(got, expected);
                    prop_assert_eq!(world.usage(), model.admitted.clone());
                }
            }
        }
    }

    /// If clocks differ, the meter's day decides: no instance goes back to the limits of a day that is over.
    #[test]
    fn limits_that_end_with_a_day_are_those_of_the_meters_day(
        first in plans(),
        then in plans(),
        days in 0..4i64,
        events in events(),
    ) {
        let mut world = World::new(date(START), 3);
        let mut model = Model::starting(date(START));
        let from = date(START).saturating_add(days.days());
        let agreed = Agreed { first, then: Some((from, then)) };
        let mut now = START;
        for event in events {
            match event {
                Event::Pass(time) => now += time,
                Event::Edit(_) => {}
                Event::ChargeRequest { who, method, cost } => {
                    let day = date(now).max(model.day.unwrap());
                    let expected = model.decide(agreed.on(day), method, cost, now);
                    let got = world.decide_by(who, (&agreed, 1), method, cost, now).unwrap();
                    let got = got.map_err(|refusal| (
                        refusal.reason,
                        refusal.until.map(Timestamp::as_nanosecond),
                    ));
                    prop_assert_eq!(got, expected);
                    prop_assert_eq!(world.usage(), model.admitted.clone());
                }
            }
        }
    }

    #[test]
    fn a_refusal_holds_until_exactly_its_end_and_not_longer(
        plan in plans(),
        events in events(),
        method in 0..2usize,
        cost in 1..4u32,
    ) {
        let mut world = World::new(date(START), 3);
        let mut now = START;
        for event in events {
            match event {
                Event::Pass(time) => now += time.abs(),
                Event::Edit(_) => {}
                Event::ChargeRequest { who, method, cost } => drop(world.decide(who, (&plan, 1), method, cost, now)),
            }
        }
        if let Some(Err(Refusal { until: Some(until), .. })) = world.decide(0, (&plan, 1), method, cost, now) {
            let until = until.as_nanosecond();
            prop_assert!(until > now);
            let before = world.clone().decide(0, (&plan, 1), method, cost, until - 1).unwrap();
            prop_assert!(before.is_err());
            let then = world.decide(0, (&plan, 1), method, cost, until).unwrap();
            prop_assert_eq!(then, Ok(()));
        }
    }

    /// Instances learn of an edit at different times. An instance that has not learned of it may go on under the old limits
    /// until another instance has. (Lowering a burst forgives the debt beyond it, so across two edits the bound is the sum of
    /// both.)
    #[test]
    fn across_an_edit_nothing_goes_over_the_larger_limit_and_the_larger_burst(
        plans in proptest::collection::vec(plans(), 2),
        asks in proptest::collection::vec((0..3usize, 0..2usize, 1..4u32, 0..2usize), 1..150),
    ) {
        let mut world = World::new(date(START), 3);
        let mut admitted = 0;
        for (who, method, cost, known) in asks {
            let answer = world.decide(who, (&plans[known], known as u64 + 1), method, cost, START);
            if answer == Some(Ok(())) {
                admitted += u64::from(cost);
            }
        }
        let most = |limit: fn(&Plan) -> Option<u64>| plans.iter().map(|plan| limit(plan).unwrap_or(u64::MAX)).max().unwrap();
        prop_assert!(admitted <= most(|plan| plan.quota.map(|(limit, ..)| limit)));
        prop_assert!(admitted <= most(|plan| plan.rate.map(|(_, burst)| u64::from(burst))));
        prop_assert_eq!(world.usage().values().sum::<u64>(), admitted);
    }

    #[test]
    fn one_instance_never_needs_a_second_write(plan in plans(), events in events()) {
        let mut world = World::new(date(START), 1);
        let (mut now, mut admitted) = (START, 0);
        for event in events {
            match event {
                Event::Pass(time) => now += time.abs(),
                Event::Edit(_) => {}
                Event::ChargeRequest { method, cost, .. } => {
                    admitted += usize::from(world.decide(0, (&plan, 1), method, cost, now) == Some(Ok(())));
                }
            }
        }
        prop_assert_eq!(world.writes, admitted);
    }
}
