//! Sets how much of a quota is spent.

use jiff::Timestamp;

use super::rollover::{closed_limit, count, today};
use super::{Charge, Effect, QuotaCharge, Spend, SpentBefore};
use crate::limit::Quota;
use crate::meter::{Meter, Revisions};

/// A request to set how much of the current period's quota counts as spent.
#[derive(Debug, Clone, Copy)]
pub struct SetRemaining<'a> {
    /// The time of the request.
    pub now: Timestamp,
    /// The amount spent; negative if management grants more than the quota's limit.
    pub spent: i64,
    /// The quota in force now.
    pub quota: &'a Quota,
    /// The quota that was in force on the meter's day.
    pub quota_before: Option<Quota>,
    /// The revisions of the key's record and the plan.
    pub revisions: Revisions,
}

/// Returns the write that sets the amount spent: a charge of zero, which opens day and period if they are over. Counts do not
/// change. If a closed day waits, archive it first, because the write removes it.
pub fn set_remaining(meter: &Meter, request: &SetRemaining) -> Charge {
    let SetRemaining { quota, .. } = request;
    let day = today(meter, request.now);
    let limit = closed_limit(meter, request.quota_before);
    let archived = meter.closed.map(|closed| closed.day);
    let mut effects = count(meter, day, limit, archived);
    effects.push(Effect::Spend(Spend {
        period_before: meter.period,
        quota: Some(QuotaCharge {
            period: quota.period_of(day),
            before: SpentBefore::Granted(request.spent),
            room: i128::from(quota.limit()),
        }),
    }));
    Charge {
        cost: 0,
        revisions: request.revisions,
        revisions_may_be_new: true,
        now: request.now.as_nanosecond(),
        effects,
    }
}
