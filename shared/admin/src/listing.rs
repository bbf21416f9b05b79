//! Lists by index: partitions are sharded so that making many keys is not one hot partition, and merged in order.

use aws_sdk_dynamodb::types::AttributeValue;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future;
use jiff::Timestamp;

use super::{Admin, Error};
use tollgate_dynamo::failure::Failure;
use tollgate_dynamo::item::Item;
use tollgate_dynamo::schema::{BY_NAME, Index, PK};

/// Partitions of one list.
const SHARDS: u32 = 8;

/// DynamoDB takes no empty key; every sort key is after a single space.
const LOWEST: &str = " ";
/// Names per partition that are sorted by time for a page. A thousand names are hardly ever spread so unevenly over eight
/// partitions that one has more.
const SORTED: usize = 160;

/// Digits of a time in a sort key: milliseconds since the epoch.
const TIME_DIGITS: usize = 14;

/// What the positions of the two orders of names start with.
const NAME: char = 'n';
const TIME: char = 't';

/// The longest sort key that DynamoDB takes.
const MAX_SORT_BYTES: usize = 1024;

/// Which page of a list.
#[derive(Debug, Clone, Default)]
pub struct PageRequest {
    /// Where an earlier page ended.
    pub position: Option<String>,
    /// Entries at most.
    pub limit: usize,
    /// What is listed, with its filters: positions are bound to it.
    pub list: String,
}

impl PageRequest {
    /// Where in the part `part` of the list the earlier page ended.
    ///
    /// # Errors
    /// [`Error::BadPosition`] for a position of another list.
    pub fn after(&self, part: &str) -> Result<Option<String>, Error> {
        let decoded = self.position.as_ref().map(|position| {
            let bytes = URL_SAFE_NO_PAD.decode(position).ok()?;
            let place = bytes.strip_prefix(&self.mark(part))?;
            String::from_utf8(place.to_vec()).ok()
        });
        match decoded {
            None => Ok(None),
            Some(place) => place.map(Some).ok_or(Error::BadPosition),
        }
    }

    /// The position at `place` in the part `part` of the list.
    pub fn position(&self, part: &str, place: &str) -> String {
        URL_SAFE_NO_PAD.encode([&self.mark(part), place.as_bytes()].concat())
    }

    /// What the positions of a list start with. It tells mistakes, and keeps no secret: a checksum does.
    fn mark(&self, part: &str) -> [u8; 4] {
        crc32fast::hash(format!("{}\n{part}", self.list).as_bytes()).to_be_bytes()
    }
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// Its entries.
    pub items: Vec<T>,
    /// Where the next one starts; `None` on the last.
    pub position: Option<String>,
}

impl<T> Default for Page<T> {
    fn default() -> Self {
        Self {
            items: Vec::new(),
            position: None,
        }
    }
}

/// A list: one logical partition of an index.
#[derive(Debug, Clone)]
pub(super) struct List {
    pub(super) index: Index,
    pub(super) partition: String,
    /// Only names that start with this; the index is by name then, and by time otherwise.
    pub(super) prefix: Option<String>,
}

impl List {
    /// A whole list, the newest entries first.
    pub(super) fn newest_first(index: Index, partition: String) -> Self {
        Self {
            index,
            partition,
            prefix: None,
        }
    }

    /// The entries whose names start with `prefix`: the newest first as long as they are few enough to be sorted for every
    /// page, and by name beyond, so that a page costs what a page may cost.
    pub(super) fn named(partition: String, prefix: &str) -> Self {
        Self {
            index: BY_NAME,
            partition,
            prefix: Some(prefix.to_owned()),
        }
    }
}

impl List {
    /// Which of all lists it is.
    fn part(&self) -> String {
        format!("{} {} {:?}", self.index.name, self.partition, self.prefix)
    }
}

/// Where a page of names starts.
enum After {
    /// After this entry in the order of names, by its sort key.
    Name(String),
    /// After this entry, newest first, by its time.
    Time(String),
}

/// An entry of a list: its sort key, and the id it stands for.
type Entry = (String, String);

/// The partition of `list` that the entry `id` is in.
pub(super) fn shard_of(list: &str, id: &str) -> String {
    format!("{list}#{}", crc32fast::hash(id.as_bytes()) % SHARDS)
}

/// A sort key by time of creation (milliseconds since the epoch), unique by id.
pub(super) fn by_time(created: Timestamp, id: &str) -> String {
    let created = created.as_millisecond();
    format!("{created:0TIME_DIGITS$}#{id}")
}

/// A sort key by name, and by time among those of one name.
pub(super) fn by_name(name: &str, time: &str) -> String {
    format!("{name}#{time}")
}

/// The time in a sort key by name. What release 0.2.0 wrote has none, and is the oldest.
fn time_of((sort, id): &Entry) -> String {
    let mut parts = sort.rsplitn(3, '#');
    let time = parts
        .nth(1)
        .filter(|time| time.len() == TIME_DIGITS && time.bytes().all(|byte| byte.is_ascii_digit()));
    format!("{}#{id}", time.unwrap_or("00000000000000"))
}

impl Admin {
    /// The ids of one page of `list`, in order. Positions are sort keys, so pages survive whatever is
    /// inserted or removed between them.
    pub(super) async fn page<I: From<String>>(
        &self,
        list: &List,
        page: &PageRequest,
    ) -> Result<Page<I>, Error> {
        let part = list.part();
        let position = page.after(&part)?;
        if page.limit == 0 {
            return Ok(Page::default());
        }
        let found = self.page_after(list, position, page.limit).await?;
        Ok(Page {
            position: found.position.map(|place| page.position(&part, &place)),
            items: found.items.into_iter().map(I::from).collect(),
        })
    }

    async fn page_after(
        &self,
        list: &List,
        position: Option<String>,
        limit: usize,
    ) -> Result<Page<String>, Error> {
        if let Some(prefix) = &list.prefix {
            let after = position.map(|position| named_position(&position, prefix));
            return self.page_of_names(list, after.transpose()?, limit).await;
        }
        if position.as_ref().is_some_and(|sort| !is_sort_key(sort)) {
            return Err(Error::BadPosition);
        }
        let shards = self.shards(list, position.as_deref(), limit).await?;
        let mut entries = shards.concat();
        entries.sort_unstable_by(|one, other| other.cmp(one));
        Ok(cut(entries, limit, |(sort, _)| sort.clone()))
    }

    async fn page_of_names(
        &self,
        list: &List,
        after: Option<After>,
        limit: usize,
    ) -> Result<Page<String>, Error> {
        let (shards, are_all) = match &after {
            Some(After::Name(sort)) => (self.shards(list, Some(sort), limit).await?, false),
            // They were few on the first page.
            Some(After::Time(_)) => (self.shards(list, None, usize::MAX / 2).await?, true),
            None => {
                let shards = self.shards(list, None, limit.max(SORTED)).await?;
                let are_all = shards.iter().all(|shard| shard.len() <= SORTED);
                (shards, are_all)
            }
        };
        let mut entries = shards.concat();
        if !are_all {
            entries.sort_unstable();
            return Ok(cut(entries, limit, |(sort, _)| format!("{NAME}{sort}")));
        }
        entries.sort_by_cached_key(|entry| std::cmp::Reverse(time_of(entry)));
        if let Some(After::Time(after)) = after {
            entries.retain(|entry| time_of(entry) < after);
        }
        Ok(cut(entries, limit, |entry| {
            format!("{TIME}{}", time_of(entry))
        }))
    }

    /// Each shard's part of a page.
    async fn shards(
        &self,
        list: &List,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Vec<Entry>>, Error> {
        let shards = (0..SHARDS).map(|shard| self.shard(list, shard, after, limit));
        future::try_join_all(shards).await
    }

    /// One shard's part of a page and one entry more, to see whether there is a next page.
    async fn shard(
        &self,
        list: &List,
        shard: u32,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Entry>, Error> {
        let (low, high) = bounds(list.prefix.as_deref(), after);
        // The entry that the page starts after comes as well, if it is still there.
        let wanted = limit + 1 + usize::from(after.is_some());
        let mut entries = Vec::new();
        let mut next = None;
        loop {
            let missing = i32::try_from(wanted - entries.len()).unwrap_or(i32::MAX);
            let answer = self
                .client()
                .query()
                .table_name(&self.table)
                .index_name(list.index.name)
                .key_condition_expression("#pk = :pk AND #sk BETWEEN :low AND :high")
                .expression_attribute_names("#pk", list.index.pk)
                .expression_attribute_names("#sk", list.index.sk)
                .expression_attribute_values(":pk", text(format!("{}#{shard}", list.partition)))
                .expression_attribute_values(":low", text(low.clone()))
                .expression_attribute_values(":high", text(high.clone()))
                .scan_index_forward(list.prefix.is_some())
                .limit(missing)
                .set_exclusive_start_key(next)
                .send()
                .await
                .map_err(Failure::from)?;
            let found = answer.items.unwrap_or_default();
            let found = found.iter().filter_map(|item| {
                let sort = string(item, list.index.sk)?;
                let (_, id) = string(item, PK)?.split_once('#')?;
                Some((sort.to_owned(), id.to_owned()))
            });
            let found = found.filter(|(sort, _)| Some(sort.as_str()) != after);
            entries.extend(found);
            next = answer.last_evaluated_key;
            if next.is_none() || entries.len() > limit {
                return Ok(entries);
            }
        }
    }
}

/// A page of the first entries, and its position where there are more.
fn cut(mut entries: Vec<Entry>, limit: usize, position: impl Fn(&Entry) -> String) -> Page<String> {
    let more = entries.len() > limit;
    entries.truncate(limit);
    let end = entries.last().filter(|_| more).map(position);
    Page {
        position: end,
        items: entries.into_iter().map(|(_, id)| id).collect(),
    }
}

/// The sort keys between which a page lies, both inclusive.
fn bounds(prefix: Option<&str>, after: Option<&str>) -> (String, String) {
    let Some(prefix) = prefix else {
        let high = after.map_or_else(|| highest(""), str::to_owned);
        return (LOWEST.to_owned(), high);
    };
    let low = if prefix.is_empty() { LOWEST } else { prefix };
    (after.unwrap_or(low).to_owned(), highest(prefix))
}

/// The last sort key that starts so: it goes on with the last character there is, to the full length.
fn highest(prefix: &str) -> String {
    const LAST: char = '\u{10ffff}';
    let room = MAX_SORT_BYTES.saturating_sub(prefix.len()) / LAST.len_utf8();
    let last = std::iter::repeat_n(LAST, room);
    prefix.chars().chain(last).collect()
}

/// The position of a page of names, which must be one that this prefix can have.
fn named_position(position: &str, prefix: &str) -> Result<After, Error> {
    let (name, time) = (position.strip_prefix(NAME), position.strip_prefix(TIME));
    let can_be = |sort: &&str| {
        is_sort_key(sort) && sort.starts_with(prefix) && *sort <= highest(prefix).as_str()
    };
    let name = name.filter(can_be);
    let name = name.map(|sort| After::Name(sort.to_owned()));
    name.or_else(|| time.map(|time| After::Time(time.to_owned())))
        .ok_or(Error::BadPosition)
}

/// Whether DynamoDB takes it for the sort key of a list.
fn is_sort_key(sort: &str) -> bool {
    sort.len() <= MAX_SORT_BYTES && sort >= LOWEST && sort <= highest("").as_str()
}

/// A text of an item.
pub(super) fn string<'a>(item: &'a Item, name: &str) -> Option<&'a str> {
    item.get(name)?.as_s().ok().map(String::as_str)
}

fn text(text: String) -> AttributeValue {
    AttributeValue::S(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_good_for_its_own_list_only() {
        let request = |list: &str, position: Option<String>| PageRequest {
            position,
            limit: 1,
            list: list.to_owned(),
        };
        let position = request("keys", None).position("a", "place");
        let after = |list, part| request(list, Some(position.clone())).after(part).ok();
        assert_eq!(after("keys", "a"), Some(Some("place".to_owned())));
        assert_eq!(after("keys", "b"), None);
        assert_eq!(after("plans", "a"), None);
        assert!(request("keys", Some(String::new())).after("a").is_err());
    }

    #[test]
    fn a_position_among_names_starts_with_their_prefix_and_is_a_sort_key() {
        assert!(named_position("nteam#1", "team").is_ok());
        // After all names of the prefix that can be.
        assert!(named_position("nteam\u{10ffff}\u{10ffff}z", "team").is_ok());
        assert!(named_position("nother", "team").is_err());
        assert!(named_position(&format!("nteam{}", "a".repeat(1_200)), "team").is_err());
        assert!(named_position("xteam", "team").is_err());
    }
}
