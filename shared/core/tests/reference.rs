//! The engine against a slow, obvious model that shares no code with it, and properties that hold for any plans, clocks
//! and edits.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

#[expect(unreachable_pub, reason = "shared with the tests of the store")]
mod support;

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use jiff::civil::{Date, Weekday};
use jiff::{Timestamp, ToSpan};
use proptest::prelude::*;
use tollgate_core::bucket::Bucket;
use tollgate_core::calendar::PeriodKind;
use tollgate_core::charge::{ChargeRequest, History, Refusal, Step, charge};
use tollgate_core::limit::Quota;
use tollgate_core::meter::Meter;
use tollgate_core::plan::{BucketId, Limits, PLAN_BUCKET};
use tollgate_core::sharing::Tactic;
use tollgate_core::verdict::Reason;

const SECOND: i128 = 1_000_000_000;
const DAY: i128 = 86_400 * SECOND;
static ALONE: BTreeMap<BucketId, Tactic> = BTreeMap::new();

/// Limits as the model sees them: nothing but numbers.
#[derive(Debug, Clone, PartialEq)]
struct Plan {
    /// Pace (nanoseconds per request) and burst.
    rate: Option<(i128, u32)>,
    /// Of each of two methods.
    methods: [Option<(i128, u32)>; 2],
    quota: Option<(u64, PeriodKind, u8)>,
}

impl Plan {
    fn limits(&self, method: usize) -> Limits {
        let bucket = |(interval, burst)| Bucket::new(interval, burst);
        Limits {
            rate: self.rate.map(bucket),
            method: self.methods[method].map(|limit| (format!("m{method}"), bucket(limit))),
            quota: self
                .quota
                .map(|(limit, kind, offset)| Quota::new(limit, kind, i64::from(offset)).unwrap()),
        }
    }
}

/// Limits that may be others from a day on, without a revision that says so: a key's own, which end.
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

/// The model: a log of what was admitted, day by day, and buckets of water that drain a drop per nanosecond.
#[derive(Debug, Clone, Default)]
struct Model {
    admitted: BTreeMap<Date, u64>,
    day: Option<Date>,
    water: BTreeMap<String, Water>,
}

#[derive(Debug, Clone, Copy)]
struct Water {
    clear_archived: i128,
    at: i128,
    /// Drops per request.
    pace: i128,
}

impl Model {
    /// `Ok`, or why not and from when on.
    fn decide(
        &mut self,
        plan: &Plan,
        method: usize,
        cost: u32,
        now: i128,
    ) -> Result<(), (Reason, Option<i128>)> {
        let day = date(now).max(self.day.unwrap_or(Date::MIN));
        let mut refusals = Vec::new();
        let mut converted = false;
        let mut water = self.water.clone();
        let buckets = [
            (PLAN_BUCKET.to_owned(), plan.rate, Reason::Rate),
            (
                format!("m{method}"),
                plan.methods[method],
                Reason::MethodRate,
            ),
        ];
        for (id, limit, reason) in &buckets {
            let Some((pace, burst)) = *limit else {
                continue;
            };
            let full = pace * i128::from(burst);
            let mut clear_archived = 0;
            if let Some(known) = water.get(id) {
                clear_archived = (known.clear_archived - (now - known.at)).max(0);
                if known.pace != pace && clear_archived > 0 {
                    converted = true;
                    let owed = (clear_archived * pace + known.pace - 1) / known.pace;
                    clear_archived = owed.min(full);
                    water.insert(
                        id.clone(),
                        Water {
                            clear_archived,
                            at: now,
                            pace,
                        },
                    );
                }
            }
            let wanted = pace * i128::from(cost);
            if burst == 0 {
                refusals.push((*reason, None));
            } else if wanted > full {
                refusals.push((Reason::CostExceedsBurst, None));
            } else if clear_archived + wanted > full {
                refusals.push((*reason, Some(now + clear_archived + wanted - full)));
            }
        }
        if let Some((limit, kind, offset)) = plan.quota {
            let (start, end) = period(day, kind, offset);
            let spent: u64 = self
                .admitted
                .range(start..end)
                .map(|(_, count)| count)
                .sum();
            if u64::from(cost) > limit {
                refusals.push((Reason::Quota, None));
            } else if spent + u64::from(cost) > limit {
                refusals.push((Reason::Quota, Some(midnight(end))));
            }
        }
        let ends = |until: &Option<i128>| until.unwrap_or(i128::MAX);
        let worst = refusals.into_iter().max_by_key(|(_, until)| ends(until));
        if let Some((reason, until)) = worst {
            if until.is_some() {
                self.water = water;
                // That was written down, and with it the day.
                if converted {
                    self.day = Some(day);
                }
            }
            return Err((reason, until));
        }
        self.water = water;
        for (id, limit, _) in buckets {
            let Some((pace, _)) = limit else { continue };
            let known = self.water.get(&id);
            let clear_archived =
                known.map_or(0, |known| (known.clear_archived - (now - known.at)).max(0));
            let clear_archived = clear_archived + pace * i128::from(cost);
            self.water.insert(
                id,
                Water {
                    clear_archived,
                    at: now,
                    pace,
                },
            );
        }
        self.day = Some(day);
        *self.admitted.entry(day).or_default() += u64::from(cost);
        Ok(())
    }
}

fn date(now: i128) -> Date {
    let days = i64::try_from(now.div_euclid(DAY)).unwrap();
    Date::constant(1970, 1, 1).saturating_add(days.days())
}

fn midnight(day: Date) -> i128 {
    let days = Date::constant(1970, 1, 1).until(day).unwrap().get_days();
    i128::from(days) * DAY
}

/// Looks at every day until one starts a period.
fn period(day: Date, kind: PeriodKind, offset: u8) -> (Date, Date) {
    let starts = |day: &Date| match kind {
        PeriodKind::Day => true,
        PeriodKind::Week => {
            let sunday = day.weekday() == Weekday::Sunday;
            let number = if sunday {
                0
            } else {
                day.weekday().to_monday_one_offset()
            };
            u8::try_from(number).unwrap() == offset
        }
        PeriodKind::Month => u8::try_from(day.day()).unwrap() == offset + 1,
    };
    let mut start = day;
    while !starts(&start) {
        start = start.yesterday().unwrap();
    }
    let mut end = day.tomorrow().unwrap();
    while !starts(&end) {
        end = end.tomorrow().unwrap();
    }
    (start, end)
}

/// A store with one meter, the closed days beside it, and instances that remember what they last saw of it.
#[derive(Debug, Clone)]
struct World {
    stored: Meter,
    days: BTreeMap<Date, u64>,
    seen: Vec<(Meter, Option<Date>, Option<History>)>,
    writes: usize,
}

impl World {
    fn new(day: Date, instances: usize) -> Self {
        let meter = Meter::new(1, 0, day, None);
        Self {
            seen: vec![(meter.clone(), None, None); instances],
            stored: meter,
            days: BTreeMap::new(),
            writes: 0,
        }
    }

    /// What instance `who` decides under revision `revision` of the plan; `None` where it would have to read that again.
    fn decide(
        &mut self,
        who: usize,
        (plan, revision): (&Plan, u64),
        method: usize,
        cost: u32,
        now: i128,
    ) -> Option<Result<(), Refusal>> {
        let agreed = Agreed {
            first: plan.clone(),
            then: None,
        };
        self.decide_by(who, (&agreed, revision), method, cost, now)
    }

    fn decide_by(
        &mut self,
        who: usize,
        (agreed, revision): (&Agreed, u64),
        method: usize,
        cost: u32,
        now: i128,
    ) -> Option<Result<(), Refusal>> {
        // The guesses of several may be as wrong as they like.
        let guess = Tactic {
            assume_busy: true,
            ..Tactic::default()
        };
        let guess = BTreeMap::from([(PLAN_BUCKET.to_owned(), guess)]);
        for turn in 0..8 {
            let (meter, flushed, history) = self.seen[who].clone();
            let limits = agreed.on(date(now).max(meter.day)).limits(method);
            let ask = ChargeRequest {
                now: Timestamp::from_nanosecond(now).unwrap(),
                ahead: 0,
                tolerance: i128::MAX,
                cost: NonZeroU32::new(cost).unwrap(),
                key_revision: 1,
                plan_revision: revision,
                limits: &limits,
                quota_before: agreed.on(meter.day).limits(method).quota,
                flushed,
                history,
                tactics: if turn == 0 && who > 0 && now % 3 == 0 {
                    &guess
                } else {
                    &ALONE
                },
            };
            let written = match charge(&meter, &ask) {
                Step::Charge(charge) => {
                    self.writes += 1;
                    let after = support::charged(&self.stored, &charge, None);
                    if let Some(after) = after {
                        self.stored = after.clone();
                        self.seen[who].0 = after;
                        return Some(Ok(()));
                    }
                    None
                }
                Step::RebaseBuckets(settle) => support::charged(&self.stored, &settle, None),
                Step::SyncRevisions(adopt) => support::adopted(&self.stored, adopt),
                Step::ArchiveDay(closed) => {
                    self.days.insert(closed.day, closed.count);
                    self.seen[who].1 = Some(closed.day);
                    continue;
                }
                Step::LoadHistory(period, before) => {
                    let admitted = self.between(period.start, before);
                    self.seen[who].2 = Some(History {
                        period,
                        before,
                        admitted,
                    });
                    continue;
                }
                Step::Refuse(refusal) if meter == self.stored => return Some(Err(refusal)),
                // The refusal is by what was remembered: see what is there.
                Step::Refuse(_) => None,
                Step::PlanChanged => return None,
                Step::KeyChanged => panic!("there is one revision of the key"),
            };
            if let Some(after) = written {
                self.stored = after;
            }
            self.seen[who].0 = self.stored.clone();
        }
        panic!("no decision in 8 turns");
    }

    fn between(&self, start: Date, before: Date) -> u64 {
        let mut days = self.days.clone();
        if let Some(closed) = self.stored.closed {
            days.insert(closed.day, closed.count);
        }
        days.range(start..before).map(|(_, count)| count).sum()
    }

    fn usage(&self) -> BTreeMap<Date, u64> {
        let mut days = self.days.clone();
        let closed = self.stored.closed.map(|closed| (closed.day, closed.count));
        days.extend(closed);
        days.insert(self.stored.day, self.stored.count);
        days.retain(|_, count| *count > 0);
        days
    }
}

#[derive(Debug, Clone)]
enum Event {
    /// Time goes on, or back a little: another instance's clock.
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

/// 2026-11-30T23:59:50Z: a day, a week and a month are about to turn.
const START: i128 = 1_796_083_190 * SECOND;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn the_engine_decides_and_counts_as_the_model_does(first in plans(), events in events()) {
        let mut world = World::new(date(START), 3);
        let mut model = Model { day: Some(date(START)), ..Model::default() };
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

    /// The clocks differ, and the meter's day decides: nobody goes back to the limits of a day that is over.
    #[test]
    fn limits_that_end_with_a_day_are_those_of_the_meters_day(
        first in plans(),
        then in plans(),
        days in 0..4i64,
        events in events(),
    ) {
        let mut world = World::new(date(START), 3);
        let mut model = Model { day: Some(date(START)), ..Model::default() };
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

    /// Instances learn of an edit at different times; one that has not may go on until another has. (Lowering a burst
    /// forgives what is owed beyond it, so that over two edits the bound is the sum of both.)
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
