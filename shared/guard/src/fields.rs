//! The headers and query parameters that may carry a key.

use std::collections::HashMap;

use http::HeaderMap;
use http::request::Parts;
use tollgate_protocol::credential::Carrier;

/// Stands for several values, or for one that is not text. None of several values is preferred to the others, and this is no key.
const AMBIGUOUS: &str = ",";

/// The fields of one request.
pub(crate) struct Fields<'a> {
    headers: &'a HeaderMap,
    query: HashMap<String, String>,
}

impl<'a> Fields<'a> {
    pub(crate) fn of(parts: &'a Parts) -> Self {
        let query = parts.uri.query().unwrap_or_default();
        let mut parameters = HashMap::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()).into_owned() {
            parameters
                .entry(name)
                .and_modify(|value| AMBIGUOUS.clone_into(value))
                .or_insert(value);
        }
        Self {
            headers: &parts.headers,
            query: parameters,
        }
    }
}

impl Carrier for Fields<'_> {
    fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next()?.to_str().unwrap_or(AMBIGUOUS);
        Some(values.next().map_or(value, |_| AMBIGUOUS))
    }

    fn query(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str)
    }
}
