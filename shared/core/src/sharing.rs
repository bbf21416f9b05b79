//! One bucket, several instances: what an instance has learned of the others, and how it fills the bucket so that their
//! writes do not make each other fail.
//!
//! DynamoDB has no `max()`, so GCRA needs a branch: *open* an idle bucket (`tat <= now`, set it) or *add* to a busy one
//! (`tat > now`). Adds commute; opens do not, because the first one makes the bucket busy. With a store of a few milliseconds
//! and a bucket that is idle between requests, several instances would make each other fail over and over.
//!
//! The cure is to **hold** a bucket that is shared: an open leaves it busy for `hold` longer than its request needs, so that
//! everybody adds meanwhile. Tokens that overflow a full bucket are lost anyway, so a hold costs no rate; it costs that much
//! of the burst while instances share the key. A hold only ever raises `tat`, so nothing passes that would not pass without.
//!
//! Nothing here decides whether a request is admitted. A wrong expectation costs a further try.

use std::collections::BTreeMap;

use crate::bucket::Bucket;
use crate::charge::{BucketUpdate, Charge};
use crate::limits::BucketId;
use crate::meter::Meter;
use crate::moment::{MILLISECOND, Nanos, SECOND};
use crate::tactic::Tactic;

/// The longest hold.
const LONGEST_HOLD: Nanos = 100 * MILLISECOND;
/// A hold takes at most this part of the burst: a twentieth.
const HOLD_SHARE: i128 = 20;
/// At least this part of the requests that see less than half of a hold left renew it. If all did, all but one of those under
/// way together would fail.
const RENEWERS: f64 = 1.0 / 8.0;
/// How many of the requests that do not know whether a bucket is busy may open it, rather than add to it.
const OPENERS: [f64; 7] = [0.0, 0.125, 0.25, 0.375, 0.5, 0.75, 1.0];
/// Writes in a row that show nobody else before a bucket counts as our own again.
const FORGOTTEN_AFTER: u8 = 3;
/// How much the latest charge counts in the part of a meter's charges that fill a bucket.
const PART_WEIGHT: f64 = 1.0 / 16.0;

/// The circumstances of a write.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Circumstances {
    /// How long ago the meter was seen.
    pub seen_ago: Nanos,
    /// How long ago the first attempt at the same charge was sent; `None` if this is the first.
    pub retrying_for: Option<Nanos>,
    /// A random number from 0 to 1.
    pub draw: f64,
}

/// How long an open holds a bucket that is shared: 100 ms or a twentieth of the burst, whichever is less. A hold
/// of less than half a request would do nothing.
pub fn hold_of(bucket: &Bucket) -> Nanos {
    let hold = LONGEST_HOLD.min(bucket.increment(bucket.burst()) / HOLD_SHARE);
    if hold * 2 < bucket.interval() {
        0
    } else {
        hold
    }
}

/// What an instance has learned of others that charge the same meter.
#[derive(Debug, Clone, Default)]
pub struct Sharing {
    /// Everybody's charges.
    rate: Rate,
    buckets: BTreeMap<BucketId, Neighbours>,
}

/// What is known of others at one bucket.
#[derive(Debug, Clone, Copy, Default)]
struct Neighbours {
    /// How many more writes without a sign of others it takes to forget them; 0 if there are none.
    remembered_for: u8,
    /// The part of our charges to the meter that fill this bucket. That of the others is taken to be the same.
    part: f64,
}

impl Sharing {
    /// How to fill a bucket.
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

    /// Learns from the answer to a write: the meter as it was seen `before` it, and as it is `after`, at `now`.
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

/// After a failed attempt: a hold that lasts until a further attempt arrives, which then finds the bucket busy and adds to it. A
/// bucket that is emptied faster than that keeps half of itself.
fn after_failure(bucket: &Bucket, elapsed: Nanos) -> Tactic {
    let outlasts_an_attempt = 2 * elapsed - bucket.interval();
    let half = bucket.increment(bucket.burst()) / 2;
    let most = half.min(2 * LONGEST_HOLD);
    Tactic {
        hold: hold_of(bucket).max(outlasts_an_attempt.min(most)),
        ..Tactic::default()
    }
}

/// On the first attempt: open, add or renew the hold, by how many requests everybody sends.
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

/// How many of the requests that do not know whether a bucket is busy should open it: as many as make the fewest fail, at
/// this rate of requests by everybody.
///
/// An open keeps the bucket busy for `hold / (1 - load)` on average, if the others add, where the load is `rate * interval`:
/// for `kept` requests. Adds fail when nobody opens it for so long; with a part `p` of openers, that is one request in
/// `(exp(p * kept) - 1) / p`. An open fails if another has come within the time in which `tat` gets back to the hold: with
/// probability `p * load / (1 - load)`; and if all open, with probability `load`.
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

/// Whether a bucket is not as we left it; `None` if the answer does not tell, because an open hides what was there.
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

/// An average of the last second or so.
#[derive(Debug, Clone, Copy, Default)]
struct Rate {
    per_second: f64,
    /// Until when it is counted.
    until: Option<Nanos>,
    /// Counted since, when no time had passed.
    pending: f64,
}

impl Rate {
    /// So many more came until `now`.
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
        // The first time, and when the clock was set back, there is nothing to average over.
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
