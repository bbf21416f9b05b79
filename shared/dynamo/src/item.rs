//! The content of the table's items, and the primary keys that they are stored under.
//!
//! - [`key`], [`plan`], [`lookup`]: the records of keys, plans and values; [`meter`]: the live counters; [`usage`]: closed
//!   days.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use serde::Serialize;
use serde::de::DeserializeOwned;

use tollgate_core::id::{KeyId, PlanId};
use tollgate_core::key::KeyHash;

use crate::failure::Corrupt;
use crate::schema::{ITEM_VERSION, PK, SK};

pub mod key;
pub mod lookup;
pub mod meter;
pub mod plan;
pub mod usage;

/// An item as DynamoDB returns it.
pub type Item = HashMap<String, AttributeValue>;

/// The primary key of an item.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ItemKey {
    /// The partition key.
    pub pk: String,
    /// The sort key.
    pub sk: String,
}

impl ItemKey {
    fn new(pk: String, sk: impl Into<String>) -> Self {
        Self { pk, sk: sk.into() }
    }

    /// The item with a key's record.
    pub fn key(id: &KeyId) -> Self {
        Self::new(format!("KEY#{id}"), "KEY")
    }

    /// The lookup item, which says which key a value belongs to.
    pub fn hash(hash: &KeyHash) -> Self {
        Self::new(format!("HASH#{hash}"), "HASH")
    }

    /// The item with a plan's record.
    pub fn plan(id: &PlanId) -> Self {
        Self::new(format!("PLAN#{id}"), "PLAN")
    }

    /// The item with a key's meter under a plan.
    pub fn meter(key: &KeyId, plan: &PlanId) -> Self {
        Self::new(format!("KEY#{key}"), format!("METER#{plan}"))
    }

    /// The item with a key's closed day under a plan; `day` is `yyyy-mm-dd`.
    pub fn usage(key: &KeyId, plan: &PlanId, day: impl std::fmt::Display) -> Self {
        Self::new(format!("KEY#{key}"), format!("USAGE#{plan}#{day}"))
    }

    /// The two attributes of the primary key.
    pub fn attributes(&self) -> Item {
        HashMap::from([
            (PK.to_owned(), AttributeValue::S(self.pk.clone())),
            (SK.to_owned(), AttributeValue::S(self.sk.clone())),
        ])
    }
}

impl std::fmt::Display for ItemKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.pk, self.sk)
    }
}

/// Builds the item of `record` under `key`.
pub fn to_item(key: &ItemKey, record: &impl Serialize) -> Item {
    let mut item: Item = serde_dynamo::aws_sdk_dynamodb_1::to_item(record)
        .expect("a record is a map of plain values");
    item.extend(key.attributes());
    item.insert("v".to_owned(), AttributeValue::N(ITEM_VERSION.to_string()));
    item
}

/// Checks that this release can read an item of this version.
///
/// # Errors
/// [`Corrupt`] if the item's version is later.
pub fn check_version(item: &Item) -> Result<(), Corrupt> {
    let Some(version) = item.get("v") else {
        // A meter has no version if management recorded a change in it before any charge created it.
        return Ok(());
    };
    let known = version.as_n().ok().and_then(|version| version.parse().ok());
    if known.is_some_and(|version: u8| version <= ITEM_VERSION) {
        Ok(())
    } else {
        Err(Corrupt {
            item: name_of(item),
            what: format!(
                "attribute v must be at most {ITEM_VERSION}, the version of items that this release knows; got {version:?}"
            ),
        })
    }
}

/// Parses the record that `item` holds.
///
/// # Errors
/// [`Corrupt`] if the item does not hold such a record.
pub fn from_item<T: DeserializeOwned>(item: Item) -> Result<T, Corrupt> {
    check_version(&item)?;
    let name = name_of(&item);
    serde_dynamo::aws_sdk_dynamodb_1::from_item(item).map_err(|error| Corrupt {
        item: name,
        what: error.to_string(),
    })
}

/// The primary key of an item, for messages.
pub fn name_of(item: &Item) -> String {
    let part = |name| {
        item.get(name)
            .and_then(|value: &AttributeValue| value.as_s().ok())
            .map_or("?", String::as_str)
    };
    format!("{} {}", part(PK), part(SK))
}
