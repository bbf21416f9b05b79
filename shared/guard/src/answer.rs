//! Decisions in HTTP: the response to a refusal, and the fields that every response gets.

use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use tollgate_protocol::problem::{CHALLENGE, PROBLEM_TYPE, Refused, fields};

use crate::Context;

/// The response to a refused request; `None` if the request goes on.
pub fn refusal<R: From<String>>(context: &Context) -> Option<Response<R>> {
    let refused = Refused::of(context)?;
    let body = serde_json::to_string(&refused.problem).unwrap_or_default();
    let mut response = Response::new(R::from(body));
    let status = StatusCode::from_u16(refused.status);
    *response.status_mut() = status.unwrap_or(StatusCode::FORBIDDEN);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_TYPE));
    if let Some(seconds) = refused.retry_after {
        headers.insert(RETRY_AFTER, seconds.into());
    }
    if refused.status == 401 {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(CHALLENGE));
    }
    add_limits(context, headers);
    Some(response)
}

/// Adds the `RateLimit` fields of a decision to those that a backend may have set for limits of its own.
pub(crate) fn add_limits(context: &Context, headers: &mut HeaderMap) {
    for (name, value) in fields(context) {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.append(HeaderName::from_static(name), value);
        }
    }
}
