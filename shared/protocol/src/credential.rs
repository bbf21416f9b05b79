//! Finds the key in a request.

/// A part of a request that may carry a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// The header with this lower-case name.
    Header(String),
    /// The token of `Authorization: Bearer`.
    Bearer,
    /// The query parameter with this name.
    Query(String),
}

impl KeySource {
    /// Parses `header:<name>`, `bearer` or `query:<name>`. A header's name must be a token (RFC 9110, 5.6.2).
    pub fn parse(text: &str) -> Option<Self> {
        let Some((kind, name)) = text.split_once(':') else {
            return (text.trim() == "bearer").then_some(Self::Bearer);
        };
        let is_token =
            |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        match (kind.trim(), name.trim()) {
            (_, "") => None,
            ("header", name) if name.bytes().all(is_token) => {
                Some(Self::Header(name.to_ascii_lowercase()))
            }
            ("query", name) => Some(Self::Query(name.to_owned())),
            _ => None,
        }
    }
}

/// A request that may carry a key.
pub trait Carrier {
    /// The value of a header, by its lower-case name.
    fn header(&self, name: &str) -> Option<&str>;
    /// The decoded value of a query parameter.
    fn query(&self, name: &str) -> Option<&str>;
}

/// Returns the key from the first source that has one. An empty value does not count.
pub fn find<'a>(carrier: &'a impl Carrier, sources: &[KeySource]) -> Option<&'a str> {
    let key_in = |source: &KeySource| match source {
        KeySource::Header(name) => carrier.header(name),
        KeySource::Query(name) => carrier.query(name),
        KeySource::Bearer => carrier.header("authorization").and_then(bearer),
    };
    sources
        .iter()
        .filter_map(key_in)
        .map(str::trim)
        .find(|key| !key.is_empty())
}

/// Returns the key in a token, with or without the scheme `Bearer`. An empty value does not count.
pub fn in_token(token: &str) -> Option<&str> {
    let key = bearer(token).unwrap_or(token).trim();
    (!key.is_empty()).then_some(key)
}

/// Returns the token after the scheme `Bearer`, which is case-insensitive (RFC 9110, 11.1).
fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.trim_start().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Request(&'static [(&'static str, &'static str)]);

    impl Carrier for Request {
        fn header(&self, name: &str) -> Option<&str> {
            let found = self.0.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| *value)
        }

        fn query(&self, name: &str) -> Option<&str> {
            self.header(name)
        }
    }

    #[test]
    fn the_first_source_that_carries_a_key_wins() {
        let sources = [KeySource::Bearer, KeySource::Header("x-api-key".into())];
        let both = Request(&[("authorization", "bearer one"), ("x-api-key", "two")]);
        assert_eq!(find(&both, &sources), Some("one"));
        let basic = Request(&[("authorization", "Basic one"), ("x-api-key", "two")]);
        assert_eq!(find(&basic, &sources), Some("two"));
        let empty = Request(&[("authorization", "Bearer  "), ("x-api-key", "")]);
        assert_eq!(find(&empty, &sources), None);
    }
}
