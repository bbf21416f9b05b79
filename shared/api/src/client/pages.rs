//! Lists, page by page.

use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use url::Url;

use super::call::append_query;
use super::{Client, Error};

/// Entries on a page: the most that the API gives.
const PAGE_SIZE: &str = "500";

/// A resource that is read page by page.
#[derive(Debug)]
pub struct Pages<'a, T> {
    client: &'a Client,
    url: Url,
    next: Next,
    page: PhantomData<T>,
}

/// Which page comes next.
#[derive(Debug)]
enum Next {
    First,
    From(String),
    End,
}

/// A page and where the next one begins.
#[derive(Deserialize)]
struct Positioned<T> {
    #[serde(default)]
    position: Option<String>,
    #[serde(flatten)]
    page: T,
}

/// A page of a list. Without entries, `item` may be absent or null.
#[derive(Deserialize)]
pub(super) struct Entries<T> {
    item: Option<Vec<T>>,
}

impl<'a, T: DeserializeOwned> Pages<'a, T> {
    pub(super) fn new(client: &'a Client, url: Url) -> Self {
        Self {
            client,
            url,
            next: Next::First,
            page: PhantomData,
        }
    }

    /// Reads the next page; `None` after the last one.
    ///
    /// # Errors
    /// As [`Client::get`]. The same page can be asked for again.
    pub async fn next(&mut self) -> Result<Option<T>, Error> {
        let position = match &self.next {
            Next::First => "",
            Next::From(position) => position,
            Next::End => return Ok(None),
        };
        let mut url = self.url.clone();
        append_query(&mut url, &[("limit", PAGE_SIZE), ("position", position)]);
        let Positioned { position, page } = self.client.read(url).await?;
        let position = position.filter(|position| !position.is_empty());
        self.next = position.map_or(Next::End, Next::From);
        Ok(Some(page))
    }
}

/// Reads the entries of all pages, or the first `limit` of them.
pub(super) async fn entries<T: DeserializeOwned>(
    mut pages: Pages<'_, Entries<T>>,
    limit: Option<usize>,
) -> Result<Vec<T>, Error> {
    let limit = limit.unwrap_or(usize::MAX);
    let mut entries = Vec::new();
    while entries.len() < limit {
        match pages.next().await? {
            Some(page) => entries.extend(page.item.into_iter().flatten()),
            None => break,
        }
    }
    entries.truncate(limit);
    Ok(entries)
}
