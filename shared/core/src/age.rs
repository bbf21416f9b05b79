//! How old something remembered may be. Nothing is answered from an entry that is older, refusals included.
//!
//! An entry older than its soft age is read again beside the next write, for the request after it. Past the hard age it is read
//! before anything is answered.

use crate::moment::{Nanos, SECOND};

/// A plan's soft age.
pub const PLAN_SOFT: Nanos = 5 * SECOND;
/// A plan's hard age: the longest that an edit stays unknown to an instance, and so the longest that a refusal by a bucket is
/// repeated from memory.
pub const PLAN_HARD: Nanos = 10 * SECOND;
/// A key's soft age. Every write confirms the key's record; this is for records that were changed by something other than
/// management.
pub const KEY_SOFT: Nanos = 60 * SECOND;
/// A key's hard age.
pub const KEY_HARD: Nanos = 300 * SECOND;
/// The longest that an unknown key, a spent quota, or a limit that admits nothing is repeated from memory.
pub const NEGATIVE: Nanos = SECOND;
/// The longest ago that the store confirmed a key which is admitted while the store is silent, if that is configured.
pub const CONFIRMED: Nanos = 60 * SECOND;

/// Whether something of this age may still be used. A negative age is too old: the clock was set back since.
pub fn is_within(age: Nanos, longest: Nanos) -> bool {
    (0..=longest).contains(&age)
}
