//! The management API, called over HTTP.

use std::fmt;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::HeaderValue;
use reqwest::{Method, Request, StatusCode};
use serde_json::{Value, json};
use tollgate_dynamo::failure::chain;
use url::Url;

use crate::Failure;
use crate::place::{Found, Place, Signer};

/// Longer than an HTTP API waits for its function.
const TIME_LIMIT: Duration = Duration::from_secs(35);
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// Entries that a page is asked for: the most that there can be.
const PAGE: &str = "500";

/// A client of one management API.
pub(crate) struct Api {
    http: reqwest::Client,
    place: Found,
    /// The key whose holder calls.
    key: Option<String>,
}

/// A call that did not do what it was to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    #[error(
        "no answer from {url}: {cause}; is it running, and is this the management API (`tollgate dev` prints its URL)?"
    )]
    NoAnswer { url: Url, cause: String },
    /// The command line does not say which API.
    #[error("{0}")]
    NoPlace(String),
    /// The API cannot be found, or its calls cannot be signed.
    #[error("{0}")]
    NoWay(String),
    #[error(
        "{url} refuses: {message}; calls to this machine are not signed, so this cannot be a management API: `tollgate dev` \
         prints the URL of its own"
    )]
    Unsigned { url: Url, message: String },
    #[error(
        "{url} does not let you in: {message}; your AWS identity needs execute-api:Invoke on the stack's \
         ManagementInvokeArn"
    )]
    Forbidden { url: Url, message: String },
    #[error("{0}")]
    BadKey(String),
    #[error("{0}")]
    NotFound(String),
    #[error("{message} ({status})")]
    Refused { status: u16, message: String },
    #[error("{url} did not answer as a management API does: {what}")]
    Strange { url: Url, what: String },
}

/// Whether a call failed because what it was about is not there.
pub(crate) fn is_missing(failure: &Failure) -> bool {
    let call = failure.downcast_ref();
    matches!(call, Some(CallError::NotFound(_)))
}

impl CallError {
    /// 2: the command line does not say which API. 3: there is no such key or plan. 4: the API cannot be reached or does
    /// not let the caller in. 1: all others.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::NoPlace(_) => 2,
            Self::NotFound(_) => 3,
            Self::NoAnswer { .. }
            | Self::NoWay(_)
            | Self::Unsigned { .. }
            | Self::BadKey(_)
            | Self::Forbidden { .. } => 4,
            Self::Refused { .. } | Self::Strange { .. } => 1,
        })
    }
}

impl Api {
    /// A client of the API at `place`.
    pub(crate) async fn at(place: &Place) -> Result<Self, Failure> {
        Self::of(place.find().await?, None)
    }

    /// A client of the API at `place` for the holder of a key, who need not be anyone to AWS.
    pub(crate) async fn held(place: &Place, key: String) -> Result<Self, Failure> {
        Self::of(place.find_unsigned().await?, Some(key))
    }

    fn of(place: Found, key: Option<String>) -> Result<Self, Failure> {
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_LIMIT)
            .timeout(TIME_LIMIT)
            .build()?;
        Ok(Self { http, place, key })
    }

    pub(crate) async fn get(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<Value, Failure> {
        self.call(Method::GET, path, query, String::new()).await
    }

    pub(crate) async fn post(&self, path: &[&str], body: &Value) -> Result<Value, Failure> {
        self.call(Method::POST, path, &[], body.to_string()).await
    }

    pub(crate) async fn delete(&self, path: &[&str]) -> Result<(), Failure> {
        self.call(Method::DELETE, path, &[], String::new())
            .await
            .map(drop)
    }

    /// All operations apply, or none.
    pub(crate) async fn patch(&self, path: &[&str], changes: &[Change]) -> Result<Value, Failure> {
        let operations: Vec<_> = changes.iter().map(Change::to_json).collect();
        let body = json!({ "patchOperations": operations });
        self.call(Method::PATCH, path, &[], body.to_string()).await
    }

    /// Imports the keys of a CSV file.
    pub(crate) async fn import(&self, csv: &str, fail_on_warnings: bool) -> Result<Value, Failure> {
        let query = [
            ("mode", "import"),
            ("format", "csv"),
            ("failonwarnings", if fail_on_warnings { "true" } else { "" }),
        ];
        self.call(Method::POST, &["apikeys"], &query, csv.to_owned())
            .await
    }

    /// The entries of a list, page by page until there are `limit`, or all.
    pub(crate) async fn list(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
        limit: Option<usize>,
    ) -> Result<Vec<Value>, Failure> {
        let limit = limit.unwrap_or(usize::MAX);
        let mut entries = Vec::new();
        let mut position = String::new();
        while entries.len() < limit {
            let paging = [("limit", PAGE), ("position", &position)];
            let mut page = self.get(path, &[query, &paging].concat()).await?;
            if let Value::Array(more) = page["item"].take() {
                entries.extend(more);
            }
            match page["position"].as_str() {
                Some(next) if !next.is_empty() => next.clone_into(&mut position),
                _ => break,
            }
        }
        entries.truncate(limit);
        Ok(entries)
    }

    async fn call(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
        body: String,
    ) -> Result<Value, Failure> {
        let url = self.url(path, query)?;
        let mut request = Request::new(method, url.clone());
        let headers = request.headers_mut();
        headers.insert("accept", "application/json".parse()?);
        headers.insert("content-type", "application/json".parse()?);
        if let Some(key) = &self.key {
            let key: Result<HeaderValue, _> = key.parse();
            let mut key =
                key.map_err(|_| CallError::BadKey("no key has such characters".to_owned()))?;
            key.set_sensitive(true);
            headers.insert("x-api-key", key);
        }
        if let Some(signer) = &self.place.signer {
            signer.sign(&mut request, &body, SystemTime::now())?;
        }
        *request.body_mut() = Some(body.into());
        let no_answer = |error: reqwest::Error| CallError::NoAnswer {
            url: self.place.url.clone(),
            cause: chain(&error.without_url()),
        };
        let response = self.http.execute(request).await.map_err(no_answer)?;
        let status = response.status();
        let text = response.text().await.map_err(no_answer)?;
        Ok(self.read(status, &text)?)
    }

    /// The URL of a resource: its path below the API's own, each segment encoded.
    fn url(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Url, Failure> {
        let mut url = self.place.url.clone();
        url.path_segments_mut()
            .map_err(|()| "expected a URL with a path")?
            .pop_if_empty()
            .extend(path);
        let query = query.iter().filter(|(_, value)| !value.is_empty());
        // A space is %20 here: that is how signatures count it, and forms' + would not be the same.
        let query: Vec<_> = query
            .map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC)))
            .collect();
        if !query.is_empty() {
            url.set_query(Some(&query.join("&")));
        }
        Ok(url)
    }

    fn read(&self, status: StatusCode, text: &str) -> Result<Value, CallError> {
        let url = || self.place.url.clone();
        let body: Option<Value> = if text.is_empty() {
            Some(Value::Null)
        } else {
            serde_json::from_str(text).ok()
        };
        if status.is_success() {
            return body.ok_or_else(|| CallError::Strange {
                url: url(),
                what: format!("expected JSON, got {} bytes of something else", text.len()),
            });
        }
        let body = body.unwrap_or_default();
        // API Gateway itself writes some of its errors with a capital.
        let message = body["message"].as_str().or(body["Message"].as_str());
        let message = message.or(body["detail"].as_str());
        let message = message.unwrap_or("no message").to_owned();
        Err(match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if self.key.is_some() => {
                CallError::BadKey(message)
            }
            StatusCode::FORBIDDEN if self.place.signer.is_none() => CallError::Unsigned {
                url: url(),
                message,
            },
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => CallError::Forbidden {
                url: url(),
                message,
            },
            StatusCode::NOT_FOUND => CallError::NotFound(message),
            _ => CallError::Refused {
                status: status.as_u16(),
                message,
            },
        })
    }
}

impl Signer {
    /// Signs a request for `execute-api`, the name that AWS_IAM on an HTTP API takes.
    fn sign(&self, request: &mut Request, body: &str, time: SystemTime) -> Result<(), Failure> {
        let identity = self.credentials.clone().into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name("execute-api")
            .time(time)
            .settings(SigningSettings::default())
            .build()?
            .into();
        let headers = request.headers().iter();
        let headers: Vec<_> = headers
            .map(|(name, value)| value.to_str().map(|value| (name.as_str(), value)))
            .collect::<Result<_, _>>()?;
        let signable = SignableRequest::new(
            request.method().as_str(),
            request.url().as_str(),
            headers.into_iter(),
            SignableBody::Bytes(body.as_bytes()),
        )?;
        let (instructions, _) = sign(signable, &parameters)?.into_parts();
        let (signed, _) = instructions.into_parts();
        for header in signed {
            let mut value: HeaderValue = header.value().parse()?;
            value.set_sensitive(header.sensitive());
            request.headers_mut().insert(header.name(), value);
        }
        Ok(())
    }
}

/// One operation of a PATCH.
#[derive(Debug)]
pub(crate) struct Change {
    op: &'static str,
    path: String,
    value: Option<String>,
}

impl Change {
    pub(crate) fn replace(path: impl Into<String>, value: impl fmt::Display) -> Self {
        Self::new("replace", path, Some(value.to_string()))
    }

    pub(crate) fn add(path: impl Into<String>, value: impl fmt::Display) -> Self {
        Self::new("add", path, Some(value.to_string()))
    }

    pub(crate) fn remove(path: impl Into<String>) -> Self {
        Self::new("remove", path, None)
    }

    pub(crate) fn remove_value(path: impl Into<String>, value: impl fmt::Display) -> Self {
        Self::new("remove", path, Some(value.to_string()))
    }

    fn new(op: &'static str, path: impl Into<String>, value: Option<String>) -> Self {
        Self {
            op,
            path: path.into(),
            value,
        }
    }

    fn to_json(&self) -> Value {
        let mut operation = json!({ "op": self.op, "path": self.path });
        if let Some(value) = &self.value {
            operation["value"] = json!(value);
        }
        operation
    }
}

#[cfg(test)]
mod tests {
    use aws_credential_types::Credentials;

    use super::*;

    /// Checked against botocore's `SigV4Auth` for the same request.
    #[test]
    fn a_call_is_signed_for_execute_api() {
        let signer = Signer {
            credentials: Credentials::new("AKID", "SECRET", Some("TOKEN".into()), None, "test"),
            region: "eu-west-1".to_owned(),
        };
        let url =
            "https://abc.execute-api.eu-west-1.amazonaws.com/tags/arn%3Aaws%3A1?name=a%20b&limit=5";
        let mut request = Request::new(Method::POST, url.parse().expect("a URL"));
        let headers = request.headers_mut();
        headers.insert("content-type", "application/json".parse().expect("a value"));
        let time = SystemTime::UNIX_EPOCH + Duration::from_hours(498_708);
        signer
            .sign(&mut request, "{\"a\":1}", time)
            .expect("signed");
        assert_eq!(request.headers()["x-amz-date"], "20261122T120000Z");
        assert_eq!(request.headers()["x-amz-security-token"], "TOKEN");
        assert_eq!(
            request.headers()["authorization"],
            "AWS4-HMAC-SHA256 Credential=AKID/20261122/eu-west-1/execute-api/aws4_request, \
             SignedHeaders=content-type;host;x-amz-date;x-amz-security-token, \
             Signature=59b21f1fe526c9f5383e3942c4e2ab182a6cbcdbb4dafb84fd59cb0e7573d73c"
        );
    }
}
