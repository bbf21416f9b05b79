//! Why a request has no room, and when it will have room again.

use jiff::Timestamp;

use super::ChargeRequest;
use super::filling::owed;
use super::rollover::{signed, spent};
use crate::bucket::Bucket;
use crate::calendar::start_of;
use crate::limit::Quota;
use crate::limits::Rule;
use crate::meter::Meter;
use crate::reason::Reason;

/// Why a request is refused, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// The limit that refuses the request for longest.
    pub reason: Reason,
    /// The first instant at which the request would be admitted; `None` if it never can be under this plan.
    pub until: Option<Timestamp>,
}

/// Returns the refusal of `request` on `meter`, by the limit that refuses it for longest. `None` if every limit has room.
pub fn refusal(meter: &Meter, request: &ChargeRequest) -> Option<Refusal> {
    let refusals = request.limits.iter().filter_map(|limit| {
        let reason = limit.kind.reason();
        match &limit.rule {
            Rule::Bucket(id, bucket) => by_bucket(reason, id, *bucket, meter, request),
            Rule::Quota(quota) => by_quota(reason, quota, meter, request),
        }
    });
    refusals.max_by_key(|refusal| refusal.until.unwrap_or(Timestamp::MAX))
}

fn by_bucket(
    reason: Reason,
    id: &str,
    bucket: Bucket,
    meter: &Meter,
    request: &ChargeRequest,
) -> Option<Refusal> {
    let never = |reason| Refusal {
        reason,
        until: None,
    };
    if bucket.burst() == 0 {
        return Some(never(reason));
    }
    let Some(tolerance) = bucket.tolerance(request.cost.get()) else {
        return Some(never(Reason::CostExceedsBurst));
    };
    let level = meter.buckets.get(id)?;
    let passes_at = owed(meter, *level, bucket, request).tat - tolerance;
    (passes_at > request.moment.bucket_time()).then(|| Refusal {
        reason,
        until: Some(request.moment.when(passes_at)),
    })
}

fn by_quota(
    reason: Reason,
    quota: &Quota,
    meter: &Meter,
    request: &ChargeRequest,
) -> Option<Refusal> {
    let cost = u64::from(request.cost.get());
    let (period, spent) = spent(meter, quota, request.history, request.moment.now);
    let after = spent.saturating_add_unsigned(cost);
    (after > signed(quota.limit())).then(|| Refusal {
        reason,
        until: (cost <= quota.limit()).then(|| start_of(period.end())),
    })
}
