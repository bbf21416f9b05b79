//! Lambda's events, checked before they become requests: `lambda_http` panics on some that clients can send.

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};

use axum::Router;
use axum::http::Uri;
use axum::response::IntoResponse;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lambda_http::request::LambdaRequest;
use lambda_http::tower::Service as _;
use lambda_http::{Adapter, Context, Error, LambdaEvent};
use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};

use crate::error::ApiError;
use crate::request_id;

/// The parts of an event that can be malformed although API Gateway sent it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sent<'a> {
    #[serde(borrow)]
    raw_query_string: Option<Cow<'a, str>>,
    #[serde(borrow)]
    body: Option<Cow<'a, str>>,
    is_base64_encoded: Option<bool>,
    request_context: Option<SentContext>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SentContext {
    request_id: Option<String>,
}

impl Sent<'_> {
    /// Rejects a query that no URI can have, and a body that is not base64 although the event says so.
    fn check(&self) -> Result<(), ApiError> {
        let query = self.raw_query_string.as_deref().unwrap_or_default();
        if let Err(error) = format!("/?{query}").parse::<Uri>() {
            return Err(ApiError::BadRequest(format!(
                "Invalid query: expected percent-encoded name=value pairs; {error}"
            )));
        }
        let body = self.body.as_deref().unwrap_or_default();
        if self.is_base64_encoded == Some(true)
            && let Err(error) = STANDARD.decode(body)
        {
            return Err(ApiError::BadRequest(format!(
                "Invalid request body: expected base64, as the event says; {error}"
            )));
        }
        Ok(())
    }
}

/// Answers one event.
///
/// # Errors
/// The event is not an HTTP request.
pub async fn handle(
    app: Router,
    event: LambdaEvent<Box<RawValue>>,
) -> Result<Box<RawValue>, Error> {
    let LambdaEvent { payload, context } = event;
    let sent: Sent<'_> = serde_json::from_str(payload.get())?;
    if let Err(error) = sent.check() {
        return Ok(to_raw_value(&refusal(error, &sent, &context).await)?);
    }
    let payload: LambdaRequest = serde_json::from_str(payload.get())?;
    let event = LambdaEvent::new(payload, context.clone());
    // Some headers and paths make no URI. Only the adapter finds out, and it panics.
    let call = catch_unwind(AssertUnwindSafe(|| Adapter::from(app).call(event)));
    let Ok(call) = call else {
        let message = "Invalid request: expected a host, a scheme and a path that make a URI";
        let error = ApiError::BadRequest(message.to_owned());
        return Ok(to_raw_value(&refusal(error, &sent, &context).await)?);
    };
    Ok(to_raw_value(&call.await?)?)
}

/// An error in the form in which HTTP APIs take answers.
async fn refusal(error: ApiError, sent: &Sent<'_>, context: &Context) -> Value {
    let response = error.into_response();
    let status = response.status().as_u16();
    let headers = response.headers().iter();
    let mut headers: serde_json::Map<String, Value> = headers
        .filter_map(|(name, value)| Some((name.to_string(), json!(value.to_str().ok()?))))
        .collect();
    let given = sent.request_context.as_ref();
    let given = given.and_then(|context| context.request_id.as_deref());
    let id = given.unwrap_or(&context.request_id);
    headers.insert(request_id::HEADER.to_string(), json!(id));
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await;
    let body = body.unwrap_or_default();
    json!({
        "statusCode": status,
        "headers": headers,
        "body": String::from_utf8_lossy(&body),
        "isBase64Encoded": false,
    })
}
