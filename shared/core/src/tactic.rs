//! How an instance fills one bucket that others may fill too; [`sharing`](crate::sharing) chooses it.

use crate::moment::Nanos;

/// How an instance fills one bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tactic {
    /// How long an open keeps the bucket busy beyond its own request.
    pub hold: Nanos,
    /// A bucket that is busy for no longer than this is opened again.
    pub renew_under: Nanos,
    /// Others have probably filled the bucket since it was seen.
    pub assume_busy: bool,
}
