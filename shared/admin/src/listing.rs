//! Lists by index. A list's partition is sharded, because creating keys would otherwise make it one hot partition; a page
//! merges its shards in order.

use futures_util::future;
use serde::de::DeserializeOwned;

use crate::{Admin, Error, Page, PageRequest};
use tollgate_dynamo::item::{Item, ItemKey};
use tollgate_dynamo::items::{Query, Range};
use tollgate_dynamo::schema::{BY_NAME, Index, PK};

mod names;
mod sort_key;

pub(crate) use sort_key::{by_name, by_time};

/// Shards of a list.
const SHARDS: u32 = 8;

/// A list: one logical partition of an index.
#[derive(Debug, Clone)]
pub(crate) struct List {
    index: Index,
    partition: String,
    /// Lists only names that start with this; the index is by name then, and by time otherwise.
    prefix: Option<String>,
}

/// An entry of a list: its sort key, and the id that it stands for.
type Entry = (String, String);

impl List {
    /// A whole list, newest entries first.
    pub(crate) fn newest_first(index: Index, partition: String) -> Self {
        Self {
            index,
            partition,
            prefix: None,
        }
    }

    /// The entries whose names start with `prefix`: newest first while they are few enough to sort for every page, by name
    /// beyond that, because a page must cost no more than its entries.
    pub(crate) fn named(partition: String, prefix: &str) -> Self {
        Self {
            index: BY_NAME,
            partition,
            prefix: Some(prefix.to_owned()),
        }
    }

    /// A name that tells it from all other lists, for positions.
    fn part(&self) -> String {
        format!("{} {} {:?}", self.index.name, self.partition, self.prefix)
    }
}

/// The shard of `list` that holds the entry `id`.
pub(crate) fn shard_of(list: &str, id: &str) -> String {
    format!("{list}#{}", crc32fast::hash(id.as_bytes()) % SHARDS)
}

/// As much of a name as fits into `bytes`.
pub(crate) fn prefix_of(name: &str, bytes: usize) -> &str {
    &name[..name.floor_char_boundary(bytes)]
}

impl Admin {
    /// One page of the records that `list` names, without those that are gone or that `shows` filters out.
    pub(crate) async fn records<I, T>(
        &self,
        list: &List,
        page: &PageRequest,
        item_key: impl Fn(&I) -> ItemKey,
        shows: impl Fn(&T) -> bool,
    ) -> Result<Page<T>, Error>
    where
        I: From<String>,
        T: DeserializeOwned,
    {
        let ids = self.page::<I>(list, page).await?;
        let keys: Vec<_> = ids.items.iter().map(item_key).collect();
        let mut records: Vec<T> = self.read_many(&keys).await?;
        records.retain(shows);
        Ok(Page {
            items: records,
            position: ids.position,
        })
    }

    /// The ids on one page of `list`, in order. Positions are sort keys: they stay valid whatever is inserted or removed between
    /// two pages.
    pub(crate) async fn page<I: From<String>>(
        &self,
        list: &List,
        page: &PageRequest,
    ) -> Result<Page<I>, Error> {
        let part = list.part();
        let after = page.after(&part)?;
        if page.limit == 0 {
            return Ok(Page::default());
        }
        let (after, limit) = (after.as_deref(), page.limit);
        let found = match &list.prefix {
            Some(prefix) => self.page_of_names(list, prefix, after, limit).await?,
            None => self.page_by_time(list, after, limit).await?,
        };
        Ok(Page {
            position: found.position.map(|place| page.position(&part, &place)),
            items: found.items.into_iter().map(I::from).collect(),
        })
    }

    async fn page_by_time(
        &self,
        list: &List,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<String>, Error> {
        if after.is_some_and(|sort| !sort_key::is_sort_key(sort)) {
            return Err(Error::BadPosition);
        }
        let mut entries = self.shards(list, after, limit).await?.concat();
        entries.sort_unstable_by(|a, b| b.cmp(a));
        Ok(cut(entries, limit, |(sort, _)| sort.clone()))
    }

    /// The part of a page that each shard holds.
    async fn shards(
        &self,
        list: &List,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Vec<Entry>>, Error> {
        let shards = (0..SHARDS).map(|shard| self.shard(list, shard, after, limit));
        future::try_join_all(shards).await
    }

    /// The part of a page that one shard holds, and one entry more, which shows that there is a next page.
    async fn shard(
        &self,
        list: &List,
        shard: u32,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Entry>, Error> {
        let (low, high) = sort_key::bounds(list.prefix.as_deref(), after);
        let partition = format!("{}#{shard}", list.partition);
        let query = Query::index(list.index, partition, Range::Between(low, high));
        let query = query.descending(list.prefix.is_none());
        // DynamoDB also returns the entry that the page starts after, if it is still there.
        let wanted = limit + 1 + usize::from(after.is_some());
        let mut entries = Vec::new();
        let mut start = None;
        loop {
            let missing = i32::try_from(wanted - entries.len()).unwrap_or(i32::MAX);
            let (items, next) = self.items.query_page(&query, start, Some(missing)).await?;
            let found = items.iter().filter_map(|item| entry(list.index, item));
            entries.extend(found.filter(|(sort, _)| Some(sort.as_str()) != after));
            start = next;
            if start.is_none() || entries.len() > limit {
                return Ok(entries);
            }
        }
    }
}

fn entry(index: Index, item: &Item) -> Option<Entry> {
    let sort = string(item, index.sk)?;
    let (_, id) = string(item, PK)?.split_once('#')?;
    Some((sort.to_owned(), id.to_owned()))
}

/// A page of the first `limit` entries, with its position if there are more.
fn cut(mut entries: Vec<Entry>, limit: usize, position: impl Fn(&Entry) -> String) -> Page<String> {
    let has_more = entries.len() > limit;
    entries.truncate(limit);
    let position = entries.last().filter(|_| has_more).map(position);
    Page {
        position,
        items: entries.into_iter().map(|(_, id)| id).collect(),
    }
}

/// The text in an attribute of an item.
pub(crate) fn string<'a>(item: &'a Item, name: &str) -> Option<&'a str> {
    item.get(name)?.as_s().ok().map(String::as_str)
}
