//! One call: its URL, its headers, its answer.

use std::time::{Duration, SystemTime};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderName, HeaderValue};
use reqwest::{Method, Request, StatusCode};
use serde::de::DeserializeOwned;
use url::Url;

use super::error::{Access, Error, Refusal};
use super::{Caller, Client};

/// Query parameters. One with an empty value is left out.
pub type Query<'a> = &'a [(&'a str, &'a str)];

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
/// The pause before a second attempt; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

impl Client {
    /// The URL of a resource below the API's own, each segment of its path encoded.
    pub(super) fn resource(&self, path: &[&str], query: Query<'_>) -> Result<Url, Error> {
        let mut url = self.url.clone();
        url.path_segments_mut()
            .map_err(|()| Error::request("expected a URL with a path"))?
            .pop_if_empty()
            .extend(path);
        append_query(&mut url, query);
        Ok(url)
    }

    /// Reads a URL, again after a failure that may pass.
    pub(super) async fn read<T: DeserializeOwned>(&self, url: Url) -> Result<T, Error> {
        let mut pause = FIRST_PAUSE;
        for _ in 1..self.read_attempts {
            match self.call(Method::GET, url.clone(), String::new()).await {
                Err(error) if error.may_pass() => tokio::time::sleep(pause).await,
                outcome => return outcome,
            }
            pause *= 2;
        }
        self.call(Method::GET, url, String::new()).await
    }

    /// Sends one request and reads its answer.
    pub(super) async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        url: Url,
        body: String,
    ) -> Result<T, Error> {
        let request = self.request(method, url, body)?;
        let unreachable = |error: reqwest::Error| Error::Unreachable {
            url: self.url.clone(),
            // The URL of the resource names keys and plans, which a log has no need of.
            source: error.without_url(),
        };
        let response = self.http.execute(request).await.map_err(unreachable)?;
        let status = response.status();
        let text = response.text().await.map_err(unreachable)?;
        if status.is_success() {
            return self.parse(&text);
        }
        let message = match message_in(&text) {
            Some(message) => message,
            None if status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS => {
                return Err(Error::UnexpectedResponse {
                    url: self.url.clone(),
                    found: format!("status {} without a message", status.as_u16()),
                });
            }
            // Something before the API may have answered in its place.
            None => "no message".to_owned(),
        };
        Err(Error::Refused(Refusal {
            url: self.url.clone(),
            access: self.access(),
            status: status.as_u16(),
            message,
        }))
    }

    fn request(&self, method: Method, url: Url, body: String) -> Result<Request, Error> {
        let mut request = Request::new(method, url);
        let headers = request.headers_mut();
        headers.insert(ACCEPT, JSON);
        headers.insert(CONTENT_TYPE, JSON);
        match &self.caller {
            Caller::Unsigned => {}
            Caller::KeyHolder(key) => drop(headers.insert(API_KEY, key.clone())),
            Caller::Signed(signer) => signer.sign(&mut request, &body, SystemTime::now())?,
        }
        *request.body_mut() = Some(body.into());
        Ok(request)
    }

    fn access(&self) -> Access {
        match self.caller {
            Caller::Unsigned => Access::Unsigned,
            Caller::Signed(_) => Access::Signed,
            Caller::KeyHolder(_) => Access::KeyHolder,
        }
    }

    /// An answer without a body, as to a deletion, reads as `null`.
    fn parse<T: DeserializeOwned>(&self, text: &str) -> Result<T, Error> {
        let json = if text.is_empty() { "null" } else { text };
        serde_json::from_str(json).map_err(|error| Error::UnexpectedResponse {
            url: self.url.clone(),
            found: if error.is_data() {
                format!("JSON of another shape: {error}")
            } else {
                format!("expected JSON, got {} bytes of something else", text.len())
            },
        })
    }
}

/// Adds parameters to those that a URL has. A space becomes `%20`, as SigV4 counts it; a form's `+` would break the signature.
pub(super) fn append_query(url: &mut Url, query: Query<'_>) {
    let added = query.iter().filter(|(_, value)| !value.is_empty());
    let added = added
        .map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC)));
    let present = url.query().map(str::to_owned);
    let parameters: Vec<_> = present.into_iter().chain(added).collect();
    if !parameters.is_empty() {
        url.set_query(Some(&parameters.join("&")));
    }
}

/// The message of an error body. API Gateway itself writes some of its errors with a capital, and problem documents have
/// `detail`.
fn message_in(text: &str) -> Option<String> {
    let body: serde_json::Value = serde_json::from_str(text).ok()?;
    let message = ["message", "Message", "detail"]
        .into_iter()
        .find_map(|member| body[member].as_str());
    message.map(str::to_owned)
}
