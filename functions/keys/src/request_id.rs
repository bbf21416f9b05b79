//! The request's id on every answer. Clients show it (`ResponseMetadata["RequestId"]` in boto3), and people search logs for it.

use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use lambda_http::RequestExt;
use lambda_http::request::RequestContext;

/// The header that AWS's clients read.
pub const HEADER: HeaderName = HeaderName::from_static("x-amzn-requestid");

/// Adds the request's id to the answer: API Gateway's, or else Lambda's, or else a random one.
pub async fn tag(request: Request, next: Next) -> Response {
    let id = given(&request).unwrap_or_else(random);
    let mut response = next.run(request).await;
    response.headers_mut().insert(HEADER, id);
    response
}

fn given(request: &Request) -> Option<HeaderValue> {
    let of_gateway = match request.request_context_ref() {
        Some(RequestContext::ApiGatewayV2(context)) => context.request_id.as_deref(),
        Some(RequestContext::ApiGatewayV1(context)) => context.request_id.as_deref(),
        _ => None,
    };
    let of_lambda = request.lambda_context_ref();
    let id = of_gateway.or(of_lambda.map(|context| context.request_id.as_str()));
    value(id?)
}

/// An id as a header's value; `None` if it cannot be one.
pub fn value(id: &str) -> Option<HeaderValue> {
    HeaderValue::from_str(id).ok().filter(|id| !id.is_empty())
}

/// An id in the form of a UUID. It has to be unique, but is no secret.
fn random() -> HeaderValue {
    let digits = format!("{:032x}", fastrand::u128(..));
    let parts = [
        &digits[..8],
        &digits[8..12],
        &digits[12..16],
        &digits[16..20],
        &digits[20..],
    ];
    value(&parts.join("-")).expect("hexadecimal digits are ASCII")
}
