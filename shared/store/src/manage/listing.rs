//! Lists by index: partitions are sharded so that making many keys is not one hot partition, and merged in order.

use aws_sdk_dynamodb::types::AttributeValue;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future;

use super::{Error, Manager};
use crate::failure::Failure;
use crate::record::Item;
use crate::schema::{Index, PK};

/// Partitions of one list.
const SHARDS: u32 = 8;

/// DynamoDB takes no empty key; every sort key is after a single space.
const LOWEST: &str = " ";
/// The longest sort key that DynamoDB takes.
const MAX_SORT_BYTES: usize = 1024;

/// Which page of a list.
#[derive(Debug, Clone, Default)]
pub struct PageRequest {
    /// Where an earlier page ended.
    pub position: Option<String>,
    /// Entries at most.
    pub limit: usize,
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// Its entries.
    pub items: Vec<T>,
    /// Where the next one starts; `None` on the last.
    pub position: Option<String>,
}

/// A list: one logical partition of an index.
#[derive(Debug, Clone)]
pub(super) struct List {
    pub(super) index: Index,
    pub(super) partition: String,
    /// Only entries whose sort key starts with this.
    pub(super) prefix: String,
    pub(super) newest_first: bool,
}

impl List {
    /// A whole list, the newest entries first.
    pub(super) fn newest_first(index: Index, partition: String) -> Self {
        Self {
            index,
            partition,
            prefix: String::new(),
            newest_first: true,
        }
    }
}

/// The partition of `list` that the entry `id` is in.
pub(super) fn shard_of(list: &str, id: &str) -> String {
    format!("{list}#{}", crc32fast::hash(id.as_bytes()) % SHARDS)
}

/// A sort key by time of creation (milliseconds since the epoch), unique by id.
pub(super) fn by_time(created: i64, id: &str) -> String {
    format!("{created:014}#{id}")
}

impl Manager {
    /// The ids of one page of `list`, in order. Positions are sort keys, so pages survive whatever is
    /// inserted or removed between them.
    pub(super) async fn page(
        &self,
        list: &List,
        page: &PageRequest,
    ) -> Result<Page<String>, Error> {
        if page.limit == 0 {
            return Ok(Page {
                items: Vec::new(),
                position: None,
            });
        }
        let after = page
            .position
            .as_deref()
            .map(|position| decode(position, list));
        let after = after.transpose()?;
        let shards = (0..SHARDS).map(|shard| self.shard(list, shard, after.as_deref(), page.limit));
        let mut entries: Vec<_> = future::try_join_all(shards).await?.concat();
        entries.sort_unstable();
        if list.newest_first {
            entries.reverse();
        }
        let more = entries.len() > page.limit;
        entries.truncate(page.limit);
        let end = entries.last().map(|(sort, _)| URL_SAFE_NO_PAD.encode(sort));
        Ok(Page {
            position: end.filter(|_| more),
            items: entries.into_iter().map(|(_, id)| id).collect(),
        })
    }

    /// One shard's part of a page and one entry more, to see whether there is a next page.
    async fn shard(
        &self,
        list: &List,
        shard: u32,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, String)>, Error> {
        let (low, high) = bounds(list, after);
        let mut entries = Vec::new();
        let mut next = None;
        loop {
            let missing = i32::try_from(limit + 1 - entries.len()).unwrap_or(i32::MAX);
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
                .scan_index_forward(!list.newest_first)
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

/// The sort keys between which a page lies, both inclusive.
fn bounds(list: &List, after: Option<&str>) -> (String, String) {
    let low = list.prefix.clone();
    let high = highest(list);
    let low = if low.is_empty() {
        LOWEST.to_owned()
    } else {
        low
    };
    match after {
        Some(after) if list.newest_first => (low, after.to_owned()),
        Some(after) => (after.to_owned(), high),
        None => (low, high),
    }
}

/// U+10FFFF sorts after everything that a sort key can go on with.
fn highest(list: &List) -> String {
    format!("{}\u{10ffff}", list.prefix)
}

/// The sort key that a position stands for, which must be one that this list can have.
fn decode(position: &str, list: &List) -> Result<String, Error> {
    URL_SAFE_NO_PAD
        .decode(position)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .filter(|sort| sort.len() <= MAX_SORT_BYTES && sort.starts_with(&list.prefix))
        .filter(|sort| sort.as_str() >= LOWEST && *sort <= highest(list))
        .ok_or(Error::BadPosition)
}

fn string<'a>(item: &'a Item, name: &str) -> Option<&'a str> {
    item.get(name)?.as_s().ok().map(String::as_str)
}

fn text(text: String) -> AttributeValue {
    AttributeValue::S(text)
}
