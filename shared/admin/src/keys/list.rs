//! Lists of keys, and the index entries of a key's item that they are read from.

use aws_sdk_dynamodb::types::AttributeValue;

use crate::listing::{List, by_name, by_time, prefix_of, shard_of};
use crate::{Admin, Error, Page, PageRequest};
use tollgate_dynamo::item::key::KeyRecord;
use tollgate_dynamo::item::{Item, ItemKey, to_item};
use tollgate_dynamo::schema::{BY_CREATED, BY_CUSTOMER, BY_NAME, Index};

/// Bytes of a name in the index; a DynamoDB sort key has 1024 at most.
const NAME_BYTES: usize = 900;

/// The list of all keys.
const ALL_KEYS: &str = "KEYS";
/// The list of all keys that have a name.
const NAMED_KEYS: &str = "NAMES";

/// The keys that a list shows, newest first. If more than a thousand names start with the prefix, they are listed by name.
#[derive(Debug, Clone, Default)]
pub struct KeyFilter {
    /// Only names that start with this, case-sensitive.
    pub name_prefix: Option<String>,
    /// Only keys of this customer.
    pub customer_id: Option<String>,
}

impl KeyFilter {
    fn list(&self) -> List {
        match (&self.customer_id, &self.name_prefix) {
            (Some(customer), _) => List::newest_first(BY_CUSTOMER, customer_list(customer)),
            (None, Some(prefix)) => {
                List::named(NAMED_KEYS.to_owned(), prefix_of(prefix, NAME_BYTES))
            }
            (None, None) => List::newest_first(BY_CREATED, ALL_KEYS.to_owned()),
        }
    }

    fn shows(&self, record: &KeyRecord) -> bool {
        !record.deleted
            && has_name_prefix(record, self.name_prefix.as_deref())
            && (self.customer_id.is_none() || self.customer_id == record.customer_id)
    }
}

/// Whether a key has a name with this prefix; without a prefix every key qualifies.
pub(crate) fn has_name_prefix(record: &KeyRecord, prefix: Option<&str>) -> bool {
    prefix.is_none_or(|prefix| {
        let name = record.name.as_ref();
        name.is_some_and(|name| name.starts_with(prefix))
    })
}

impl Admin {
    /// A page of keys.
    ///
    /// # Errors
    /// [`Error::BadPosition`].
    pub async fn keys(
        &self,
        filter: &KeyFilter,
        page: &PageRequest,
    ) -> Result<Page<KeyRecord>, Error> {
        let shows = |record: &KeyRecord| filter.shows(record);
        self.records(&filter.list(), page, ItemKey::key, shows)
            .await
    }
}

/// A key's item with its index entries. A deleted key is in no list.
pub(crate) fn item_of(record: &KeyRecord) -> Item {
    let mut item = to_item(&ItemKey::key(&record.id), record);
    if record.deleted {
        return item;
    }
    let id = record.id.as_str();
    let time = by_time(record.created, id);
    let mut list = |index: Index, list: &str, sort: String| {
        let shard = AttributeValue::S(shard_of(list, id));
        item.insert(index.pk.to_owned(), shard);
        item.insert(index.sk.to_owned(), AttributeValue::S(sort));
    };
    list(BY_CREATED, ALL_KEYS, time.clone());
    if let Some(name) = &record.name {
        let sort = by_name(prefix_of(name, NAME_BYTES), &time);
        list(BY_NAME, NAMED_KEYS, sort);
    }
    if let Some(customer) = &record.customer_id {
        list(BY_CUSTOMER, &customer_list(customer), time);
    }
    item
}

fn customer_list(customer: &str) -> String {
    format!("CUSTOMER#{customer}")
}
