//! Answers to API Gateway: allowed or not, with a context for backends, mappings and access logs.

use aws_lambda_events::apigw::{
    ApiGatewayV2CustomAuthorizerIamPolicyResponse, ApiGatewayV2CustomAuthorizerSimpleResponse,
};
use aws_lambda_events::iam::IamPolicyStatement;
use serde::Serialize;
use tollgate_core::verdict::Verdict;
use tollgate_protocol::context::Context;
use tollgate_protocol::problem::Refused;

/// An answer in one of the forms that APIs accept.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// `{"isAuthorized": ...}`.
    Simple(ApiGatewayV2CustomAuthorizerSimpleResponse<Context>),
    /// An IAM policy.
    Policy(PolicyAnswer),
}

/// An answer by policy.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyAnswer {
    #[serde(skip)]
    allowed: bool,
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
            Self::Policy(policy) => policy.allowed,
        }
    }

    /// The context that goes with it.
    pub fn context(&self) -> &Context {
        match self {
            Self::Simple(answer) => &answer.context,
            Self::Policy(policy) => &policy.answer.context,
        }
    }
}

/// Why a REST API is answered with an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Failed {
    /// The key is not valid, or not for this method. API Gateway answers 401 to exactly this text.
    #[error("Unauthorized")]
    Unauthorized,
    /// The store could not decide.
    #[error("the request could not be decided")]
    Undecided,
}

impl Failed {
    /// Fails for refusals other than a limit's.
    pub(crate) fn of(verdict: &Verdict) -> Result<(), Self> {
        if verdict.is_allowed() || verdict.is_by_limit() {
            return Ok(());
        }
        match Refused::of(&Context::of(verdict)).map(|refused| refused.status) {
            Some(400 | 401 | 403) => Err(Self::Unauthorized),
            Some(503) => Err(Self::Undecided),
            _ => Ok(()),
        }
    }
}

/// An answer of the simple form.
pub fn simple(verdict: &Verdict, allowed: bool) -> Answer {
    let mut answer = ApiGatewayV2CustomAuthorizerSimpleResponse::default();
    answer.is_authorized = allowed;
    answer.context = Context::of(verdict);
    Answer::Simple(answer)
}

/// An answer by a policy of these statements.
pub fn policy(
    verdict: &Verdict,
    allowed: bool,
    statements: Vec<IamPolicyStatement>,
    usage_identifier_key: Option<&str>,
) -> Answer {
    let mut answer = ApiGatewayV2CustomAuthorizerIamPolicyResponse::default();
    // API Gateway requires a principal even if no key is known. Principals are logged, so it is never the key's value.
    let principal = verdict.key_id.as_deref().unwrap_or("anonymous");
    answer.principal_id = Some(principal.to_owned());
    answer.policy_document.version = Some("2012-10-17".to_owned());
    answer.policy_document.statement = statements;
    answer.context = Context::of(verdict);
    Answer::Policy(PolicyAnswer {
        allowed,
        answer,
        usage_identifier_key: usage_identifier_key.map(str::to_owned),
    })
}
