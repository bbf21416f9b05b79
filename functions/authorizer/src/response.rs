//! The verdict as API Gateway takes it: allowed or not, and a context for backends, mappings and access logs.

use aws_lambda_events::apigw::ApiGatewayV2CustomAuthorizerSimpleResponse;
use serde::{Deserialize, Serialize};
use tollgate_core::verdict::Verdict;

/// The simple answer of an HTTP API authorizer.
pub type SimpleResponse = ApiGatewayV2CustomAuthorizerSimpleResponse<Context>;

/// What is known of the decision, flat: API Gateway takes strings, numbers and booleans only.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Context {
    /// `allow`, `throttled`, `quota_exceeded` or `denied`.
    pub decision: String,
    /// Why.
    pub reason: String,
    /// The key's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_id: Option<String>,
    /// The key's customer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub customer_id: Option<String>,
    /// The plan that was charged or would have been.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan_id: Option<String>,
    /// Requests per quota period.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quota_limit: Option<u64>,
    /// Requests left in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quota_remaining: Option<u64>,
    /// When the next period starts, epoch seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quota_reset: Option<i64>,
    /// Seconds until the request would pass, rounded up; only on a refusal that will end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
    /// The `RateLimit` field of draft-ietf-httpapi-ratelimit-headers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<String>,
    /// The `RateLimit-Policy` field of the same draft.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_limit_policy: Option<String>,
}

/// The simple answer for a verdict.
pub fn simple(verdict: &Verdict) -> SimpleResponse {
    let mut response = SimpleResponse::default();
    response.is_authorized = verdict.is_allowed();
    response.context = context(verdict);
    response
}

fn context(verdict: &Verdict) -> Context {
    let standing = &verdict.standing;
    let quota = standing.quota;
    let field = |field: String| Some(field).filter(|field| !field.is_empty());
    Context {
        decision: verdict.decision.as_str().to_owned(),
        reason: verdict.reason.as_str().to_owned(),
        key_id: verdict.key_id.clone(),
        customer_id: verdict.customer_id.clone(),
        plan_id: verdict.plan_id.clone(),
        quota_limit: quota.map(|quota| quota.limit),
        quota_remaining: quota.map(|quota| quota.remaining),
        quota_reset: quota.map(|quota| quota.reset.as_second()),
        retry_after: verdict.retry_after_seconds(),
        rate_limit: field(standing.field_value()),
        rate_limit_policy: field(standing.policy_field()),
    }
}
