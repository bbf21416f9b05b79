//! Flows of several instances on one meter, interleaved as a seed determines, with lost answers. The tests check that no limit
//! is exceeded, no request is charged twice, and no request is refused while it has room.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

#[expect(
    dead_code,
    unreachable_pub,
    reason = "shared with other tests, and those of the store"
)]
mod support;

use std::num::NonZeroU32;

use jiff::Timestamp;
use jiff::civil::date;
use proptest::prelude::*;
use tollgate_core::bucket::Bucket;
use tollgate_core::calendar::{PeriodKind, start_of};
use tollgate_core::flow::{Flow, Load, Next, Outcome, Reply, View, Write};
use tollgate_core::limit::{Quota, Throttle};
use tollgate_core::limits::{Limit, Limits};
use tollgate_core::meter::{Meter, Revisions};
use tollgate_core::moment::{MILLISECOND, Moment, Nanos, SECOND};
use tollgate_core::plan::Plan;
use tollgate_core::reason::Reason;
use tollgate_core::sharing::Sharing;
use tollgate_core::terms::Terms;

const REVISIONS: Revisions = Revisions { key: 1, plan: 1 };

/// What the network does with a write.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    Answered,
    /// The write is applied, and the answer is lost.
    AnswerLost,
    /// The write never arrives.
    WriteLost,
    /// The store throttles the write.
    Throttled,
}

/// An instance that decides one batch.
struct Instance {
    flow: Flow<()>,
    seen: Meter,
    sharing: Sharing,
    costs: Vec<u32>,
    is_done: bool,
}

/// The store, and the cost that it has charged.
struct Store {
    meter: Meter,
    charged: u64,
}

struct World {
    plan: Plan,
    limits: Limits,
    store: Store,
    instances: Vec<Instance>,
    now: Nanos,
}

impl World {
    fn new(burst: u32, limit: u64, batches: &[Vec<u32>]) -> Self {
        let now = start_of(date(2026, 12, 2));
        let quota = Quota::new(limit, PeriodKind::Day, 0).unwrap();
        let plan = Plan {
            throttle: Some(Throttle::new(Some(100.0), Some(burst)).unwrap()),
            quota: Some(quota),
            stages: Vec::new(),
        };
        let meter = Meter::new(1, 1, date(2026, 12, 2), Some(&quota));
        let instances = batches.iter().enumerate().map(|(number, costs)| {
            let cost = |cost: &u32| NonZeroU32::new(*cost).unwrap();
            Instance {
                flow: Flow::new(costs.iter().map(cost), &format!("lane{number}"), 1_000),
                seen: meter.clone(),
                sharing: Sharing::default(),
                costs: costs.clone(),
                is_done: false,
            }
        });
        Self {
            limits: Limits::default()
                .and(Limit::rate(Bucket::new(10 * MILLISECOND, burst)))
                .and(Limit::quota(quota)),
            instances: instances.collect(),
            store: Store { meter, charged: 0 },
            plan,
            now: now.as_nanosecond(),
        }
    }

    /// Makes the next call of one instance and moves the clock on a little.
    fn step(&mut self, which: usize, fate: Fate, draw: f64) {
        self.now += MILLISECOND / 10;
        let number = which % self.instances.len();
        let instance = &mut self.instances[number];
        let (meter, sharing) = (instance.seen.clone(), instance.sharing.clone());
        let view = view(&self.plan, &self.limits, &meter, &sharing, (self.now, draw));
        match instance.flow.next(&view) {
            Next::Done => instance.is_done = true,
            Next::Wait { .. } => {}
            Next::Load(Load::Key | Load::KeyAndPlan | Load::AgeingPlan) => {
                instance.seen = self.store.meter.clone();
                instance.flow.observe(&view, Reply::Done);
            }
            Next::Write(Write::Charge(charge, stamp)) => {
                let after = support::charged(&self.store.meter, &charge, stamp.as_ref());
                let arrives = !matches!(fate, Fate::WriteLost | Fate::Throttled);
                let is_made = arrives && after.is_some();
                if is_made {
                    self.store.meter = after.unwrap();
                    self.store.charged += u64::from(charge.cost);
                }
                instance.answer(&view, fate, is_made, &self.store.meter);
            }
            other => panic!("nothing else is needed, not {other:?}"),
        }
    }
}

/// What an instance knows at a time, with a random number.
fn view<'a>(
    plan: &'a Plan,
    limits: &'a Limits,
    meter: &'a Meter,
    sharing: &'a Sharing,
    (now, draw): (Nanos, f64),
) -> View<'a> {
    View {
        moment: Moment {
            now: Timestamp::from_nanosecond(now).unwrap(),
            ahead: 0,
            tolerance: SECOND,
        },
        meter,
        // Too old for a refusal from memory: the store has to confirm it.
        age: 20 * SECOND,
        revisions: REVISIONS,
        terms: Terms {
            plan,
            restriction: None,
            overrides: None,
        },
        limits,
        archived: None,
        history: None,
        sharing,
        draw,
    }
}

impl Instance {
    fn answer(&mut self, view: &View<'_>, fate: Fate, is_made: bool, meter: &Meter) {
        let reply = match fate {
            Fate::Throttled => Reply::Throttled(()),
            Fate::AnswerLost | Fate::WriteLost => Reply::Indeterminate(()),
            Fate::Answered if is_made => Reply::Applied(meter),
            Fate::Answered => Reply::ConditionFailed(Some(meter)),
        };
        self.flow.observe(view, reply);
        if fate == Fate::Answered {
            self.seen = meter.clone();
        }
    }
}

/// What became of all requests.
#[derive(Default)]
struct Sums {
    /// The cost that was admitted.
    admitted: u64,
    /// The cost of requests of which nobody knows whether they were charged, and that were refused for it.
    unknown: u64,
    others: Vec<Outcome<()>>,
}

fn summed_up(instances: Vec<Instance>) -> Sums {
    let mut sums = Sums::default();
    for instance in instances {
        let outcomes = instance.flow.into_outcomes();
        for (cost, outcome) in instance.costs.iter().zip(outcomes) {
            let cost = u64::from(*cost);
            match outcome {
                Outcome::Decided(verdict) if verdict.is_allowed() => sums.admitted += cost,
                Outcome::Decided(verdict) if verdict.reason == Reason::Uncertain => {
                    sums.unknown += cost;
                }
                Outcome::Failed(()) => sums.unknown += cost,
                other => sums.others.push(other),
            }
        }
    }
    sums
}

fn reasons(outcomes: &[Outcome<()>]) -> impl Iterator<Item = Reason> {
    outcomes.iter().filter_map(|outcome| match outcome {
        Outcome::Decided(verdict) => Some(verdict.reason),
        _ => None,
    })
}

fn batches() -> impl Strategy<Value = Vec<Vec<u32>>> {
    let batch = prop::collection::vec(1..4u32, 1..5);
    prop::collection::vec(batch, 1..6)
}

fn fates() -> impl Strategy<Value = Fate> {
    prop_oneof![
        6 => Just(Fate::Answered),
        1 => Just(Fate::AnswerLost),
        1 => Just(Fate::WriteLost),
        1 => Just(Fate::Throttled),
    ]
}

/// One instance whose batch of two requests has lost a call.
fn with_a_lost_call(fate: Fate) -> World {
    let mut world = World::new(100, 100, &[vec![1, 1]]);
    world.step(0, fate, 0.5);
    world
}

#[test]
fn what_is_admitted_after_a_lost_answer_stays_admitted_when_the_key_or_plan_changes() {
    for fate in [Fate::AnswerLost, Fate::WriteLost] {
        let mut world = with_a_lost_call(fate);
        world.step(0, Fate::Answered, 0.5);
        world.instances[0].flow.restart();
        let charged = world.store.charged;
        let sums = summed_up(world.instances);
        assert_eq!((charged, sums.admitted, sums.unknown), (2, 2, 0));
        assert_eq!(sums.others, []);
    }
}

#[test]
fn a_lost_write_whose_limits_no_longer_apply_is_uncertain() {
    for fate in [Fate::AnswerLost, Fate::WriteLost] {
        let mut world = with_a_lost_call(fate);
        world.instances[0].flow.restart();
        let sums = summed_up(world.instances);
        assert_eq!((sums.admitted, sums.unknown), (0, 2));
    }
}

#[test]
fn a_write_that_a_change_of_the_key_has_kept_out_is_decided_again() {
    let mut world = with_a_lost_call(Fate::WriteLost);
    world.store.meter.revisions.key += 1;
    // The write fails, and the next call reads the key.
    for _ in 0..2 {
        world.step(0, Fate::Answered, 0.5);
    }
    assert_eq!(world.store.charged, 0);
    let sums = summed_up(world.instances);
    let again = Outcome::Again { reread: true };
    assert_eq!(sums.others, [again.clone(), again]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn whatever_is_lost_nothing_is_over_and_what_is_charged_is_admitted_or_uncertain(
        batches in batches(),
        (burst, limit) in (1..40u32, 1..40u64),
        steps in prop::collection::vec((0..6usize, fates(), 0.0..1.0f64), 0..300),
    ) {
        let mut world = World::new(burst, limit, &batches);
        for (which, fate, draw) in steps {
            world.step(which, fate, draw);
        }
        // To the end, without further losses.
        for which in 0..batches.len() * 12 {
            world.step(which, Fate::Answered, 0.5);
        }
        let elapsed = world.now - start_of(date(2026, 12, 2)).as_nanosecond();
        let regained = u64::try_from(elapsed / (10 * MILLISECOND)).unwrap();
        prop_assert!(world.store.charged <= limit);
        prop_assert!(world.store.charged <= u64::from(burst) + regained);
        prop_assert_eq!(world.store.meter.count, world.store.charged);
        let (charged, sums) = (world.store.charged, summed_up(world.instances));
        prop_assert!(sums.admitted <= charged, "{} of {charged} admitted", sums.admitted);
        // A charge without an admission is one of which nobody knows.
        prop_assert!(charged <= sums.admitted + sums.unknown, "{charged} charged");
    }

    #[test]
    fn while_every_call_is_answered_nothing_with_room_is_refused_and_usage_is_what_was_admitted(
        batches in batches(),
        order in prop::collection::vec((0..6usize, 0.0..1.0f64), 400),
    ) {
        // There is room for all requests.
        let mut world = World::new(100, 100, &batches);
        for (which, draw) in order {
            world.step(which, Fate::Answered, draw);
        }
        let done: Vec<_> = world.instances.iter().map(|instance| instance.is_done).collect();
        let charged = world.store.charged;
        let Sums { admitted, unknown, others } = summed_up(world.instances);
        prop_assert_eq!((admitted, unknown), (charged, 0));
        for reason in reasons(&others) {
            prop_assert!(reason == Reason::Contended, "{reason} with room");
        }
        // A batch can lose all of its four attempts only if there are four other batches.
        if batches.len() < 5 && done.iter().all(|is_done| *is_done) {
            prop_assert_eq!(reasons(&others).count(), 0);
        }
    }
}
