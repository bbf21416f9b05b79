//! Setting what is left of a quota.

use jiff::Timestamp;

use super::turn::{signed, today};
use super::{Base, Charge, QuotaCharge};
use crate::limit::Quota;
use crate::meter::Meter;

/// What is to be left of the current period's quota.
#[derive(Debug, Clone, Copy)]
pub struct Grant<'a> {
    /// When it is set.
    pub now: Timestamp,
    /// What is left from then on.
    pub remaining: u64,
    /// The quota.
    pub quota: &'a Quota,
    /// The revision of the key's record.
    pub key_revision: u64,
    /// The revision of the plan.
    pub plan_revision: u64,
}

/// The write that sets what is left: a charge of nothing, which opens day and period where they are over. What was counted
/// stays as it is. A closed day that waits has to be written out before; the write drops it.
pub fn grant(meter: &Meter, grant: &Grant) -> Charge {
    let Grant { quota, .. } = grant;
    let day = today(meter, grant.now);
    let period = quota.period_of(day);
    let spent = signed(quota.limit()).saturating_sub(signed(grant.remaining));
    let of_closed_day = meter.period == Some(quota.period_of(meter.day));
    Charge {
        cost: 0,
        key_revision: grant.key_revision,
        plan_revision: grant.plan_revision,
        now: grant.now.as_nanosecond(),
        day,
        closes: (day > meter.day).then_some(meter.day),
        quota: Some(QuotaCharge {
            period,
            base: Base::Granted(spent),
            room: quota.limit(),
        }),
        period_before: meter.period,
        closed_limit: of_closed_day.then(|| quota.limit()),
        buckets: Vec::new(),
        prunes: Vec::new(),
        drops: meter.closed.map(|closed| closed.day),
    }
}
