//! The steps of charging, one by one: which write the rules choose, and when another call has to come first.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use jiff::Timestamp;
use jiff::civil::date;
use tollgate_core::bucket::{Bucket, Level};
use tollgate_core::calendar::{PeriodKind, start_of};
use tollgate_core::charge::{
    BucketUpdate, Charge, ChargeRequest, CloseDay, Effect, History, QuotaCharge, Refusal,
    SpentBefore, Step, charge,
};
use tollgate_core::limit::Quota;
use tollgate_core::limits::{BucketId, Limit, Limits, PLAN_BUCKET};
use tollgate_core::meter::{ClosedDay, Meter, Revisions};
use tollgate_core::moment::Moment;
use tollgate_core::reason::LimitKind;
use tollgate_core::status::LimitStatus;
use tollgate_core::tactic::Tactic;
use tollgate_core::verdict::Reason;

/// 2026-12-02, a Wednesday.
fn now() -> Timestamp {
    start_of(date(2026, 12, 2))
}

fn moment() -> Moment {
    Moment {
        now: now(),
        ahead: 0,
        tolerance: i128::MAX,
    }
}

fn ns() -> i128 {
    now().as_nanosecond()
}

fn limits(quota: Option<(u64, PeriodKind)>) -> Limits {
    let quota = quota.map(|(limit, kind)| Quota::new(limit, kind, 0).unwrap());
    Limits::default()
        .and(Limit::rate(Bucket::new(10, 5)))
        .and(quota.map(Limit::quota))
}

fn meter(limits: &Limits) -> Meter {
    Meter::new(3, 3, date(2026, 12, 2), limits.quota().as_ref())
}

fn ask(limits: &Limits) -> ChargeRequest<'_> {
    ChargeRequest {
        moment: moment(),
        cost: NonZeroU32::new(2).unwrap(),
        revisions: Revisions { key: 3, plan: 3 },
        limits,
        quota_before: limits.quota(),
        archived: None,
        history: None,
        tactics: &ALONE,
    }
}

static ALONE: BTreeMap<BucketId, Tactic> = BTreeMap::new();

fn charged(step: Step) -> Charge {
    match step {
        Step::Charge(charge) => charge,
        other => panic!("expected a charge, got {other:?}"),
    }
}

/// How a charge closes the meter's day.
fn close_day(charge: &Charge) -> Option<CloseDay> {
    charge.effects.iter().find_map(|effect| match effect {
        Effect::CloseDay(close) => Some(*close),
        _ => None,
    })
}

/// The archived day that a charge removes or replaces.
fn cleared(charge: &Charge) -> Option<jiff::civil::Date> {
    charge.effects.iter().find_map(|effect| match effect {
        Effect::ClearArchived(day) => Some(*day),
        Effect::CloseDay(close) => close.replaces,
        _ => None,
    })
}

fn dropped(charge: &Charge) -> Vec<&str> {
    let dropped = charge.effects.iter().filter_map(|effect| match effect {
        Effect::DropIdle(id) => Some(id.as_str()),
        _ => None,
    });
    dropped.collect()
}

fn spend(charge: &Charge) -> QuotaCharge {
    let spend = charge.effects.iter().find_map(|effect| match effect {
        Effect::Spend(spend) => spend.quota,
        _ => None,
    });
    spend.unwrap()
}

fn level(ahead: i128, interval: i128) -> Level {
    Level {
        tat: ns() + ahead,
        interval,
    }
}

#[test]
fn a_later_revision_in_the_meter_sends_us_to_read_again_and_an_earlier_one_does_not() {
    let limits = limits(None);
    let meter = meter(&limits);
    for (key_revision, plan_revision, expected) in [
        (2, 3, Some(Step::KeyChanged)),
        (3, 2, Some(Step::PlanChanged)),
        (2, 2, Some(Step::KeyChanged)),
        (3, 3, None),
        (4, 4, None),
    ] {
        let revisions = Revisions {
            key: key_revision,
            plan: plan_revision,
        };
        let ask = ChargeRequest {
            revisions,
            ..ask(&limits)
        };
        let step = charge(&meter, &ask);
        if let Some(expected) = expected {
            assert_eq!(step, expected);
        } else {
            let charge = charged(step);
            assert_eq!(charge.revisions, revisions);
        }
    }
}

#[test]
fn the_branch_follows_the_level() {
    let limits = limits(None);
    let fill = |level: Option<Level>| {
        let mut meter = meter(&limits);
        meter
            .buckets
            .extend(level.map(|level| (PLAN_BUCKET.to_owned(), level)));
        charged(charge(&meter, &ask(&limits)))
            .buckets()
            .next()
            .map(|(_, update)| *update)
            .unwrap()
    };
    let idle = |is_there| BucketUpdate::Open {
        to: level(20, 10),
        hold: 0,
        is_there,
    };
    assert_eq!(fill(None), idle(false));
    let idle = idle(true);
    assert_eq!(fill(Some(level(-5, 10))), idle);
    assert_eq!(fill(Some(level(0, 10))), idle);
    assert_eq!(fill(Some(level(0, 99))), idle);
    let busy = BucketUpdate::Add {
        interval: 10,
        bound: ns() + 30,
        add: 20,
    };
    assert_eq!(fill(Some(level(1, 10))), busy);
    assert_eq!(fill(Some(level(30, 10))), busy);
    let convert = BucketUpdate::Convert {
        from: level(200, 100),
        to: level(40, 10),
    };
    assert_eq!(fill(Some(level(200, 100))), convert);
}

#[test]
fn a_newer_plan_is_made_known_before_buckets_are_converted_and_only_then() {
    let limits = limits(None);
    let mut meter = meter(&limits);
    meter.revisions.plan = 2;
    // There is nothing to convert, so the charge itself writes the newer revision.
    assert_eq!(charged(charge(&meter, &ask(&limits))).revisions.plan, 3);
    meter.buckets.insert(PLAN_BUCKET.to_owned(), level(0, 100));
    assert_eq!(charged(charge(&meter, &ask(&limits))).revisions.plan, 3);
    meter
        .buckets
        .insert(PLAN_BUCKET.to_owned(), level(100, 100));
    let first = Revisions { key: 3, plan: 3 };
    assert_eq!(charge(&meter, &ask(&limits)), Step::SyncRevisions(first));
    // A newer revision of the key may have other limits as well.
    let before = Meter {
        revisions: Revisions { key: 2, plan: 3 },
        ..meter.clone()
    };
    assert_eq!(charge(&before, &ask(&limits)), Step::SyncRevisions(first));
    meter.revisions.plan = 3;
    let fill = charged(charge(&meter, &ask(&limits)))
        .buckets()
        .next()
        .map(|(_, update)| *update)
        .unwrap();
    assert!(matches!(fill, BucketUpdate::Convert { .. }));
}

#[test]
fn a_refusal_by_an_unconverted_bucket_converts_it_first() {
    let limits = limits(None);
    let mut meter = meter(&limits);
    meter
        .buckets
        .insert(PLAN_BUCKET.to_owned(), level(900, 100));
    let Step::RebaseBuckets(settle) = charge(&meter, &ask(&limits)) else {
        panic!("it has to be converted first")
    };
    let convert = BucketUpdate::Convert {
        from: level(900, 100),
        to: level(50, 10),
    };
    let updates: Vec<_> = settle.buckets().collect();
    assert_eq!((settle.cost, updates), (0, vec![(PLAN_BUCKET, &convert)]));
    meter.buckets.insert(PLAN_BUCKET.to_owned(), level(50, 10));
    let refusal = Refusal {
        reason: Reason::Rate,
        until: Some(now() + std::time::Duration::from_nanos(20)),
    };
    assert_eq!(charge(&meter, &ask(&limits)), Step::Refuse(refusal));
}

#[test]
fn a_day_that_is_over_is_closed_with_what_its_quota_left() {
    let limits = limits(Some((9, PeriodKind::Month)));
    let mut meter = meter(&limits);
    meter.day = date(2026, 12, 1);
    meter.buckets.insert("idle".to_owned(), level(0, 10));
    meter.buckets.insert("busy".to_owned(), level(1, 10));
    let closing = charged(charge(&meter, &ask(&limits)));
    assert_eq!(
        close_day(&closing).map(|close| close.over),
        Some(date(2026, 12, 1))
    );
    assert_eq!(close_day(&closing).and_then(|close| close.limit), Some(9));
    assert_eq!(dropped(&closing), ["idle"]);
    let crowd = (0..99).map(|number| (format!("m{number}"), level(-1, 10)));
    let mut crowded = meter.clone();
    crowded.buckets.extend(crowd);
    assert_eq!(dropped(&charged(charge(&crowded, &ask(&limits)))).len(), 16);
    // The same day in another period: the quota's limit does not tell what remained of it.
    meter.period = None;
    assert_eq!(
        close_day(&charged(charge(&meter, &ask(&limits)))).and_then(|close| close.limit),
        None
    );
    let meter = Meter {
        day: date(2026, 12, 2),
        period: limits
            .quota()
            .map(|quota| quota.period_of(date(2026, 12, 2))),
        ..meter
    };
    let steady = charged(charge(&meter, &ask(&limits)));
    assert_eq!((close_day(&steady), dropped(&steady).len()), (None, 0));
}

#[test]
fn a_closed_day_is_written_out_before_the_next_closes_and_dropped_once_it_is() {
    let limits = limits(None);
    let mut meter = meter(&limits);
    let closed = ClosedDay {
        day: date(2026, 11, 30),
        count: 7,
        remaining: None,
    };
    meter.closed = Some(closed);
    let flushed = |archived| ChargeRequest {
        archived,
        ..ask(&limits)
    };
    assert_eq!(cleared(&charged(charge(&meter, &flushed(None)))), None);
    assert_eq!(
        cleared(&charged(charge(&meter, &flushed(Some(date(2026, 11, 29)))))),
        None
    );
    assert_eq!(
        cleared(&charged(charge(&meter, &flushed(Some(closed.day))))),
        Some(closed.day)
    );
    meter.day = date(2026, 12, 1);
    assert_eq!(charge(&meter, &flushed(None)), Step::ArchiveDay(closed));
    let closing = charged(charge(&meter, &flushed(Some(closed.day))));
    assert_eq!(
        (
            close_day(&closing).map(|close| close.over),
            cleared(&closing)
        ),
        (Some(meter.day), Some(closed.day))
    );
}

/// The step under these limits, with what is known of earlier days.
fn step_with(limits: &Limits, meter: &Meter, history: Option<History>) -> Step {
    let request = ChargeRequest {
        history,
        ..ask(limits)
    };
    charge(meter, &request)
}

/// A meter on which 4 were admitted today and 6 spent, under a weekly quota of 20.
fn weekly() -> (Limits, Meter) {
    let limits = limits(Some((20, PeriodKind::Week)));
    let mut meter = meter(&limits);
    (meter.count, meter.spent) = (4, 6);
    (limits, meter)
}

#[test]
fn a_quota_counts_from_what_its_period_has_seen() {
    let (limits, mut meter) = weekly();
    let spent_before = |meter: &Meter, history| {
        let charge = charged(step_with(&limits, meter, history));
        spend(&charge).before
    };
    let quota = spend(&charged(step_with(&limits, &meter, None)));
    assert_eq!((quota.before, quota.room), (SpentBefore::Spent, 18));
    // A week that began on the meter's day has seen only that day, one that began later nothing.
    meter.period = None;
    let week = limits.quota().unwrap().period_of(meter.day);
    meter.day = week.start;
    assert_eq!(spent_before(&meter, None), SpentBefore::CountAnd(0));
    meter.day = date(2026, 11, 28);
    assert_eq!(spent_before(&meter, None), SpentBefore::Nothing);
}

#[test]
fn a_quota_that_began_before_the_meters_day_needs_the_days_before_it() {
    let (limits, mut meter) = weekly();
    meter.period = None;
    let week = limits.quota().unwrap().period_of(meter.day);
    let load = Step::LoadHistory(week, meter.day);
    assert_eq!(step_with(&limits, &meter, None), load);
    let history = History {
        period: week,
        before: meter.day,
        admitted: 5,
    };
    let charge = charged(step_with(&limits, &meter, Some(history)));
    assert_eq!(spend(&charge).before, SpentBefore::CountAnd(5));
    let status = LimitStatus::of(&meter, &limits, Some(history), moment());
    assert_eq!(status.quota().unwrap().remaining, 11);
    let of_another_day = History {
        before: date(2026, 12, 1),
        ..history
    };
    assert_eq!(step_with(&limits, &meter, Some(of_another_day)), load);
}

#[test]
fn what_is_left_of_a_bucket_that_is_neither_full_nor_empty() {
    let limits = limits(None);
    let mut meter = meter(&limits);
    meter.buckets.insert(PLAN_BUCKET.to_owned(), level(15, 10));
    let rate = LimitStatus::of(&meter, &limits, None, moment())
        .bucket(LimitKind::Rate)
        .unwrap();
    assert_eq!(
        (rate.burst, rate.window, rate.remaining, rate.full_in),
        (5, 50, 3, 15)
    );
}
