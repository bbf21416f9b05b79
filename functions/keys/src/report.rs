//! Metrics of calls.
//!
//! | metric | counts |
//! |---|---|
//! | `ManagementCalls` | calls of the management API |
//! | `ManagementFailures` | of these, answers with 5xx: DynamoDB or KMS failed, or an item is damaged |
//! | `WhoAmI`, `WhoAmIThrottled` | questions of holders of keys, and those that came too often |

use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::Response;
use metrics::counter;

/// The path on which holders of keys ask.
const WHOAMI: &str = "/whoami";

/// Counts a call, and its answer by status.
pub async fn count(request: Request, next: Next) -> Response {
    let is_by_holder = request.uri().path() == WHOAMI;
    let response = next.run(request).await;
    let status = response.status();
    if is_by_holder {
        counter!("WhoAmI").increment(1);
        counter!("WhoAmIThrottled").increment(u64::from(status == StatusCode::TOO_MANY_REQUESTS));
    } else {
        counter!("ManagementCalls").increment(1);
    }
    counter!("ManagementFailures").increment(u64::from(status.is_server_error()));
    response
}
