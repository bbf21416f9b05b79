//! Tags of keys and plans.

use std::collections::BTreeMap;

/// Tags that a resource can have.
const MAX_TAGS: usize = 50;
/// Characters that a tag's key can have; it has one at least.
const MAX_KEY: usize = 128;
/// Characters that a tag's value can have.
const MAX_VALUE: usize = 256;

/// Tags by key.
pub type Tags = BTreeMap<String, String>;

/// Tags that break a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTags {
    /// Too many for one resource.
    #[error("a resource can have {max} tags, got {got}")]
    TooMany {
        /// Tags that it can have.
        max: usize,
        /// Tags that it would have.
        got: usize,
    },
    /// An empty or too long key, or a too long value.
    #[error("the key of a tag has 1 to {max_key} characters, its value at most {max_value}")]
    Length {
        /// Characters that a key can have.
        max_key: usize,
        /// Characters that a value can have.
        max_value: usize,
    },
}

/// All tags of a resource.
///
/// # Errors
/// [`InvalidTags`].
pub fn tags(tags: Tags) -> Result<Tags, InvalidTags> {
    if tags.len() > MAX_TAGS {
        return Err(InvalidTags::TooMany {
            max: MAX_TAGS,
            got: tags.len(),
        });
    }
    let fits = |(key, value): (&String, &String)| {
        (1..=MAX_KEY).contains(&key.chars().count()) && value.chars().count() <= MAX_VALUE
    };
    if !tags.iter().all(fits) {
        return Err(InvalidTags::Length {
            max_key: MAX_KEY,
            max_value: MAX_VALUE,
        });
    }
    Ok(tags)
}
