//! Charging: finds the one conditional write that would charge a request to a meter, given the meter as it was last seen.
//!
//! The write states everything it relies on as a condition, so the meter may be out of date. In that case the write fails, the
//! store returns the current meter, and the caller calls [`charge`](fn@charge) again. A request is admitted only if the store
//! confirms the write; an outdated meter costs at most another attempt.
//!
//! - `effect`: the list of changes that a charge makes; `filling`: those to buckets; `rollover`: those to day and quota period.
//! - `history`: the sum of a period's closed days.
//! - `refusal`: why a request has no room, and until when; `set_remaining`: the charge with which management sets a quota.

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
mod history;
mod refusal;
mod rollover;
mod set_remaining;

pub use effect::{BucketUpdate, Charge, CloseDay, Effect, QuotaCharge, Spend, SpentBefore};
pub use history::History;
pub use refusal::{Refusal, refusal};
use rollover::Rollover;
pub use rollover::{missing_history, remaining, spent, today};
pub use set_remaining::{SetRemaining, set_remaining};

/// A request to charge a cost to a meter.
#[derive(Debug, Clone, Copy)]
pub struct ChargeRequest<'a> {
    /// The time of the decision.
    pub moment: Moment,
    /// The cost to charge to every limit.
    pub cost: NonZeroU32,
    /// The revisions of the key and the plan that this instance knows.
    pub revisions: Revisions,
    /// The limits that the request has to meet, as they are on the day it is charged to: the later of the request's day and the
    /// meter's day.
    pub limits: &'a Limits,
    /// The quota that was in force on the meter's day.
    pub quota_before: Option<Quota>,
    /// A closed day that this instance knows to be archived.
    pub archived: Option<Date>,
    /// The cost admitted in a period before the meter's day, if it was read.
    pub history: Option<History>,
    /// How to fill buckets that other instances fill too. A bucket without a tactic is filled according to the level last seen.
    pub tactics: &'a BTreeMap<BucketId, Tactic>,
}

/// The next step of a decision.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Attempt this charge. If the write succeeds, the request is admitted.
    Charge(Charge),
    /// First write the newer revisions to the meter, then decide again. This makes writers with older revisions fail.
    SyncRevisions(Revisions),
    /// First make this charge of zero, which converts buckets to the pace of the new limits, then decide again.
    RebaseBuckets(Charge),
    /// First archive this closed day, so that another day can be closed, then decide again.
    ArchiveDay(ClosedDay),
    /// First sum up the cost admitted in this period before this day, then decide again: an edit changed the quota to a period
    /// that began before the meter's day.
    LoadHistory(Period, Date),
    /// Refuse the request.
    Refuse(Refusal),
    /// The meter has a newer revision of the key, or is retired: read the key again.
    KeyChanged,
    /// The meter was charged under a newer revision of the plan: read the plan again.
    PlanChanged,
}

/// Chooses the step that decides `request` on `meter`.
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
        // First make writers with the old limits fail; otherwise they would change the buckets again after the conversion.
        return Step::SyncRevisions(ours);
    }
    let rollover = match Rollover::of(meter, request) {
        Ok(rollover) => rollover,
        Err(period) => return Step::LoadHistory(period, meter.day),
    };
    let refusal = refusal(meter, request);
    // Until it is converted, a debt shrinks at the old pace. A refusal that ends by itself must end at the new pace.
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
