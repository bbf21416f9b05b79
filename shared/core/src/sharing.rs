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
use crate::charge::{Charge, Fill};
use crate::meter::Meter;
use crate::plan::BucketId;

/// The longest hold, nanoseconds.
const LONGEST_HOLD: i128 = 100_000_000;
/// A hold takes at most this part of the burst: a twentieth.
const HOLD_SHARE: i128 = 20;
/// One in this many requests renews a hold of which less than half is left. If all did, all but one of those under way
/// together would fail.
pub const RENEWERS: u8 = 8;
/// Writes in a row that show nobody else before a bucket counts as our own again.
const FORGOTTEN_AFTER: u8 = 3;
/// How much the latest charge counts in the part of a meter's charges that fill a bucket.
const PART_WEIGHT: f64 = 1.0 / 16.0;

/// How an instance fills one bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tactic {
    /// How long an open keeps the bucket busy beyond its own request, nanoseconds.
    pub hold: i128,
    /// A bucket that is busy for no longer than this is opened again, nanoseconds.
    pub renew_under: i128,
    /// Others have probably filled the bucket since it was seen.
    pub assume_busy: bool,
}

/// The circumstances of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Circumstances {
    /// How long ago the meter was seen, nanoseconds.
    pub seen_ago: i128,
    /// How long ago the first try of the same charge was sent, nanoseconds; `None` if this is the first.
    pub retrying_for: Option<i128>,
    /// A random number below [`RENEWERS`].
    pub draw: u8,
}

/// How long an open holds a bucket that is shared, nanoseconds: 100 ms or a twentieth of the burst, whichever is less. A hold
/// of less than half a request would do nothing.
pub fn hold_of(bucket: &Bucket) -> i128 {
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
        let hold = hold_of(bucket);
        if let Some(elapsed) = circumstances.retrying_for {
            // Long enough to last until a further try arrives, which then finds the bucket busy and adds to it. A bucket that
            // is emptied faster than that is left half of itself.
            let outlasts_a_try = 2 * elapsed - bucket.interval();
            let half = bucket.increment(bucket.burst()) / 2;
            return Tactic {
                hold: hold.max(outlasts_a_try.min(half)),
                ..Tactic::default()
            };
        }
        if !self.keeps_busy(neighbours, bucket, hold) {
            return Tactic {
                hold,
                ..Tactic::default()
            };
        }
        Tactic {
            hold,
            renew_under: if circumstances.draw == 0 { hold / 2 } else { 0 },
            assume_busy: circumstances.seen_ago > hold / 2,
        }
    }

    /// Whether enough requests come to keep a bucket busy, so that one which looks idle has probably been opened by others.
    ///
    /// Of requests that add without knowing, one fails each time the bucket runs out: after `hold / (1 - load)`, where the load
    /// is `rate * interval`. Of requests that open without knowing, those fail that come within an interval of another: a
    /// part of `load`. The former are fewer if `load * (rate * hold + 1) > 1`.
    fn keeps_busy(&self, neighbours: &Neighbours, bucket: &Bucket, hold: i128) -> bool {
        let rate = self.rate.per_second * neighbours.part;
        let load = rate * seconds(bucket.interval());
        hold > 0 && load * (rate * seconds(hold) + 1.0) > 1.0
    }

    /// Learns from the answer to a write: the meter as it was seen `before` it, and as it is `after`, at `now` in nanoseconds.
    pub fn learn(
        &mut self,
        before: &Meter,
        charge: &Charge,
        after: &Meter,
        applied: bool,
        now: i128,
    ) {
        let since = if before.day == after.day {
            after.count.saturating_sub(before.count)
        } else {
            after.count
        };
        self.rate.count(since, now);
        let ours = if applied { u64::from(charge.cost) } else { 0 };
        for (id, fill) in &charge.buckets {
            let neighbours = self.buckets.entry(id.clone()).or_default();
            let sign = sign_of_others(id, fill, before, after, applied)
                .unwrap_or(neighbours.remembered_for > 0 && since > ours);
            neighbours.remembered_for = if sign {
                FORGOTTEN_AFTER
            } else {
                neighbours.remembered_for.saturating_sub(1)
            };
        }
        for (id, neighbours) in &mut self.buckets {
            let is_filled = charge.buckets.iter().any(|(filled, _)| filled == id);
            let now = f64::from(u8::from(is_filled));
            neighbours.part = if neighbours.part == 0.0 {
                now
            } else {
                neighbours.part + PART_WEIGHT * (now - neighbours.part)
            };
        }
    }
}

/// Whether a bucket is not as we left it; `None` if the answer does not tell, because an open hides what was there.
fn sign_of_others(
    id: &str,
    fill: &Fill,
    before: &Meter,
    after: &Meter,
    applied: bool,
) -> Option<bool> {
    let tat = |meter: &Meter| meter.buckets.get(id).map(|level| level.tat);
    match fill {
        _ if !applied => Some(tat(before) != tat(after)),
        Fill::Add { add, .. } => Some(tat(before).map(|tat| tat + add) != tat(after)),
        Fill::Open { .. } | Fill::Convert { .. } => None,
    }
}

/// An average of the last second or so.
#[derive(Debug, Clone, Copy, Default)]
struct Rate {
    per_second: f64,
    /// Until when it is counted, nanoseconds since the epoch.
    until: Option<i128>,
    /// Counted since, when no time had passed.
    pending: f64,
}

impl Rate {
    /// So many more came until `now`.
    fn count(&mut self, more: u64, now: i128) {
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

fn seconds(nanoseconds: i128) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    let nanoseconds = nanoseconds as f64;
    nanoseconds / 1e9
}
