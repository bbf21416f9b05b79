//! Values of keys on the wire.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A key's value: what holds one can be logged or shown in an error without showing the value.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// The value itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(value: String) -> Self {
        Self(value)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use tollgate_dynamo::item::key::KeyRecord;

    use crate::api_keys::CreateApiKey;
    use crate::request::parse;
    use crate::rotations::CreateRotation;
    use crate::wire::{ApiKey, UsagePlanKey};

    const VALUE: &str = "a-value-of-the-users-own";

    #[test]
    fn what_holds_a_value_does_not_show_it_to_a_log() {
        let body = format!("{{\"value\": \"{VALUE}\"}}");
        let create: CreateApiKey = parse(body.as_bytes()).expect("valid");
        let rotation: CreateRotation = parse(body.as_bytes()).expect("valid");
        let shown = ApiKey::created(KeyRecord::default(), VALUE);
        let linked = UsagePlanKey::of(KeyRecord::default(), Some(VALUE.to_owned()));
        assert!(serde_json::to_string(&shown).is_ok_and(|json| json.contains(VALUE)));
        for text in [
            format!("{create:?}"),
            format!("{rotation:?}"),
            format!("{shown:?}"),
            format!("{linked:?}"),
        ] {
            assert!(text.contains("hidden") && !text.contains(VALUE), "{text}");
        }
    }
}
