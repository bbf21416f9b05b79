//! The shapes of the wire, as API Gateway's service model has them.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use tollgate_admin::Page;
use tollgate_core::id::KeyId;
use tollgate_dynamo::item::key::KeyRecord;

use crate::error::ApiError;

pub mod key;
pub mod plan;
pub mod secret;
pub mod stage_keys;

pub use key::{KeyFields, NewKeyFields, WireOverride};
pub use plan::{UsagePlan, WireQuota, WireStage, WireThrottle};
pub use secret::Secret;

/// Characters of a name at most.
const MAX_NAME: usize = 1024;
/// Characters of a description at most.
const MAX_DESCRIPTION: usize = 125_000;
/// A DynamoDB item holds 400 KB, and there is more in it.
const MAX_DESCRIPTION_BYTES: usize = 350_000;
const MAX_TAGS: usize = 50;
const MAX_TAG_KEY: usize = 128;
const MAX_TAG_VALUE: usize = 256;

/// Makes serde take a shape from a JSON object only: without it, a list would be read as the fields in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ObjectOnly {}

/// A shape that is read from a JSON object only. It does for shapes that deny unknown fields what [`ObjectOnly`] does for
/// the others: serde cannot combine that member with `deny_unknown_fields`.
pub(crate) struct Object<T>(pub(crate) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OfMap<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for OfMap<T> {
            type Value = T;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map))
            }
        }

        deserializer.deserialize_map(OfMap(PhantomData)).map(Self)
    }
}

/// A member that is an [`Object`], or is not there.
pub(crate) fn object<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    let object = Option::<Object<T>>::deserialize(deserializer)?;
    Ok(object.map(|Object(shape)| shape))
}

/// The largest number that API Gateway's model has room for: clients read its `Integer` into 32 bits, and some cannot read the
/// rest of an answer with a larger one in it.
pub(crate) const MAX_INTEGER: i64 = i32::MAX as i64;

/// The whole seconds that are over by then.
fn seconds(time: Timestamp) -> i64 {
    time.as_millisecond().div_euclid(1000)
}

/// Tags, by key.
pub type Tags = BTreeMap<String, String>;

/// Tags of a resource, its keys of 1 to 128 and its values of at most 256 characters, and no more than 50.
///
/// # Errors
/// [`ApiError::BadRequest`] names the rule.
pub fn tags(tags: Option<Tags>) -> Result<Tags, ApiError> {
    let tags = tags.unwrap_or_default();
    if tags.len() > MAX_TAGS {
        return Err(bad(format!(
            "Invalid tags: expected at most {MAX_TAGS}, got {}",
            tags.len()
        )));
    }
    for (key, value) in &tags {
        let (length, of_value) = (key.chars().count(), value.chars().count());
        if !(1..=MAX_TAG_KEY).contains(&length) || of_value > MAX_TAG_VALUE {
            return Err(bad(format!(
                "Invalid tags: expected keys of 1 to {MAX_TAG_KEY} characters and values of at most {MAX_TAG_VALUE}"
            )));
        }
    }
    Ok(tags)
}

/// A description of at most 125,000 characters, and of so many bytes that its item can hold it.
///
/// # Errors
/// [`ApiError::BadRequest`] in API Gateway's words; `what` is the resource.
pub fn description(what: &str, description: Option<String>) -> Result<Option<String>, ApiError> {
    match description {
        Some(text)
            if text.len() > MAX_DESCRIPTION_BYTES || text.chars().count() > MAX_DESCRIPTION =>
        {
            Err(bad(format!("Invalid {what} description specified.")))
        }
        description => Ok(description),
    }
}

/// A name of at most 1024 characters. No name and an empty one are the same.
///
/// # Errors
/// [`ApiError::BadRequest`] in API Gateway's words; `what` is the resource.
pub fn name(what: &str, name: Option<String>) -> Result<Option<String>, ApiError> {
    match name {
        Some(name) if name.chars().count() > MAX_NAME => Err(bad(format!(
            "Invalid {what} name, can be at most {MAX_NAME} characters."
        ))),
        name => Ok(name.filter(|name| !name.is_empty())),
    }
}

/// A list.
#[derive(Debug, Serialize)]
pub struct Items<T> {
    /// Its entries, present even where there is none.
    pub item: Vec<T>,
    /// Where the next page starts; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<String>,
}

impl<T> Items<T> {
    /// The list of a page.
    pub fn of<R>(page: Page<R>, show: impl FnMut(R) -> T) -> Self {
        Self {
            item: page.items.into_iter().map(show).collect(),
            position: page.position,
        }
    }
}

/// `ApiKey`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiKey {
    id: KeyId,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Secret>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    customer_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    enabled: bool,
    /// Epoch seconds.
    created_date: i64,
    /// Epoch seconds.
    last_updated_date: i64,
    stage_keys: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tags: Option<Tags>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tollgate: Option<KeyFields>,
}

impl ApiKey {
    /// A key without its value and its tags.
    pub fn of(record: KeyRecord) -> Self {
        Self {
            tollgate: KeyFields::of(&record),
            id: record.id,
            value: None,
            name: record.name,
            customer_id: record.customer_id,
            description: record.description,
            enabled: record.enabled,
            created_date: seconds(record.created),
            last_updated_date: seconds(record.updated),
            stage_keys: record.stage_keys,
            tags: None,
        }
    }

    /// With its value, where that is kept.
    #[must_use]
    pub fn valued(self, value: Option<String>) -> Self {
        Self {
            value: value.map(Secret::from),
            ..self
        }
    }

    /// With the last day on which it was charged, if there is one.
    #[must_use]
    pub fn last_used(mut self, day: Option<Date>) -> Self {
        if let Some(day) = day {
            self.tollgate.get_or_insert_default().last_used(day);
        }
        self
    }

    /// With its tags.
    pub fn tagged(record: KeyRecord) -> Self {
        let tags = Some(record.tags.clone());
        Self {
            tags,
            ..Self::of(record)
        }
    }

    /// As it is shown when it is made.
    pub fn created(record: KeyRecord, value: &str) -> Self {
        let tags = Some(record.tags.clone()).filter(|tags| !tags.is_empty());
        Self {
            value: Some(value.to_owned().into()),
            tags,
            ..Self::of(record)
        }
    }
}

/// `UsagePlanKey`.
#[derive(Debug, Serialize)]
pub struct UsagePlanKey {
    id: KeyId,
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Secret>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
}

impl UsagePlanKey {
    /// A key of a plan, with its value where that is kept.
    pub fn of(record: KeyRecord, value: Option<String>) -> Self {
        Self {
            id: record.id,
            r#type: "API_KEY",
            value: value.map(Secret::from),
            name: record.name,
        }
    }
}

/// The error for a field that is not what it has to be.
pub(crate) fn bad(message: String) -> ApiError {
    ApiError::BadRequest(message)
}
