//! How an instance fills one bucket that other instances may fill too; [`sharing`](crate::sharing) chooses the tactic.

use crate::moment::Nanos;

/// How an instance fills one bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tactic {
    /// How long an open keeps the bucket busy beyond its own request, in nanoseconds.
    pub hold: Nanos,
    /// If the bucket is busy for no longer than this, open it again.
    pub renew_under: Nanos,
    /// Whether other instances have probably filled the bucket since it was seen.
    pub assume_busy: bool,
}
