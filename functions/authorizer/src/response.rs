//! The verdict as API Gateway takes it: allowed or not, and a context for backends, mappings and access logs.

use aws_lambda_events::apigw::{
    ApiGatewayV2CustomAuthorizerIamPolicyResponse, ApiGatewayV2CustomAuthorizerSimpleResponse,
};
use aws_lambda_events::iam::{IamPolicyEffect, IamPolicyStatement};
use serde::{Deserialize, Serialize};
use tollgate_core::verdict::Verdict;

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

/// An answer in the form that the API takes.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// Allowed or not, in a word.
    Simple(ApiGatewayV2CustomAuthorizerSimpleResponse<Context>),
    /// An IAM policy.
    Policy(PolicyAnswer),
}

/// An answer by policy.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyAnswer {
    #[serde(flatten)]
    answer: ApiGatewayV2CustomAuthorizerIamPolicyResponse<Context>,
    /// The value of a native API key, for REST APIs that take it from their authorizer.
    #[serde(skip_serializing_if = "Option::is_none")]
    usage_identifier_key: Option<String>,
}

impl Answer {
    /// Whether the request goes on.
    pub fn is_allowed(&self) -> bool {
        match self {
            Self::Simple(answer) => answer.is_authorized,
            Self::Policy(policy) => {
                let mut statements = policy.answer.policy_document.statement.iter();
                statements.all(|statement| statement.effect == IamPolicyEffect::Allow)
            }
        }
    }

    /// What it tells.
    pub fn context(&self) -> &Context {
        match self {
            Self::Simple(answer) => &answer.context,
            Self::Policy(policy) => &policy.answer.context,
        }
    }
}

/// Allowed or not, in a word.
pub fn simple(verdict: &Verdict) -> Answer {
    let mut answer = ApiGatewayV2CustomAuthorizerSimpleResponse::default();
    answer.is_authorized = verdict.is_allowed();
    answer.context = context(verdict);
    Answer::Simple(answer)
}

/// A policy for `resource`, an ARN that may end in a wildcard.
pub fn policy(verdict: &Verdict, resource: String, usage_identifier_key: Option<&str>) -> Answer {
    let mut statement = IamPolicyStatement::default();
    statement.action = vec!["execute-api:Invoke".to_owned()];
    statement.resource = vec![resource];
    statement.effect = if verdict.is_allowed() {
        IamPolicyEffect::Allow
    } else {
        IamPolicyEffect::Deny
    };
    let mut answer = ApiGatewayV2CustomAuthorizerIamPolicyResponse::default();
    // Required, also where no key is known. It is never the key itself: principals are logged.
    let principal = verdict.key_id.as_deref().unwrap_or("anonymous");
    answer.principal_id = Some(principal.to_owned());
    answer.policy_document.version = Some("2012-10-17".to_owned());
    answer.policy_document.statement = vec![statement];
    answer.context = context(verdict);
    Answer::Policy(PolicyAnswer {
        answer,
        usage_identifier_key: usage_identifier_key.map(str::to_owned),
    })
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
