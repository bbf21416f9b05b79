//! How day and quota period roll over between a meter's last charge and now.

use jiff::Timestamp;
use jiff::civil::Date;

use super::{ChargeRequest, CloseDay, Effect, History, QuotaCharge, Spend, SpentBefore};
use crate::calendar::{Period, day_of};
use crate::limit::Quota;
use crate::meter::{ClosedDay, Meter};

/// Returns the quota's period at `now` and the amount spent in it, whenever the meter was last charged. If an edit changed the
/// quota to a period that began before the meter's day, `history` supplies the cost admitted before that day; without it, that
/// cost is left out.
pub fn spent(
    meter: &Meter,
    quota: &Quota,
    history: Option<History>,
    now: Timestamp,
) -> (Period, i64) {
    let period = quota.period_of(today(meter, now));
    let admitted = history_of(meter, period, history).unwrap_or(0);
    let spent = match before(meter, period, admitted) {
        SpentBefore::Spent => meter.spent,
        SpentBefore::Nothing => 0,
        SpentBefore::CountAnd(more) => signed(meter.count.saturating_add(more)),
        SpentBefore::Granted(spent) => spent,
    };
    (period, spent)
}

/// What remains of a quota after `spent`.
pub fn remaining(quota: &Quota, spent: i64) -> u64 {
    let remaining = signed(quota.limit()).saturating_sub(spent);
    u64::try_from(remaining).unwrap_or(0)
}

/// Converts a count to a signed number, like the amount spent.
pub(super) fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// The day to charge a request at `now` to. If the meter's day is later than our clock's day, the meter's day is used, so that
/// time never runs backwards. If no clock can have reached the meter's day, the item is corrupt, and that day is closed as if
/// it were over.
pub fn today(meter: &Meter, now: Timestamp) -> Date {
    let today = day_of(now);
    if meter.is_of_its_day(today) {
        today.max(meter.day)
    } else {
        today
    }
}

/// The period and the day before which its history is needed to tell how much of `quota` is spent. `None` if the meter or
/// `history` is enough.
pub fn missing_history(
    meter: &Meter,
    quota: &Quota,
    history: Option<History>,
    now: Timestamp,
) -> Option<(Period, Date)> {
    let period = quota.period_of(today(meter, now));
    let is_known = history_of(meter, period, history).is_some();
    (!is_known).then_some((period, meter.day))
}

fn before(meter: &Meter, period: Period, admitted: u64) -> SpentBefore {
    if meter.period == Some(period) {
        SpentBefore::Spent
    } else if period.start > meter.day {
        SpentBefore::Nothing
    } else {
        SpentBefore::CountAnd(admitted)
    }
}

/// The cost admitted in `period` before the meter's day; `None` if it has to be read first.
fn history_of(meter: &Meter, period: Period, history: Option<History>) -> Option<u64> {
    if meter.period == Some(period) || period.start >= meter.day {
        return Some(0);
    }
    history
        .filter(|history| history.period == period && history.before == meter.day)
        .map(|history| history.admitted)
}

/// How day and quota period roll over between the meter's last charge and now.
pub(super) struct Rollover {
    day: Date,
    /// Whether the meter's day is over.
    pub(super) closes: bool,
    quota: Option<(Quota, Period, SpentBefore)>,
}

impl Rollover {
    /// Computes the rollover, or returns the period whose history has to be read first.
    pub(super) fn of(meter: &Meter, request: &ChargeRequest) -> Result<Self, Period> {
        let day = today(meter, request.moment.now);
        let quota = request.limits.quota().map(|quota| {
            let period = quota.period_of(day);
            let admitted = history_of(meter, period, request.history).ok_or(period)?;
            Ok((quota, period, before(meter, period, admitted)))
        });
        Ok(Self {
            day,
            closes: day != meter.day,
            quota: quota.transpose()?,
        })
    }

    /// The closed day that has to be archived before another day can be closed.
    pub(super) fn waiting(&self, meter: &Meter, request: &ChargeRequest) -> Option<ClosedDay> {
        meter
            .closed
            .filter(|closed| self.closes && request.archived != Some(closed.day))
    }

    /// The effects that a charge of `cost` has on day and quota.
    pub(super) fn effects(&self, meter: &Meter, request: &ChargeRequest, cost: u32) -> Vec<Effect> {
        let archived = meter.closed.map(|closed| closed.day);
        let archived = archived.filter(|day| request.archived == Some(*day));
        let limit = closed_limit(meter, request.quota_before);
        let mut effects = count(meter, self.day, limit, archived);
        effects.push(Effect::Spend(Spend {
            period_before: meter.period,
            quota: self.quota.map(|(quota, period, before)| QuotaCharge {
                period,
                before,
                room: match cost {
                    // A charge of zero always has room.
                    0 => i128::from(u64::MAX),
                    cost => i128::from(quota.limit()) - i128::from(cost),
                },
            }),
        }));
        effects
    }
}

/// Counts a cost for `day`. If the meter is at another day, this closes that day; `archived` is the closed day that it may
/// replace.
pub(super) fn count(
    meter: &Meter,
    day: Date,
    limit: Option<u64>,
    archived: Option<Date>,
) -> Vec<Effect> {
    if day != meter.day {
        return vec![Effect::CloseDay(CloseDay {
            over: meter.day,
            opens: day,
            limit,
            replaces: archived,
        })];
    }
    let clear = archived.map(Effect::ClearArchived);
    [Effect::Count(day)].into_iter().chain(clear).collect()
}

/// The limit of the quota on the meter's day, if the meter's amount spent is of that quota's period.
pub(super) fn closed_limit(meter: &Meter, quota: Option<Quota>) -> Option<u64> {
    quota
        .filter(|quota| meter.period == Some(quota.period_of(meter.day)))
        .map(|quota| quota.limit())
}
