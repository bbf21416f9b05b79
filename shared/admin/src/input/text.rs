//! Names, descriptions and customer ids.

use std::fmt;

/// Characters that a name can have.
const MAX_NAME: usize = 1024;
/// Characters that a description can have.
const MAX_DESCRIPTION: usize = 125_000;
/// Bytes that a description can have: a DynamoDB item holds 400 KB, and a record has more in it.
const MAX_DESCRIPTION_BYTES: usize = 350_000;
/// Characters that a customer id can have; it is the key of an index.
const MAX_CUSTOMER_ID: usize = 256;

/// The kind of thing that a text belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    /// An API key.
    ApiKey,
    /// A usage plan.
    UsagePlan,
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ApiKey => "API key",
            Self::UsagePlan => "usage plan",
        })
    }
}

/// A text that breaks a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidText {
    /// The name is too long.
    #[error("the name of the {resource} has more than {max} characters")]
    Name {
        /// The kind of thing it belongs to.
        resource: Resource,
        /// Characters that it can have.
        max: usize,
    },
    /// The description is too long.
    #[error(
        "the description of the {resource} has more than {max} characters or {max_bytes} bytes"
    )]
    Description {
        /// The kind of thing it belongs to.
        resource: Resource,
        /// Characters that it can have.
        max: usize,
        /// Bytes that it can have.
        max_bytes: usize,
    },
    /// The customer id is too long.
    #[error("the customer id has more than {max} characters")]
    CustomerId {
        /// Characters that it can have.
        max: usize,
    },
    /// A plan without a name.
    #[error("a usage plan needs a name")]
    NameMissing,
}

/// A name. No name and an empty one are the same.
///
/// # Errors
/// [`InvalidText::Name`].
pub fn name(resource: Resource, name: Option<String>) -> Result<Option<String>, InvalidText> {
    match name {
        Some(name) if name.chars().count() > MAX_NAME => Err(InvalidText::Name {
            resource,
            max: MAX_NAME,
        }),
        name => Ok(name.filter(|name| !name.is_empty())),
    }
}

/// The name of a plan, which needs one.
///
/// # Errors
/// [`InvalidText::Name`], [`InvalidText::NameMissing`].
pub fn plan_name(given: Option<String>) -> Result<String, InvalidText> {
    name(Resource::UsagePlan, given)?.ok_or(InvalidText::NameMissing)
}

/// A description.
///
/// # Errors
/// [`InvalidText::Description`].
pub fn description(
    resource: Resource,
    description: Option<String>,
) -> Result<Option<String>, InvalidText> {
    let is_too_long = description.as_ref().is_some_and(|text| {
        text.len() > MAX_DESCRIPTION_BYTES || text.chars().count() > MAX_DESCRIPTION
    });
    if is_too_long {
        return Err(InvalidText::Description {
            resource,
            max: MAX_DESCRIPTION,
            max_bytes: MAX_DESCRIPTION_BYTES,
        });
    }
    Ok(description)
}

/// The id of a key's customer. No id and an empty one are the same.
///
/// # Errors
/// [`InvalidText::CustomerId`].
pub fn customer_id(id: Option<String>) -> Result<Option<String>, InvalidText> {
    match id {
        Some(id) if id.chars().count() > MAX_CUSTOMER_ID => Err(InvalidText::CustomerId {
            max: MAX_CUSTOMER_ID,
        }),
        id => Ok(id.filter(|id| !id.is_empty())),
    }
}
