//! Why a request cannot pass, and from when on it can.

use jiff::Timestamp;

use super::rollover::{signed, spent};
use super::{ChargeRequest, owed};
use crate::bucket::Bucket;
use crate::calendar::start_of;
use crate::limit::Quota;
use crate::meter::Meter;
use crate::plan::PLAN_BUCKET;
use crate::verdict::Reason;

/// Why a request is refused, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// The limit that holds longest.
    pub reason: Reason,
    /// The first instant at which the request would pass; `None` if it never does under this plan.
    pub until: Option<Timestamp>,
}

/// Why `ask` cannot pass on `meter`: the limit that holds longest. `None` if every limit has room.
pub fn refusal(meter: &Meter, ask: &ChargeRequest) -> Option<Refusal> {
    let buckets = ask
        .limits
        .buckets()
        .filter_map(|(id, bucket)| bucket_refusal(id, bucket, meter, ask));
    let quota = ask
        .limits
        .quota
        .and_then(|quota| quota_refusal(meter, &quota, ask));
    buckets
        .chain(quota)
        .max_by_key(|refusal| refusal.until.unwrap_or(Timestamp::MAX))
}

fn bucket_refusal(id: &str, bucket: Bucket, meter: &Meter, ask: &ChargeRequest) -> Option<Refusal> {
    let now = ask.time();
    let reason = if id == PLAN_BUCKET {
        Reason::Rate
    } else {
        Reason::MethodRate
    };
    let Some(tolerance) = bucket.tolerance(ask.cost.get()) else {
        return Some(Refusal {
            reason: if bucket.burst() == 0 {
                reason
            } else {
                Reason::CostExceedsBurst
            },
            until: None,
        });
    };
    let level = meter.buckets.get(id)?;
    let passes_at = owed(meter, *level, bucket, ask).tat - tolerance;
    (passes_at > now).then(|| Refusal {
        reason,
        until: Some(Timestamp::from_nanosecond(passes_at - ask.ahead).unwrap_or(Timestamp::MAX)),
    })
}

fn quota_refusal(meter: &Meter, quota: &Quota, ask: &ChargeRequest) -> Option<Refusal> {
    let cost = u64::from(ask.cost.get());
    let (period, spent) = spent(meter, quota, ask.history, ask.now);
    let after = spent.saturating_add_unsigned(cost);
    (after > signed(quota.limit())).then(|| Refusal {
        reason: Reason::Quota,
        until: (cost <= quota.limit()).then(|| start_of(period.end())),
    })
}
