//! Headers and query parameters as API Gateway passes them on: several values of one name joined by commas.

use std::collections::BTreeMap;

use axum::http::{HeaderMap, HeaderValue, Uri, header};

/// Headers by their lower-case names, without cookies, which events have apart.
pub(super) fn headers(headers: &HeaderMap) -> BTreeMap<&str, String> {
    let names = headers.keys().filter(|name| **name != header::COOKIE);
    names
        .map(|name| {
            let values = headers.get_all(name).iter();
            let values: Vec<_> = values.map(text).collect();
            (name.as_str(), values.join(","))
        })
        .collect()
}

/// Query parameters, decoded.
pub(super) fn query(uri: &Uri) -> BTreeMap<String, String> {
    let mut parameters: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()) {
        parameters
            .entry(name.into_owned())
            .and_modify(|values| {
                values.push(',');
                values.push_str(&value);
            })
            .or_insert_with(|| value.into_owned());
    }
    parameters
}

/// Each cookie by itself.
pub(super) fn cookies(headers: &HeaderMap) -> Vec<String> {
    let headers = headers.get_all(header::COOKIE).iter();
    let cookies = headers.flat_map(|cookies| {
        let cookies = text(cookies);
        cookies.split("; ").map(str::to_owned).collect::<Vec<_>>()
    });
    cookies.collect()
}

/// The text of a header, with replacement characters for bytes that are not UTF-8.
pub(super) fn text(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}
