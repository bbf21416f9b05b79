//! Calls, counted.
//!
//! | metric | what |
//! |---|---|
//! | `ManagementCalls` | calls of the management API |
//! | `ManagementFailures` | of these, calls that were answered 5xx: DynamoDB or KMS did not do its part, or an item is damaged |
//! | `WhoAmI`, `WhoAmIThrottled` | holders of keys that asked what they have left, and those that asked too often |

use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::Response;
use metrics::counter;

/// The path of holders' questions.
const WHOAMI: &str = "/whoami";

/// Counts a call by its answer.
pub async fn count(request: Request, next: Next) -> Response {
    let is_of_a_holder = request.uri().path() == WHOAMI;
    let response = next.run(request).await;
    let status = response.status();
    if is_of_a_holder {
        counter!("WhoAmI").increment(1);
        counter!("WhoAmIThrottled").increment(u64::from(status == StatusCode::TOO_MANY_REQUESTS));
    } else {
        counter!("ManagementCalls").increment(1);
    }
    counter!("ManagementFailures").increment(u64::from(status.is_server_error()));
    response
}
