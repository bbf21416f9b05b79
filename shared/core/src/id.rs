//! Ids as types, so that an id of one kind cannot be used as an id of another kind.

use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Defines an id that is only compared, stored and shown.
macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl Deref for $name {
            type Target = str;

            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl From<String> for $name {
            fn from(id: String) -> Self {
                Self(id)
            }
        }

        impl From<&str> for $name {
            fn from(id: &str) -> Self {
                Self(id.to_owned())
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl PartialEq<str> for $name {
            fn eq(&self, other: &str) -> bool {
                self.0 == other
            }
        }

        impl PartialEq<&str> for $name {
            fn eq(&self, other: &&str) -> bool {
                self.0 == *other
            }
        }

        impl PartialEq<$name> for String {
            fn eq(&self, other: &$name) -> bool {
                *self == other.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

id! {
    /// The id of an API key. It is not a secret.
    KeyId
}

id! {
    /// The id of a usage plan.
    PlanId
}

id! {
    /// An API stage, written `apiId:stage`.
    StageId
}

/// A text that cannot name an API stage, because no API can have such an id or no stage such a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected apiId:stage of ASCII letters, digits and -_.$")]
pub struct InvalidStageId;

impl StageId {
    /// Builds the id of an API's stage.
    pub fn new(api_id: &str, stage: &str) -> Self {
        Self(format!("{api_id}:{stage}"))
    }

    /// The API's id.
    pub fn api_id(&self) -> &str {
        self.parts().0
    }

    /// The stage's name.
    pub fn stage(&self) -> &str {
        self.parts().1
    }

    fn parts(&self) -> (&str, &str) {
        self.0.split_once(':').unwrap_or((&self.0, ""))
    }
}

/// Whether a text can be the name of an API or a stage. Whether that API or stage exists cannot be checked here.
fn is_name(text: &str) -> bool {
    let is_known = |letter: char| letter.is_ascii_alphanumeric() || "-_.$".contains(letter);
    !text.is_empty() && text.chars().all(is_known)
}

impl FromStr for StageId {
    type Err = InvalidStageId;

    fn from_str(text: &str) -> Result<Self, InvalidStageId> {
        match text.split_once(':') {
            Some((api_id, stage)) if is_name(api_id) && is_name(stage) => Ok(Self(text.to_owned())),
            _ => Err(InvalidStageId),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_is_an_api_and_a_name_and_lacks_neither() {
        let stage: StageId = "abc:$default".parse().expect("a stage");
        assert_eq!((stage.api_id(), stage.stage()), ("abc", "$default"));
        assert_eq!(stage, StageId::new("abc", "$default"));
        for text in ["", ":", "abc", "abc:", ":prod", "a b:prod", "abc:prod:two"] {
            assert_eq!(text.parse::<StageId>(), Err(InvalidStageId), "{text}");
        }
    }
}
