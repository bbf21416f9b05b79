//! URLs of servers.

use url::Url;

/// The URL of a management API.
pub(crate) fn management_url(text: &str) -> Result<Url, String> {
    http_url(text, "http://127.0.0.1:3001")
}

/// The endpoint of a DynamoDB, as it was typed.
pub(crate) fn dynamodb_endpoint(text: &str) -> Result<String, String> {
    http_url(text, "http://127.0.0.1:8000").map(|_| text.to_owned())
}

fn http_url(text: &str, example: &str) -> Result<Url, String> {
    match Url::parse(text) {
        Ok(url) if ["http", "https"].contains(&url.scheme()) && url.has_host() => Ok(url),
        _ => Err(format!("expected a URL such as {example}")),
    }
}
