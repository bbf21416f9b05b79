//! How a charge fills buckets that are idle, busy, or at the pace of earlier limits.

use super::{BucketUpdate, ChargeRequest, Effect};
use crate::bucket::{Bucket, Level};
use crate::limits::BucketId;
use crate::meter::Meter;
use crate::moment::Nanos;

/// Maximum number of buckets that one charge removes, because DynamoDB limits expressions to 4 KB.
const MAX_DROPPED: usize = 16;

/// Returns the updates that charge a request to each of its buckets.
pub(super) fn fills(meter: &Meter, request: &ChargeRequest) -> Vec<Effect> {
    let buckets = request.limits.buckets();
    buckets
        .map(|(id, bucket)| Effect::Fill(id.to_owned(), update(id, meter, bucket, request)))
        .collect()
}

fn update(id: &str, meter: &Meter, bucket: Bucket, request: &ChargeRequest) -> BucketUpdate {
    let level = meter.buckets.get(id).copied();
    let cost = request.cost.get();
    let (add, interval) = (bucket.increment(cost), bucket.interval());
    let rebase = level.and_then(|level| rebase(meter, level, bucket, request));
    if let Some((from, owed)) = rebase {
        let tat = owed.tat + add;
        return BucketUpdate::Convert {
            from,
            to: Level { tat, interval },
        };
    }
    let now = request.moment.bucket_time();
    // The cost fits an empty bucket; otherwise the request would have been refused.
    let tolerance = bucket.tolerance(cost).unwrap_or(0);
    let tactic = request.tactics.get(id).copied().unwrap_or_default();
    let open = |hold: Nanos| BucketUpdate::Open {
        to: Level {
            tat: now + hold + add,
            interval,
        },
        hold,
        is_there: level.is_some(),
    };
    match level {
        // The debt at the other pace has expired, but that is certain only of the level that was seen.
        Some(level) if level.interval != interval => open(0),
        Some(level) if tactic.assume_busy || level.tat - now > tactic.renew_under => {
            BucketUpdate::Add {
                interval,
                bound: now + tolerance,
                add,
            }
        }
        _ => open(tactic.hold.clamp(0, tolerance)),
    }
}

/// Converts a stored level to a bucket's limits: to their pace, and to a time that is plausible.
///
/// No charge fills a bucket beyond its burst. If one is filled further ahead, a wrong clock or a larger burst caused it. Its
/// debt at the time it was filled is kept if a lane records that time; otherwise the bucket counts as spent.
pub(super) fn owed(meter: &Meter, level: Level, bucket: Bucket, request: &ChargeRequest) -> Level {
    let now = request.moment.bucket_time();
    let owed = bucket.convert(level, now);
    let whole = bucket.increment(bucket.burst());
    let furthest = whole.saturating_add(request.moment.tolerance);
    if bucket.burst() == 0 || owed.tat - now <= furthest {
        return owed;
    }
    let is_possible = |time: &Nanos| (owed.tat - whole..=owed.tat).contains(time);
    let filled_at = meter.times().filter(is_possible).max();
    let tat = now + filled_at.map_or(whole, |time| owed.tat - time);
    Level { tat, ..owed }
}

/// If a busy bucket's stored level needs conversion, returns that level and the one that replaces it.
fn rebase(
    meter: &Meter,
    from: Level,
    bucket: Bucket,
    request: &ChargeRequest,
) -> Option<(Level, Level)> {
    let to = owed(meter, from, bucket, request);
    (from.tat > request.moment.bucket_time() && to != from).then_some((from, to))
}

/// Returns the updates that convert busy buckets of these limits to their current pace. They charge nothing.
pub(super) fn rebases(meter: &Meter, request: &ChargeRequest) -> Vec<Effect> {
    let update = |(id, bucket): (&str, Bucket)| {
        let (from, to) = rebase(meter, *meter.buckets.get(id)?, bucket, request)?;
        Some(Effect::Fill(
            id.to_owned(),
            BucketUpdate::Convert { from, to },
        ))
    };
    request.limits.buckets().filter_map(update).collect()
}

/// Removes idle buckets that this request does not fill.
pub(super) fn drop_idle(meter: &Meter, request: &ChargeRequest) -> Vec<Effect> {
    let now = request.moment.bucket_time();
    let is_filled = |id: &BucketId| request.limits.buckets().any(|(filled, _)| filled == id);
    let levels = meter.buckets.iter();
    levels
        .filter(|(id, level)| level.tat <= now && !is_filled(id))
        .map(|(id, _)| Effect::DropIdle(id.clone()))
        .take(MAX_DROPPED)
        .collect()
}
