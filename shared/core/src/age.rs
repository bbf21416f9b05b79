//! How old a cached record may be. The engine never answers from an older one, and that includes refusals.
//!
//! If a record is older than its soft age, it is read again at the same time as the next write, for the request after that. If
//! it is older than its hard age, it is read before anything is answered.

use crate::moment::{Nanos, SECOND};

/// A plan's soft age.
pub const PLAN_SOFT: Nanos = 5 * SECOND;
/// A plan's hard age: the longest that an instance can miss an edit, and so the longest that a refusal by a bucket is repeated
/// from memory.
pub const PLAN_HARD: Nanos = 10 * SECOND;
/// A key's soft age. Every write confirms the key's revision, so rereading only matters for records that were changed without
/// the management API.
pub const KEY_SOFT: Nanos = 60 * SECOND;
/// A key's hard age.
pub const KEY_HARD: Nanos = 300 * SECOND;
/// How long a refusal of an unknown key, by a spent quota, or by a limit that admits nothing is repeated from memory.
pub const NEGATIVE: Nanos = SECOND;
/// How recently the store must have confirmed a key for it to be admitted while the store does not answer, if that is
/// configured.
pub const CONFIRMED: Nanos = 60 * SECOND;

/// Whether a record of this age may still be used. A negative age counts as too old, because the clock was set back.
pub fn is_within(age: Nanos, longest: Nanos) -> bool {
    (0..=longest).contains(&age)
}
