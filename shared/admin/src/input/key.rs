//! New API keys as wholes.

use jiff::Timestamp;
use tollgate_core::key::{KeyValue, MalformedKey};

use super::text::{Resource, customer_id, description, name};
use super::{Invalid, MethodLists, Tags, methods, stage_keys, tags, times};
use crate::keys::{NewKey, generate_value};

/// A new key as a caller states it, without its value.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeyDraft {
    /// The name.
    pub name: Option<String>,
    /// The description.
    pub description: Option<String>,
    /// The customer that the key belongs to.
    pub customer_id: Option<String>,
    /// Whether the key admits requests.
    pub enabled: bool,
    /// The tags.
    pub tags: Tags,
    /// When the key expires, epoch seconds.
    pub expires_at: Option<i64>,
    /// The methods that the key may call; `None` for all that its plans open.
    pub restriction: Option<MethodLists>,
    /// API stages that the key names, `restApiId/stageName`.
    pub stage_keys: Vec<String>,
}

impl KeyDraft {
    /// The new key that it states, without its value.
    ///
    /// # Errors
    /// [`Invalid`].
    pub fn check(self, now: Timestamp) -> Result<NewKey, Invalid> {
        let expires = self.expires_at.map(|seconds| times::expiry(seconds, now));
        let restriction = self.restriction.as_ref();
        Ok(NewKey {
            name: name(Resource::ApiKey, self.name)?,
            description: description(Resource::ApiKey, self.description)?,
            customer_id: customer_id(self.customer_id)?,
            enabled: self.enabled,
            tags: tags::tags(self.tags)?,
            expires: expires.transpose()?,
            restriction: restriction.map(methods::restriction).transpose()?,
            stage_keys: stage_keys::stage_keys(self.stage_keys)?,
            ..NewKey::default()
        })
    }
}

/// The value that a caller brings along, or a generated one if it brings none.
///
/// # Errors
/// [`MalformedKey`] for a text that can be no key's value.
pub fn value_or_new(value: Option<&str>) -> Result<KeyValue, MalformedKey> {
    match value {
        None | Some("") => Ok(generate_value()),
        Some(value) => KeyValue::parse(value),
    }
}
