//! The calls that a flow names, the replies to them, and what becomes of each request.

use jiff::civil::Date;

use crate::calendar::Period;
use crate::charge::Charge;
use crate::lane::Stamp;
use crate::meter::{ClosedDay, Meter, Revisions};
use crate::verdict::Verdict;

/// The next call.
#[derive(Debug, Clone, PartialEq)]
pub enum Next {
    /// Read this.
    Load(Load),
    /// Archive this closed day: write it to an item of its own.
    Archive(ClosedDay),
    /// Make this write to the meter.
    Write(Write),
    /// Wait before attempt `attempts + 1`, because the store throttles.
    Wait {
        /// The number of attempts so far.
        attempts: u32,
    },
    /// Everything is decided.
    Done,
}

/// A record to read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Load {
    /// The key with its meters.
    Key,
    /// The plan.
    Plan,
    /// Both the key and the plan.
    KeyAndPlan,
    /// The plan, if it will soon be too old. The batch is already decided, so a failure does not matter.
    AgeingPlan,
    /// The cost admitted in this period before this day.
    History(Period, Date),
}

/// A conditional write to the meter.
#[derive(Debug, Clone, PartialEq)]
pub enum Write {
    /// Write newer revisions to the meter.
    Sync(Revisions),
    /// Convert buckets; this charges nothing.
    Rebase(Charge),
    /// Charge requests. If the answer is lost, the stamp shows whether the write was applied. There is no stamp if no lane is
    /// free.
    Charge(Charge, Option<Stamp>),
}

/// The reply to a call. `E` is the driver's error.
#[derive(Debug, Clone)]
pub enum Reply<'a, E> {
    /// The read, or the archive of the closed day, is complete.
    Done,
    /// The write was applied; this is the meter after it.
    Applied(&'a Meter),
    /// A condition did not hold, and nothing was changed. This is the current meter, or `None` if it no longer exists.
    ConditionFailed(Option<&'a Meter>),
    /// The store throttled the call; nothing was changed.
    Throttled(E),
    /// No answer came: the write may have been applied, or may still be.
    Indeterminate(E),
    /// The call failed, and repeating it would not help.
    Failed(E),
}

/// The outcome of one request.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome<E> {
    /// The request is decided.
    Decided(Box<Verdict>),
    /// The limits of the batch have changed, or there was room only for other requests: decide this request from the start.
    Again {
        /// Whether this batch has read the key again.
        reread: bool,
    },
    /// The request cannot be decided, because a call failed.
    Failed(E),
    /// The request no longer waits for its outcome.
    TooLate,
}
