//! Instances that share a bucket: how they write to it, what they learn from the answer, and that sharing never admits more.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

#[expect(
    dead_code,
    unreachable_pub,
    reason = "shared with other tests, and those of the store"
)]
mod support;

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use jiff::Timestamp;
use jiff::civil::{Date, date};
use proptest::prelude::*;
use tollgate_core::bucket::{Bucket, Level};
use tollgate_core::calendar::start_of;
use tollgate_core::charge::{BucketUpdate, Charge, ChargeRequest, Step, charge};
use tollgate_core::limits::{Limit, Limits, PLAN_BUCKET};
use tollgate_core::meter::{Meter, Revisions};
use tollgate_core::moment::Moment;
use tollgate_core::sharing::{Circumstances, Sharing, hold_of};
use tollgate_core::tactic::Tactic;

const DAY: Date = date(2026, 12, 2);
const MILLISECOND: i128 = 1_000_000;

fn start() -> i128 {
    start_of(DAY).as_nanosecond()
}

/// A bucket of this rate and burst.
fn bucket(rate: i128, burst: u32) -> Bucket {
    Bucket::new(1_000 * MILLISECOND / rate, burst)
}

fn limits(bucket: Bucket) -> Limits {
    Limits::default().and(Limit::rate(bucket))
}

fn meter(tat: Option<i128>, bucket: Bucket) -> Meter {
    let mut meter = Meter::new(1, 1, DAY, None);
    let level = tat.map(|tat| Level {
        tat,
        interval: bucket.interval(),
    });
    meter
        .buckets
        .extend(level.map(|level| (PLAN_BUCKET.to_owned(), level)));
    meter
}

/// The step for a request of this cost at `now`, if clocks may differ by `tolerance`.
fn step_by(
    meter: &Meter,
    bucket: Bucket,
    cost: u32,
    (now, tolerance): (i128, i128),
    tactic: Tactic,
) -> Step {
    let limits = limits(bucket);
    let ask = ChargeRequest {
        moment: Moment {
            now: Timestamp::from_nanosecond(now).unwrap(),
            ahead: 0,
            tolerance,
        },
        cost: NonZeroU32::new(cost).unwrap(),
        revisions: Revisions { key: 1, plan: 1 },
        limits: &limits,
        quota_before: None,
        archived: None,
        history: None,
        tactics: &BTreeMap::from([(PLAN_BUCKET.to_owned(), tactic)]),
    };
    charge(meter, &ask)
}

fn charge_by(
    meter: &Meter,
    bucket: Bucket,
    cost: u32,
    now: i128,
    tactic: Tactic,
) -> Option<Charge> {
    match step_by(meter, bucket, cost, (now, i128::MAX), tactic) {
        Step::Charge(charge) => Some(charge),
        Step::Refuse(_) => None,
        other => panic!("expected a charge, got {other:?}"),
    }
}

fn update(charge: &Charge) -> BucketUpdate {
    let update = charge.buckets().next();
    *update.unwrap().1
}

fn fill(tat: Option<i128>, now: i128, tactic: Tactic) -> BucketUpdate {
    let bucket = bucket(100, 50);
    let charge = charge_by(&meter(tat, bucket), bucket, 1, now, tactic);
    update(&charge.unwrap())
}

#[test]
fn a_hold_is_a_twentieth_of_the_burst_at_most_a_tenth_of_a_second_and_worth_it() {
    for (rate, burst, milliseconds) in [
        (50, 50, 50),
        (200, 200, 50),
        (100, 200, 100),
        (1_000, 100_000, 100),
        (100, 20, 10),
        // A hold of less than half an interval would have no effect.
        (100, 9, 0),
        (10, 1, 0),
    ] {
        let hold = hold_of(&bucket(rate, burst));
        assert_eq!(hold / MILLISECOND, milliseconds, "{rate}/s, burst {burst}");
    }
    assert_eq!(hold_of(&Bucket::closed()), 0);
}

#[test]
fn an_open_with_a_hold_takes_buckets_that_are_busy_for_no_longer_and_leaves_them_busy_for_so_long()
{
    let now = start();
    let tactic = Tactic {
        hold: 100 * MILLISECOND,
        renew_under: 50 * MILLISECOND,
        assume_busy: false,
    };
    let open = |is_there| BucketUpdate::Open {
        to: Level {
            tat: now + 110 * MILLISECOND,
            interval: 10 * MILLISECOND,
        },
        hold: 100 * MILLISECOND,
        is_there,
    };
    assert_eq!(fill(None, now, tactic), open(false));
    assert_eq!(fill(Some(now - 1), now, tactic), open(true));
    assert_eq!(fill(Some(now + 50 * MILLISECOND), now, tactic), open(true));
    let later = fill(Some(now + 50 * MILLISECOND + 1), now, tactic);
    assert!(matches!(later, BucketUpdate::Add { .. }), "{later:?}");
}

#[test]
fn a_hold_leaves_room_for_the_request_itself() {
    let now = start();
    let tactic = Tactic {
        hold: 10_000 * MILLISECOND,
        ..Tactic::default()
    };
    let BucketUpdate::Open { to, hold, .. } = fill(None, now, tactic) else {
        panic!("an open");
    };
    assert_eq!(hold, 490 * MILLISECOND);
    assert_eq!(to.tat, now + 500 * MILLISECOND);
}

#[test]
fn what_is_left_of_another_pace_is_not_held() {
    let now = start();
    let mut meter = meter(Some(now - 1), bucket(100, 50));
    meter.buckets.get_mut(PLAN_BUCKET).unwrap().interval = 7;
    let tactic = Tactic {
        hold: 100 * MILLISECOND,
        ..Tactic::default()
    };
    let charge = charge_by(&meter, bucket(100, 50), 1, now, tactic).unwrap();
    assert!(matches!(
        update(&charge),
        BucketUpdate::Open { hold: 0, .. }
    ));
}

/// An instance, and the meter that it shares.
struct Pair {
    bucket: Bucket,
    sharing: Sharing,
    seen: Meter,
    stored: Meter,
    now: i128,
}

impl Pair {
    fn new(bucket: Bucket) -> Self {
        let meter = meter(None, bucket);
        Self {
            bucket,
            sharing: Sharing::default(),
            seen: meter.clone(),
            stored: meter,
            now: start(),
        }
    }

    fn tactic(&self, seen_ago: i128, draw: f64) -> Tactic {
        let circumstances = Circumstances {
            seen_ago,
            retrying_for: None,
            draw,
        };
        self.sharing
            .tactic(PLAN_BUCKET, &self.bucket, circumstances)
    }

    /// Another instance charges one request.
    fn other(&mut self) {
        let charge = charge_by(&self.stored, self.bucket, 1, self.now, Tactic::default()).unwrap();
        self.stored = support::charged(&self.stored, &charge, None).unwrap();
    }

    /// Our instance charges one request and learns from the answer; it repeats an attempt that fails.
    fn ours(&mut self) {
        for _ in 0..3 {
            let tactic = self.tactic(1_000 * MILLISECOND, 0.99);
            let charge = charge_by(&self.seen, self.bucket, 1, self.now, tactic).unwrap();
            let after = support::charged(&self.stored, &charge, None);
            let applied = after.is_some();
            self.stored = after.unwrap_or_else(|| self.stored.clone());
            self.now += MILLISECOND / 10;
            self.sharing
                .learn(&self.seen, &charge, &self.stored, applied, self.now);
            self.seen = self.stored.clone();
            if applied {
                self.now += 20 * MILLISECOND;
                return;
            }
        }
        panic!("not charged in three tries");
    }
}

#[test]
fn an_instance_that_is_alone_holds_nothing() {
    let mut pair = Pair::new(bucket(100, 50));
    for _ in 0..50 {
        pair.ours();
        assert_eq!(pair.tactic(0, 0.0), Tactic::default());
    }
}

#[test]
fn others_are_noticed_at_once_and_forgotten_after_three_writes_without_them() {
    let mut pair = Pair::new(bucket(100, 50));
    pair.ours();
    for _ in 0..5 {
        pair.other();
        pair.other();
        pair.ours();
        assert_eq!(pair.tactic(0, 0.99).hold, 100 * MILLISECOND / 4);
    }
    let mut alone = 0;
    while pair.tactic(0, 0.99).hold > 0 {
        pair.ours();
        alone += 1;
    }
    assert!((1..=4).contains(&alone), "{alone} writes alone");
}

#[test]
fn a_busy_bucket_is_added_to_unseen_and_one_that_is_seldom_used_is_opened() {
    let mut pair = Pair::new(bucket(1_000, 2_000));
    let mut after = |others: usize| {
        for _ in 0..100 {
            (0..others).for_each(|_| pair.other());
            pair.ours();
        }
        pair.tactic(1_000 * MILLISECOND, 0.99)
    };
    // 20 ms pass between our requests, so 11 requests are 550 per second.
    assert!(after(10).assume_busy);
    pair = Pair::new(bucket(1_000, 40));
    let mut after = |others: usize| {
        for _ in 0..100 {
            (0..others).for_each(|_| pair.other());
            pair.ours();
        }
        pair.tactic(1_000 * MILLISECOND, 0.99)
    };
    // 95 requests per second, few of which fall within a hold of 2 ms.
    assert!(!after(1).assume_busy);
}

#[test]
fn a_try_that_failed_is_followed_by_a_hold_that_outlasts_a_further_one_and_is_bounded() {
    let mut pair = Pair::new(bucket(100, 50));
    pair.ours();
    pair.other();
    pair.ours();
    let hold = |milliseconds: i128| {
        let circumstances = Circumstances {
            seen_ago: 0,
            retrying_for: Some(milliseconds * MILLISECOND),
            draw: 0.5,
        };
        let tactic = pair
            .sharing
            .tactic(PLAN_BUCKET, &pair.bucket, circumstances);
        tactic.hold / MILLISECOND
    };
    assert_eq!([hold(4), hold(40), hold(4_000)], [25, 70, 200]);
}

/// A meter with a bucket of 20 requests at 100 per second, filled this far ahead by an instance whose clock was this far ahead.
fn filled(ahead: i128, clock: Option<i128>) -> (Meter, Bucket) {
    let bucket = bucket(100, 20);
    let mut meter = meter(Some(start() + ahead * MILLISECOND), bucket);
    let lane = clock.map(|clock| (start() + clock * MILLISECOND) / 1_000);
    let lane = lane.map(|lane| ("other".to_owned(), u64::try_from(lane).unwrap()));
    meter.lanes.extend(lane);
    (meter, bucket)
}

fn asked((meter, bucket): (Meter, Bucket), tolerance: i128) -> Step {
    let when = (start(), tolerance * MILLISECOND);
    step_by(&meter, bucket, 1, when, Tactic::default())
}

#[test]
fn a_bucket_that_a_wrong_clock_has_filled_is_set_right_with_what_it_owed() {
    // The clock was 8 s ahead, and the debt then was 5 requests; with ours it is 6.
    let Step::Charge(charge) = asked(filled(8_050, Some(8_000)), 1_000) else {
        panic!("a charge");
    };
    let BucketUpdate::Convert { from, to } = update(&charge) else {
        panic!("a conversion");
    };
    assert_eq!(from.tat, start() + 8_050 * MILLISECOND);
    assert_eq!(to.tat, start() + 60 * MILLISECOND);
}

#[test]
fn a_bucket_of_which_nobody_tells_when_it_was_filled_counts_as_spent() {
    for clock in [None, Some(0), Some(9_000)] {
        // The bucket is corrected first, so that the refusal ends.
        let step = asked(filled(8_050, clock), 1_000);
        let Step::RebaseBuckets(settle) = step else {
            panic!("{clock:?}: a settlement, not {step:?}");
        };
        let BucketUpdate::Convert { to, .. } = update(&settle) else {
            panic!("a conversion");
        };
        assert_eq!(to.tat, start() + 200 * MILLISECOND);
    }
}

#[test]
fn clocks_that_may_be_right_are_not_put_right() {
    assert!(matches!(
        asked(filled(1_150, Some(1_000)), 1_000),
        Step::Refuse(_)
    ));
    assert!(matches!(
        asked(filled(8_050, Some(8_000)), 9_000),
        Step::Refuse(_)
    ));
    // The bucket is spent completely, by a clock that is right.
    assert!(matches!(asked(filled(200, Some(0)), 0), Step::Refuse(_)));
}

/// One attempt: the time since the previous one, the clock's error, the cost, the tactic, and whether the instance uses the
/// stored meter or the one it last saw.
type Try = (i128, i128, u32, (i128, i128, bool), bool);

fn tries() -> impl Strategy<Value = Vec<Try>> {
    let tactic = (0..400i128, 0..200i128, any::<bool>());
    let one = (0..60i128, -5..5i128, 1..4u32, tactic, any::<bool>());
    prop::collection::vec(one, 1..80)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Whatever instances hold and expect, a plain GCRA that is charged the same cost at the same times also admits it: holds
    /// only raise the debt.
    #[test]
    fn whatever_is_held_nothing_passes_that_a_plain_bucket_would_refuse(tries in tries(), rate in 10..200i128, burst in 1..30u32) {
        let bucket = bucket(rate, burst);
        let mut stored = meter(None, bucket);
        let mut seen = stored.clone();
        let (mut time, mut owed) = (start(), i128::MIN);
        for (pause, clock, cost, (hold, renew_under, assume_busy), by_stored) in tries {
            time += pause * MILLISECOND;
            let now = time + clock * MILLISECOND;
            let tactic = Tactic {
                hold: hold * MILLISECOND,
                renew_under: renew_under * MILLISECOND,
                assume_busy,
            };
            if by_stored {
                seen = stored.clone();
            }
            let Some(charge) = charge_by(&seen, bucket, cost, now, tactic) else {
                continue;
            };
            let Some(after) = support::charged(&stored, &charge, None) else {
                seen = stored.clone();
                continue;
            };
            owed = owed.max(now) + bucket.increment(cost);
            prop_assert!(owed <= now + bucket.increment(burst), "over at {now}");
            prop_assert!(after.buckets[PLAN_BUCKET].tat >= owed);
            stored = after;
        }
    }
}
