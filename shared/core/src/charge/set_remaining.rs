//! Setting what is spent of a quota.

use jiff::Timestamp;

use super::rollover::today;
use super::{Charge, QuotaCharge, SpentBefore, closed_limit};
use crate::limit::Quota;
use crate::meter::Meter;

/// What is to count as spent of the current period's quota.
#[derive(Debug, Clone, Copy)]
pub struct SetRemaining<'a> {
    /// When it is set.
    pub now: Timestamp,
    /// What is spent; negative where more is granted than the quota's limit.
    pub spent: i64,
    /// The quota.
    pub quota: &'a Quota,
    /// The quota that was in force on the meter's day.
    pub quota_before: Option<Quota>,
    /// The revision of the key's record.
    pub key_revision: u64,
    /// The revision of the plan.
    pub plan_revision: u64,
}

/// The write that sets what is spent: a charge of nothing, which opens day and period where they are over. What was counted
/// stays as it is. A closed day that waits has to be written out before; the write clear_archived it.
pub fn set_remaining(meter: &Meter, grant: &SetRemaining) -> Charge {
    let SetRemaining { quota, .. } = grant;
    let day = today(meter, grant.now);
    let period = quota.period_of(day);
    Charge {
        cost: 0,
        key_revision: grant.key_revision,
        plan_revision: grant.plan_revision,
        revisions_may_be_new: true,
        now: grant.now.as_nanosecond(),
        day,
        close_day: (day != meter.day).then_some(meter.day),
        quota: Some(QuotaCharge {
            period,
            base: SpentBefore::Granted(grant.spent),
            room: i128::from(quota.limit()),
        }),
        period_before: meter.period,
        closed_limit: closed_limit(meter, grant.quota_before),
        buckets: Vec::new(),
        drop_idle: Vec::new(),
        clear_archived: meter.closed.map(|closed| closed.day),
    }
}
