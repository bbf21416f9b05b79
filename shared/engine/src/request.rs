//! A request to be decided.

use std::num::NonZeroU32;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::time::Instant;
use tollgate_core::plan::Target;

/// Tells the time.
pub type TimeSource = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// A request to be decided.
#[derive(Clone)]
pub struct Request<'a> {
    /// The credential it carries, if any.
    pub credential: Option<&'a str>,
    /// Where it goes.
    pub target: &'a Target,
    /// The cost it charges to every limit.
    pub cost: NonZeroU32,
    /// Tells the time. It is asked again for each attempt: at the time of the first attempt, buckets that others have filled
    /// since would look fuller than they are.
    pub clock: TimeSource,
    /// When an answer would come too late.
    pub deadline: Option<Instant>,
}
