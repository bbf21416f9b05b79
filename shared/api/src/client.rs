//! A typed client of the management API: for the command line, a console, a migration.
//!
//! - [`Client`]: calls by method and path, answered with any type that deserializes. The caller chooses how it identifies itself:
//!   [`Client::signed`] as an AWS identity, [`Client::for_key_holder`] with a key, [`Client::unsigned`] on this machine.
//! - [`Pages`]: the one loop over pages that every list needs.
//! - [`Signer`]: SigV4 signatures for API Gateway.
//! - [`Error`]: no answer, a refusal, an answer that cannot be read.
//!
//! The client starts from a URL. It does not look for a deployed stack: that takes CloudFormation's SDK and the credential chain
//! of the AWS CLI, which are large, and a console or a migration that knows its URL needs neither. The command line does that
//! itself.

mod call;
mod error;
mod pages;
mod signer;
#[cfg(test)]
mod tests;

use std::time::Duration;

use reqwest::Method;
use reqwest::header::HeaderValue;
use serde::Serialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use url::Url;

pub use call::Query;
pub use error::{Access, Error, Refusal};
pub use pages::Pages;
pub use signer::Signer;

/// Longer than the 30 seconds that an HTTP API waits for its function.
const TIME_LIMIT: Duration = Duration::from_secs(35);
/// A host that does not accept a connection by then is taken for unreachable.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// A client of one management API.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    url: Url,
    caller: Caller,
    read_attempts: u32,
}

/// How calls identify their caller.
#[derive(Debug, Clone)]
enum Caller {
    Unsigned,
    Signed(Signer),
    /// The key's value, marked as sensitive.
    KeyHolder(HeaderValue),
}

impl Client {
    /// A client whose calls carry no identity, for an API on this machine.
    ///
    /// # Errors
    /// [`Error::Request`] if TLS cannot be set up.
    pub fn unsigned(url: Url) -> Result<Self, Error> {
        Self::new(url, Caller::Unsigned)
    }

    /// A client that calls as an AWS identity.
    ///
    /// # Errors
    /// [`Error::Request`] if TLS cannot be set up.
    pub fn signed(url: Url, signer: Signer) -> Result<Self, Error> {
        Self::new(url, Caller::Signed(signer))
    }

    /// A client that calls as the holder of a key, who needs no AWS identity.
    ///
    /// # Errors
    /// [`Error::InvalidKey`] if a header cannot carry the value, [`Error::Request`] if TLS cannot be set up.
    pub fn for_key_holder(url: Url, key: &str) -> Result<Self, Error> {
        let mut key = HeaderValue::from_str(key).map_err(|_| Error::InvalidKey)?;
        key.set_sensitive(true);
        Self::new(url, Caller::KeyHolder(key))
    }

    fn new(url: Url, caller: Caller) -> Result<Self, Error> {
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_LIMIT)
            .timeout(TIME_LIMIT)
            .build()
            .map_err(Error::request)?;
        Ok(Self {
            http,
            url,
            caller,
            read_attempts: 1,
        })
    }

    /// Tries each read up to `attempts` times if the API cannot be reached, is throttled or is unavailable. Changes are never
    /// repeated: one whose answer was lost may have been carried out.
    #[must_use]
    pub fn with_read_attempts(self, attempts: u32) -> Self {
        Self {
            read_attempts: attempts.max(1),
            ..self
        }
    }

    /// Reads a resource.
    ///
    /// # Errors
    /// Any [`Error`] other than [`Error::InvalidKey`].
    pub async fn get<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: Query<'_>,
    ) -> Result<T, Error> {
        self.read(self.resource(path, query)?).await
    }

    /// Creates a resource, or starts an operation on one.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn post<T: DeserializeOwned>(
        &self,
        path: &[&str],
        body: &impl Serialize,
    ) -> Result<T, Error> {
        let body = serde_json::to_string(body).map_err(Error::request)?;
        self.post_text(path, &[], body).await
    }

    /// Posts a body that is not JSON, such as a CSV file.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn post_text<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: Query<'_>,
        body: String,
    ) -> Result<T, Error> {
        let url = self.resource(path, query)?;
        self.call(Method::POST, url, body).await
    }

    /// Changes a resource: all operations of the patch apply, or none.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn patch<T: DeserializeOwned>(
        &self,
        path: &[&str],
        operations: &impl Serialize,
    ) -> Result<T, Error> {
        let body = serde_json::to_string(operations).map_err(Error::request)?;
        let url = self.resource(path, &[])?;
        self.call(Method::PATCH, url, body).await
    }

    /// Deletes a resource.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn delete(&self, path: &[&str]) -> Result<(), Error> {
        let url = self.resource(path, &[])?;
        let _: IgnoredAny = self.call(Method::DELETE, url, String::new()).await?;
        Ok(())
    }

    /// Starts to read a resource page by page. `T` is one page, with or without its `position`.
    ///
    /// # Errors
    /// [`Error::Request`] if the API's URL cannot have a path.
    pub fn pages<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: Query<'_>,
    ) -> Result<Pages<'_, T>, Error> {
        Ok(Pages::new(self, self.resource(path, query)?))
    }

    /// Reads a list to its end, or until it has `limit` entries.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn list<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: Query<'_>,
        limit: Option<usize>,
    ) -> Result<Vec<T>, Error> {
        pages::entries(self.pages(path, query)?, limit).await
    }
}
