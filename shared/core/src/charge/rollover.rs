//! How day and quota period turn between a meter's last charge and now.

use jiff::Timestamp;
use jiff::civil::Date;

use super::{ChargeRequest, History, SpentBefore};
use crate::calendar::{Period, day_of};
use crate::limit::Quota;
use crate::meter::Meter;

/// The quota's period, and what is spent in it, as they stand at `now`, whatever the meter was last charged on. Where the
/// quota was changed to one that began before the meter's day, `history` says what was admitted until then; without it
/// nothing is counted for that time.
pub fn spent(
    meter: &Meter,
    quota: &Quota,
    history: Option<History>,
    now: Timestamp,
) -> (Period, i64) {
    let period = quota.period_of(today(meter, now));
    let admitted = history_of(meter, period, history).unwrap_or(0);
    let spent = match base(meter, period, admitted) {
        SpentBefore::Spent => meter.spent,
        SpentBefore::Nothing => 0,
        SpentBefore::CountAnd(more) => signed(meter.count.saturating_add(more)),
        SpentBefore::Granted(spent) => spent,
    };
    (period, spent)
}

/// What is left of a quota of which so much is spent.
pub fn remaining(quota: &Quota, spent: i64) -> u64 {
    let left = signed(quota.limit()).saturating_sub(spent);
    u64::try_from(left).unwrap_or(0)
}

/// A count as a signed number, which what is spent is.
pub(super) fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// The day that a request at `now` is charged to. A stored day later than our clock's wins: time never runs back. One that no
/// clock can have reached is damage, and is closed like a day that is over.
pub fn today(meter: &Meter, now: Timestamp) -> Date {
    let today = day_of(now);
    if meter.is_of_its_day(today) {
        today.max(meter.day)
    } else {
        today
    }
}

/// The period, and the day up to which what was admitted in it has to be known to tell what is spent of `quota`; `None` where
/// the meter alone tells, or `history` does.
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

fn base(meter: &Meter, period: Period, admitted: u64) -> SpentBefore {
    if meter.period == Some(period) {
        SpentBefore::Spent
    } else if period.start > meter.day {
        SpentBefore::Nothing
    } else {
        SpentBefore::CountAnd(admitted)
    }
}

/// What was admitted in `period` before the meter's day; `None` where that has to be summed up first.
fn history_of(meter: &Meter, period: Period, history: Option<History>) -> Option<u64> {
    if meter.period == Some(period) || period.start >= meter.day {
        return Some(0);
    }
    history
        .filter(|history| history.period == period && history.before == meter.day)
        .map(|history| history.admitted)
}

/// How day and period turn between the meter's last charge and now.
pub(super) struct Rollover {
    pub(super) day: Date,
    pub(super) close_day: Option<Date>,
    pub(super) quota: Option<(Period, SpentBefore)>,
}

impl Rollover {
    /// The turn; or the period that has to be summed up before it can be told.
    pub(super) fn of(meter: &Meter, ask: &ChargeRequest) -> Result<Self, Period> {
        let day = today(meter, ask.now);
        let period = ask.limits.quota.map(|quota| quota.period_of(day));
        let quota = period.map(|period| {
            let admitted = history_of(meter, period, ask.history).ok_or(period)?;
            Ok((period, base(meter, period, admitted)))
        });
        Ok(Self {
            day,
            close_day: (day != meter.day).then_some(meter.day),
            quota: quota.transpose()?,
        })
    }
}
