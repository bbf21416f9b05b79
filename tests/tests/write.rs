//! The one write, said in DynamoDB's words, against its meaning said without: for any meter and any request, the store
//! does what the meaning says, and refuses where it refuses.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

#[path = "../../shared/core/tests/support/mod.rs"]
#[expect(unreachable_pub, reason = "shared with the tests of the core")]
mod support;

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue as A;
use jiff::Timestamp;
use jiff::civil::{Date, date};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use tollgate_core::bucket::{Bucket, Level};
use tollgate_core::calendar::{PeriodKind, period_of, start_of};
use tollgate_core::charge::{ChargeRequest, History, Step, charge};
use tollgate_core::lane::{MAX_LANES, QUIET_AFTER, Stamp};
use tollgate_core::limit::Quota;
use tollgate_core::limits::{Limit, Limits};
use tollgate_core::meter::{ClosedDay, Meter, Revisions};
use tollgate_core::moment::Moment;
use tollgate_core::tactic::Tactic;
use tollgate_dynamo::connection::Connection;
use tollgate_dynamo::item::ItemKey;
use tollgate_dynamo::table::{Budget, Table, Written};
use tollgate_tests::on_both_stores;
use tollgate_tests::stores::{Kind, Store};

on_both_stores!(the_store_does_what_a_write_means);

const CASES: u32 = 400;
const TODAY: Date = date(2026, 12, 1);

/// Independent of the code that writes meters.
fn item(key: &ItemKey, meter: &Meter) -> HashMap<String, A> {
    let n = |number: &dyn ToString| A::N(number.to_string());
    let mut item = key.attributes();
    let mut put = |name: &str, value: A| item.insert(name.to_owned(), value);
    put("v", n(&1));
    put("kr", n(&meter.revisions.key));
    put("pr", n(&meter.revisions.plan));
    put("day", A::S(meter.day.to_string()));
    put("count", n(&meter.count));
    put(
        "period",
        A::S(
            meter
                .period
                .map_or("-".to_owned(), |period| period.to_string()),
        ),
    );
    put("spent", n(&meter.spent));
    if let Some(closed) = meter.closed {
        put("pday", A::S(closed.day.to_string()));
        put("pcount", n(&closed.count));
        if let Some(left) = closed.remaining {
            put("pleft", n(&left));
        }
    }
    let buckets = meter.buckets.iter();
    let buckets =
        buckets.map(|(id, level)| (id.clone(), A::L(vec![n(&level.tat), n(&level.interval)])));
    put("b", A::M(buckets.collect()));
    let lanes = meter
        .lanes
        .iter()
        .map(|(lane, last)| (lane.clone(), n(last)));
    put("l", A::M(lanes.collect()));
    item
}

fn now() -> i128 {
    start_of(TODAY).as_nanosecond() + 1_000_000_000
}

prop_compose! {
    fn levels()(ahead in prop_oneof![-5..=5i128, -100..100_000i128], interval in prop_oneof![Just(10i128), Just(1_000)])
        -> Level { Level { tat: now() + ahead, interval } }
}

fn quotas() -> impl Strategy<Value = Option<Quota>> {
    let kind = prop_oneof![
        Just(PeriodKind::Day),
        Just(PeriodKind::Week),
        Just(PeriodKind::Month)
    ];
    let quota = (0..12u64, kind).prop_map(|(limit, kind)| Quota::new(limit, kind, 0).unwrap());
    proptest::option::weighted(0.8, quota)
}

fn meters() -> impl Strategy<Value = Meter> {
    let day = prop_oneof![
        Just(TODAY),
        Just(date(2026, 11, 30)),
        Just(date(2026, 10, 2)),
        Just(date(2026, 12, 2))
    ];
    let closed =
        (0..9u64, proptest::option::of(-3..9i64)).prop_map(|(count, remaining)| ClosedDay {
            day: date(2026, 9, 30),
            count,
            remaining,
        });
    let lanes = proptest::collection::btree_map("[a-d][0-9]", 0..3 * QUIET_AFTER, 0..=MAX_LANES);
    (
        (1..3u64, 1..3u64),
        proptest::collection::btree_map("[*mx]", levels(), 0..4),
        (day, 0..9u64, -4..12i64, quotas()),
        proptest::option::weighted(0.3, closed),
        lanes,
    )
        .prop_map(
            |((key, plan), buckets, (day, count, spent, quota), closed, lanes)| Meter {
                revisions: Revisions { key, plan },
                buckets,
                day,
                count,
                period: quota.map(|quota| period_of(day, quota.period(), 0)),
                spent,
                closed,
                lanes,
                retired: false,
            },
        )
}

#[derive(Debug)]
struct Case {
    stored: Meter,
    /// What was seen of it, often the same.
    seen: Meter,
    limits: Limits,
    /// Cost, the two revisions, and whether the closed day was written out.
    ask: (u32, u64, u64, bool),
    sequence: Option<u64>,
}

fn cases() -> impl Strategy<Value = Case> {
    let bucket = || {
        (prop_oneof![Just(10i128), Just(1_000)], 0..40u32)
            .prop_map(|(interval, burst)| Bucket::new(interval, burst))
    };
    let limits = (
        proptest::option::of(bucket()),
        proptest::option::of(bucket()),
        quotas(),
    );
    let limits = limits.prop_map(|(rate, method, quota)| {
        Limits::default()
            .and(rate.map(Limit::rate))
            .and(method.map(|bucket| Limit::method("m".to_owned(), bucket)))
            .and(quota.map(Limit::quota))
    });
    let seen = (meters(), proptest::option::weighted(0.3, meters()));
    let seen = seen.prop_map(|(stored, other)| (other.unwrap_or_else(|| stored.clone()), stored));
    let ask = (1..4u32, 1..3u64, 1..3u64, any::<bool>());
    (seen, limits, ask, proptest::option::of(0..4 * QUIET_AFTER)).prop_map(
        |((seen, stored), limits, ask, sequence)| Case {
            stored,
            seen,
            limits,
            ask,
            sequence,
        },
    )
}

async fn the_store_does_what_a_write_means(kind: Kind) {
    let store = Store::new(kind).await;
    let client = store.client().await;
    let table = Table::new(
        Connection::deciding(&store.sdk_config().await),
        store.table.clone(),
    );
    let mut runner = TestRunner::deterministic();
    let strategy = cases();
    let (mut made, mut refused) = (0, 0);
    for number in 0..CASES {
        let case = strategy.new_tree(&mut runner).unwrap().current();
        let Case {
            stored,
            seen,
            limits,
            sequence,
            ..
        } = case;
        let (cost, key, plan, flushed) = case.ask;
        // Every other case is of an instance that shares its buckets, and holds or guesses.
        let shared = Tactic {
            hold: [20, 3_000][number as usize % 2],
            renew_under: [0, 10, 50_000][number as usize % 3],
            assume_busy: number % 5 == 0,
        };
        let tactic = if number % 4 < 2 {
            shared
        } else {
            Tactic::default()
        };
        let tactics = ["*", "m", "x"].map(|id| (id.to_owned(), tactic)).into();
        let ask = ChargeRequest {
            moment: Moment {
                now: Timestamp::from_nanosecond(now()).unwrap(),
                ahead: 0,
                tolerance: i128::MAX,
            },
            cost: cost.try_into().unwrap(),
            revisions: Revisions { key, plan },
            limits: &limits,
            quota_before: limits.quota(),
            archived: seen.closed.map(|closed| closed.day).filter(|_| flushed),
            history: limits.quota().map(|quota| History {
                period: quota.period_of(TODAY.max(seen.day)),
                before: seen.day,
                admitted: 2,
            }),
            tactics: &tactics,
        };
        let item_key = ItemKey::meter(&number.to_string().into(), &"p".into());
        let budget = Budget {
            attempt: Duration::from_secs(10),
            end: tokio::time::Instant::now() + Duration::from_secs(10),
        };
        let put = client
            .put_item()
            .table_name(&store.table)
            .set_item(Some(item(&item_key, &stored)));
        put.send().await.unwrap();
        let (meant, written) = match charge(&seen, &ask) {
            Step::Charge(charge) => {
                let stamp = sequence.and_then(|sequence| Stamp::claim(&seen.lanes, "a0", sequence));
                let meant = support::charged(&stored, &charge, stamp.as_ref());
                (
                    meant,
                    table
                        .charge(&item_key, &charge, stamp.as_ref(), &budget)
                        .await,
                )
            }
            Step::RebaseBuckets(settle) => (
                support::charged(&stored, &settle, None),
                table.charge(&item_key, &settle, None, &budget).await,
            ),
            Step::SyncRevisions(ours) => (
                support::synced(&stored, ours),
                table.sync(&item_key, ours, &budget).await,
            ),
            _ => continue,
        };
        let written = written.unwrap();
        if let Some(after) = meant {
            made += 1;
            assert_eq!(written, Written::Applied(after.clone()));
            let there = table
                .meter(&number.to_string().into(), &"p".into(), &budget)
                .await
                .unwrap();
            assert_eq!(there, Some(after));
        } else {
            refused += 1;
            assert_eq!(written, Written::ConditionFailed(Some(stored)));
        }
    }
    // The cases have to be worth it: both outcomes, many times.
    assert!(made > 60 && refused > 30, "{made} made, {refused} refused");
}
