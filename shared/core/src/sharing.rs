//! How several instances share one bucket: what an instance has learned about the others, and how it fills the bucket so that
//! their writes do not make each other fail.
//!
//! DynamoDB has no `max()`, so GCRA needs two kinds of writes: *open* an idle bucket (`tat <= now`, set it) or *add* to a busy
//! one (`tat > now`). Adds commute. Opens do not, because the first one makes the bucket busy. With a store that takes a few
//! milliseconds to answer and a bucket that is idle between requests, several instances would make each other fail again and
//! again.
//!
//! To avoid this, an instance **holds** a shared bucket: its open leaves the bucket busy for `hold` longer than its request
//! needs, so that the other instances add during that time. A hold does not lower the rate, because tokens that overflow a full
//! bucket are lost anyway; it lowers the burst by its own length while instances share the key. A hold only raises `tat`, so it
//! never admits a request that would be refused without it.
//!
//! Nothing here decides whether a request is admitted. A wrong expectation costs one more attempt.

use std::collections::BTreeMap;

use crate::bucket::Bucket;
use crate::charge::{BucketUpdate, Charge};
use crate::limits::BucketId;
use crate::meter::Meter;
use crate::moment::{MILLISECOND, Nanos, SECOND};
use crate::tactic::Tactic;

/// The longest hold.
const LONGEST_HOLD: Nanos = 100 * MILLISECOND;
/// The largest part of the burst that a hold may take: one in 20.
const HOLD_SHARE: i128 = 20;
/// The smallest share of requests that renew a hold of which less than half remains. If all of them did, all but one of the
/// concurrent ones would fail.
const RENEWERS: f64 = 1.0 / 8.0;
/// Possible shares of requests that open a bucket if they do not know whether it is busy; the other requests add to it.
const OPENERS: [f64; 7] = [0.0, 0.125, 0.25, 0.375, 0.5, 0.75, 1.0];
/// The number of consecutive writes without a sign of other instances after which a bucket counts as unshared again.
const FORGOTTEN_AFTER: u8 = 3;
/// The weight of the latest charge in the average share of charges that fill a bucket.
const PART_WEIGHT: f64 = 1.0 / 16.0;

/// The circumstances of a write.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Circumstances {
    /// Time since the meter was seen, in nanoseconds.
    pub seen_ago: Nanos,
    /// Time since the first attempt of the same charge, in nanoseconds; `None` if this is the first.
    pub retrying_for: Option<Nanos>,
    /// A random number from 0 to 1.
    pub draw: f64,
}

/// How long an open holds a shared bucket: 100 ms or a twentieth of the burst, whichever is less. A hold of less than half a
/// request would have no effect.
pub fn hold_of(bucket: &Bucket) -> Nanos {
    let hold = LONGEST_HOLD.min(bucket.increment(bucket.burst()) / HOLD_SHARE);
    if hold * 2 < bucket.interval() {
        0
    } else {
        hold
    }
}

/// What an instance has learned about other instances that charge the same meter.
#[derive(Debug, Clone, Default)]
pub struct Sharing {
    /// The rate of charges by all instances.
    rate: Rate,
    buckets: BTreeMap<BucketId, Neighbours>,
}

/// What is known about other instances that fill one bucket.
#[derive(Debug, Clone, Copy, Default)]
struct Neighbours {
    /// The number of further writes without a sign of other instances after which they are forgotten; 0 if none are known.
    remembered_for: u8,
    /// The share of our charges to the meter that fill this bucket. The share of other instances is assumed to be the same.
    part: f64,
}

impl Sharing {
    /// Chooses how to fill a bucket.
    pub fn tactic(&self, id: &str, bucket: &Bucket, circumstances: Circumstances) -> Tactic {
        let Some(neighbours) = self.buckets.get(id) else {
            return Tactic::default();
        };
        if neighbours.remembered_for == 0 {
            return Tactic::default();
        }
        match circumstances.retrying_for {
            Some(elapsed) => after_failure(bucket, elapsed),
            None => beside_others(
                bucket,
                self.rate.per_second * neighbours.part,
                circumstances,
            ),
        }
    }

    /// Learns from the answer to a write: the meter as it was seen `before` the write and as it is `after` it, at `now`.
    pub fn learn(
        &mut self,
        before: &Meter,
        charge: &Charge,
        after: &Meter,
        applied: bool,
        now: Nanos,
    ) {
        let since = if before.day == after.day {
            after.count.saturating_sub(before.count)
        } else {
            after.count
        };
        self.rate.count(since, now);
        let ours = if applied { u64::from(charge.cost) } else { 0 };
        for (id, fill) in charge.buckets() {
            let neighbours = self.buckets.entry(id.to_owned()).or_default();
            let sign = sign_of_others(id, fill, before, after, applied)
                .unwrap_or(neighbours.remembered_for > 0 && since > ours);
            neighbours.remembered_for = if sign {
                FORGOTTEN_AFTER
            } else {
                neighbours.remembered_for.saturating_sub(1)
            };
        }
        for (id, neighbours) in &mut self.buckets {
            let is_filled = charge.buckets().any(|(filled, _)| filled == id);
            let now = f64::from(u8::from(is_filled));
            neighbours.part = if neighbours.part == 0.0 {
                now
            } else {
                neighbours.part + PART_WEIGHT * (now - neighbours.part)
            };
        }
    }
}

/// After a failed attempt: a hold that lasts until another attempt arrives, so that it finds the bucket busy and adds to it.
/// A bucket that empties faster than that keeps half of its burst.
fn after_failure(bucket: &Bucket, elapsed: Nanos) -> Tactic {
    let outlasts_an_attempt = 2 * elapsed - bucket.interval();
    let half = bucket.increment(bucket.burst()) / 2;
    let most = half.min(2 * LONGEST_HOLD);
    Tactic {
        hold: hold_of(bucket).max(outlasts_an_attempt.min(most)),
        ..Tactic::default()
    }
}

/// On the first attempt: open, add, or renew the hold, depending on the rate of requests by all instances.
fn beside_others(bucket: &Bucket, rate: f64, circumstances: Circumstances) -> Tactic {
    let hold = hold_of(bucket);
    let openers = openers(rate, bucket, hold);
    let is_stale = circumstances.seen_ago > hold / 2;
    let opening = if is_stale {
        openers
    } else {
        openers.max(RENEWERS)
    };
    let opens = circumstances.draw < opening;
    let all_open = openers >= 1.0 || hold == 0;
    Tactic {
        hold,
        renew_under: if opens && !all_open { hold / 2 } else { 0 },
        assume_busy: is_stale && !opens,
    }
}

/// The share of requests that should open a bucket if they do not know whether it is busy: the share with which the fewest
/// requests fail, at this rate of requests by all instances.
///
/// If the other requests add, an open keeps the bucket busy for `hold / (1 - load)` on average, in which `kept` requests
/// arrive. The load is `rate * interval`. An add fails if no request has opened the bucket within that time; if a share `p` of
/// requests open, this happens to one request in `(exp(p * kept) - 1) / p`. An open fails if another request arrived within the
/// time that `tat` takes to return to the hold: with probability `p * load / (1 - load)`, or with probability `load` if all
/// requests open.
fn openers(rate: f64, bucket: &Bucket, hold: Nanos) -> f64 {
    let load = (rate * seconds(bucket.interval())).min(0.98);
    let kept = rate * seconds(hold) / (1.0 - load);
    let failing = |p: f64| {
        if p >= 1.0 {
            return load;
        }
        let adds = if p * kept > 0.0 {
            (1.0 - p) * p / ((p * kept).exp() - 1.0)
        } else {
            1.0 / (1.0 + kept)
        };
        adds + p * p * load / (1.0 - load)
    };
    let fewest = |a: &f64, b: &f64| failing(*a).total_cmp(&failing(*b));
    OPENERS.into_iter().min_by(fewest).unwrap_or(1.0)
}

/// Whether another instance has changed a bucket since we left it. `None` if the answer does not show that, because an open
/// overwrites the previous level.
fn sign_of_others(
    id: &str,
    fill: &BucketUpdate,
    before: &Meter,
    after: &Meter,
    applied: bool,
) -> Option<bool> {
    let tat = |meter: &Meter| meter.buckets.get(id).map(|level| level.tat);
    match fill {
        _ if !applied => Some(tat(before) != tat(after)),
        BucketUpdate::Add { add, .. } => Some(tat(before).map(|tat| tat + add) != tat(after)),
        BucketUpdate::Open { .. } | BucketUpdate::Convert { .. } => None,
    }
}

/// An average rate over about the last second.
#[derive(Debug, Clone, Copy, Default)]
struct Rate {
    per_second: f64,
    /// The time up to which the average counts.
    until: Option<Nanos>,
    /// The number counted since then without any time having passed.
    pending: f64,
}

impl Rate {
    /// Counts `more` charges at `now`.
    fn count(&mut self, more: u64, now: Nanos) {
        #[expect(clippy::cast_precision_loss, reason = "an average")]
        let more = more as f64;
        self.pending += more;
        let elapsed = self.until.map_or(0.0, |until| seconds(now - until));
        if elapsed > 0.0 {
            let weight = 1.0 - (-elapsed).exp();
            self.per_second += weight * (self.pending / elapsed - self.per_second);
        } else if elapsed == 0.0 && self.until.is_some() {
            return;
        }
        // On the first call, or after the clock was set back, there is no time span to average over.
        self.pending = 0.0;
        self.until = Some(now);
    }
}

fn seconds(nanoseconds: Nanos) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    let nanoseconds = nanoseconds as f64;
    #[expect(clippy::cast_precision_loss, reason = "exact")]
    let second = SECOND as f64;
    nanoseconds / second
}
