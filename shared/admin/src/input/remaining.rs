//! What a caller sets as left of a key's quota.

use crate::grants::MOST_REMAINING;

/// A text that is no number of requests that can be left.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("what is left of a quota is a whole number from 0 to {max}, got {got:?}")]
pub struct InvalidRemaining {
    /// The largest number.
    pub max: u64,
    /// The text.
    pub got: String,
}

/// The number of requests that a text says are left.
///
/// # Errors
/// [`InvalidRemaining`].
pub fn remaining(text: &str) -> Result<u64, InvalidRemaining> {
    let text = text.trim();
    let number = text.parse().ok();
    number
        .filter(|number| *number <= MOST_REMAINING)
        .ok_or_else(|| InvalidRemaining {
            max: MOST_REMAINING,
            got: text.to_owned(),
        })
}
