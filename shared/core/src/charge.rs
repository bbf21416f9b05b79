//! Charging: given a meter as it was last seen and a request, the one conditional write that would charge it.
//!
//! The write states everything it relies on as a condition, so the meter may be out of date: then the write fails, the
//! store returns the meter as it is, and [`charge`](fn@charge) is asked again. Only the store's confirmation admits a request;
//! an outdated memory costs at most another attempt.
//!
//! - `effect`: what a charge does, as a list; `filling`: to buckets; `rollover`: to day and quota period.
//! - `refusal`: why a request has no room, and until when; `set_remaining`: the charge by which management sets a quota.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use jiff::civil::Date;

use crate::calendar::Period;
use crate::limit::Quota;
use crate::limits::{BucketId, Limits};
use crate::meter::{ClosedDay, Meter, Revisions};
use crate::moment::Moment;
use crate::tactic::Tactic;

mod effect;
mod filling;
mod refusal;
mod rollover;
mod set_remaining;

pub use effect::{BucketUpdate, Charge, CloseDay, Effect, QuotaCharge, Spend, SpentBefore};
pub use refusal::{Refusal, refusal};
use rollover::Rollover;
pub use rollover::{History, missing_history, remaining, spent, today};
pub use set_remaining::{SetRemaining, set_remaining};

/// A request to charge a cost to a meter.
#[derive(Debug, Clone, Copy)]
pub struct ChargeRequest<'a> {
    /// When it is made.
    pub moment: Moment,
    /// The cost that it charges to every limit.
    pub cost: NonZeroU32,
    /// The revisions that we know.
    pub revisions: Revisions,
    /// The limits it meets, as they are on the day that it is charged to: the later one of its own and the meter's.
    pub limits: &'a Limits,
    /// The quota that was in force on the meter's day.
    pub quota_before: Option<Quota>,
    /// A closed day that is known to be archived.
    pub archived: Option<Date>,
    /// What was admitted in a period before the meter's day, if that was read.
    pub history: Option<History>,
    /// How to fill buckets that others fill too. A bucket without a tactic is filled as it was seen.
    pub tactics: &'a BTreeMap<BucketId, Tactic>,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Try this charge; if it passes, the request is admitted.
    Charge(Charge),
    /// First make the newer revisions known, then ask again: it shuts out writers under the old ones.
    SyncRevisions(Revisions),
    /// First make this charge of nothing, which converts buckets to the pace of these limits, then ask again.
    RebaseBuckets(Charge),
    /// First archive this closed day, so that another can close, then ask again.
    ArchiveDay(ClosedDay),
    /// First sum up what was admitted in this period before this day, then ask again: the quota was changed to one that began
    /// before the meter's day.
    LoadHistory(Period, Date),
    /// Refuse.
    Refuse(Refusal),
    /// The meter has a later revision of the key, or is retired: read the key again.
    KeyChanged,
    /// The meter was charged under a later revision of the plan: read the plan again.
    PlanChanged,
}

/// The step that decides `request` on `meter`.
pub fn charge(meter: &Meter, request: &ChargeRequest) -> Step {
    let (known, ours) = (meter.revisions, request.revisions);
    if known.key > ours.key || meter.retired {
        return Step::KeyChanged;
    }
    if known.plan > ours.plan {
        return Step::PlanChanged;
    }
    let rebases = filling::rebases(meter, request);
    if known != ours && !rebases.is_empty() {
        // Shut out writers under the old limits before converting what they would go on changing.
        return Step::SyncRevisions(ours);
    }
    let rollover = match Rollover::of(meter, request) {
        Ok(rollover) => rollover,
        Err(period) => return Step::LoadHistory(period, meter.day),
    };
    let refusal = refusal(meter, request);
    // A debt that is not converted shrinks at the old pace; a refusal that ends must end at the new one.
    let rebases_first = |refusal: Refusal| !rebases.is_empty() && refusal.until.is_some();
    match refusal {
        Some(refusal) if !rebases_first(refusal) => return Step::Refuse(refusal),
        _ => {}
    }
    if let Some(closed) = rollover.waiting(meter, request) {
        return Step::ArchiveDay(closed);
    }
    if refusal.is_some() {
        Step::RebaseBuckets(write(meter, request, &rollover, 0, rebases))
    } else {
        let fills = filling::fills(meter, request);
        Step::Charge(write(meter, request, &rollover, request.cost.get(), fills))
    }
}

fn write(
    meter: &Meter,
    request: &ChargeRequest,
    rollover: &Rollover,
    cost: u32,
    fills: Vec<Effect>,
) -> Charge {
    let mut effects = rollover.effects(meter, request, cost);
    effects.extend(fills);
    if rollover.closes {
        effects.extend(filling::drop_idle(meter, request));
    }
    Charge {
        cost,
        revisions: request.revisions,
        revisions_may_be_new: meter.revisions != request.revisions,
        now: request.moment.bucket_time(),
        effects,
    }
}
