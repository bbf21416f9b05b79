//! Lists of names with a common prefix: newest first while they are few, in the order of names beyond that.

use super::sort_key::{highest, is_sort_key, time_of};
use super::{Entry, List, cut};
use crate::{Admin, Error, Page};

/// Entries per shard that are sorted by time for a page. A thousand names are hardly ever spread so unevenly over eight shards
/// that a shard has more.
const SORTED: usize = 160;

/// The first character of a position in the order of names.
const NAME: char = 'n';
/// The first character of a position in the order of time.
const TIME: char = 't';

/// Where a page of names starts.
enum After {
    /// In the order of names, after this sort key.
    Name(String),
    /// Newest first, after this time.
    Time(String),
}

impl Admin {
    pub(super) async fn page_of_names(
        &self,
        list: &List,
        prefix: &str,
        position: Option<&str>,
        limit: usize,
    ) -> Result<Page<String>, Error> {
        let after = position.map(|position| read_position(position, prefix));
        let after = after.transpose()?;
        let (shards, is_complete) = match &after {
            Some(After::Name(sort)) => (self.shards(list, Some(sort), limit).await?, false),
            // The first page found few entries.
            Some(After::Time(_)) => (self.shards(list, None, usize::MAX / 2).await?, true),
            None => {
                let shards = self.shards(list, None, limit.max(SORTED)).await?;
                let is_complete = shards.iter().all(|shard| shard.len() <= SORTED);
                (shards, is_complete)
            }
        };
        let mut entries = shards.concat();
        if !is_complete {
            entries.sort_unstable();
            return Ok(cut(entries, limit, |(sort, _)| format!("{NAME}{sort}")));
        }
        let time_of = |(sort, id): &Entry| time_of(sort, id);
        entries.sort_by_cached_key(|entry| std::cmp::Reverse(time_of(entry)));
        if let Some(After::Time(after)) = after {
            entries.retain(|entry| time_of(entry) < after);
        }
        Ok(cut(entries, limit, |entry| {
            format!("{TIME}{}", time_of(entry))
        }))
    }
}

/// Reads a position, which must be possible in a list of this prefix.
fn read_position(position: &str, prefix: &str) -> Result<After, Error> {
    let can_be = |sort: &&str| {
        is_sort_key(sort) && sort.starts_with(prefix) && *sort <= highest(prefix).as_str()
    };
    let name = position.strip_prefix(NAME).filter(can_be);
    let time = position.strip_prefix(TIME);
    let name = name.map(|sort| After::Name(sort.to_owned()));
    name.or_else(|| time.map(|time| After::Time(time.to_owned())))
        .ok_or(Error::BadPosition)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_among_names_starts_with_their_prefix_and_is_a_sort_key() {
        assert!(read_position("nteam#1", "team").is_ok());
        // After all names of the prefix that can be.
        assert!(read_position("nteam\u{10ffff}\u{10ffff}z", "team").is_ok());
        assert!(read_position("nother", "team").is_err());
        assert!(read_position(&format!("nteam{}", "a".repeat(1_200)), "team").is_err());
        assert!(read_position("xteam", "team").is_err());
    }
}
