//! IAM policies: which methods of an API's stage the answer to one request opens and closes.
//!
//! API Gateway may cache a policy and apply it to other methods of the stage (`TOLLGATE_RESULT_CACHING=on` says that it does). So
//! a policy opens the methods that the key may call and no others, and the refusal of one method leaves the others open.
//!
//! - `resources`: the ARNs in a policy, without wildcards from clients and within API Gateway's limits.

use aws_lambda_events::iam::{IamPolicyEffect, IamPolicyStatement};
use tollgate_core::terms::Reach;
use tollgate_core::verdict::{Reason, Verdict};

use crate::arn::MethodArn;

mod resources;
#[cfg(test)]
mod tests;

use resources::{open, requested, within_limits};

/// The statements of a policy about the request to `arn`. Without an ARN the policy denies everything.
pub fn statements(
    verdict: &Verdict,
    allowed: bool,
    arn: Option<&str>,
    is_cached: bool,
) -> Vec<IamPolicyStatement> {
    let Some(arn) = arn else {
        return vec![deny("*".to_owned())];
    };
    let requested = requested(arn);
    match MethodArn::parse(arn).filter(|_| is_cached) {
        Some(arn) if allowed => vec![cached_admission(verdict, &arn, requested)],
        Some(arn) => cached_refusal(verdict, &arn, requested),
        None if allowed => vec![allow(vec![requested])],
        None => vec![deny(requested)],
    }
}

/// Opens the request itself and the other methods that the key may call.
fn cached_admission(
    verdict: &Verdict,
    arn: &MethodArn<'_>,
    requested: String,
) -> IamPolicyStatement {
    let mut open = open(verdict.reach.as_ref(), arn);
    let has_no_wildcards = requested == arn.text();
    if verdict.reach != Some(Reach::All) && has_no_wildcards {
        open.insert(0, requested);
    } else if open.is_empty() {
        // The request cannot be opened without the other paths that its wildcards match, and nothing else may be opened.
        return deny(requested);
    }
    allow(within_limits(open))
}

/// Closes the request itself, or the whole stage if each of its methods would be refused too. Other methods stay open if the
/// refusal is only about this one.
fn cached_refusal(
    verdict: &Verdict,
    arn: &MethodArn<'_>,
    requested: String,
) -> Vec<IamPolicyStatement> {
    if refuses_every_method(verdict.reason) {
        return vec![deny(arn.whole_stage())];
    }
    let mut statements = vec![deny(requested)];
    let open = open(verdict.reach.as_ref(), arn);
    if refuses_only_its_method(verdict) && !open.is_empty() {
        statements.push(allow(within_limits(open)));
    }
    statements
}

fn allow(resources: Vec<String>) -> IamPolicyStatement {
    statement(IamPolicyEffect::Allow, resources)
}

fn deny(resource: String) -> IamPolicyStatement {
    statement(IamPolicyEffect::Deny, vec![resource])
}

fn statement(effect: IamPolicyEffect, resources: Vec<String>) -> IamPolicyStatement {
    let mut statement = IamPolicyStatement::default();
    statement.action = vec!["execute-api:Invoke".to_owned()];
    statement.effect = effect;
    statement.resource = resources;
    statement
}

/// Whether each method of the stage would be refused for the same reason.
fn refuses_every_method(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::MissingKey
            | Reason::MalformedKey
            | Reason::UnknownKey
            | Reason::Disabled
            | Reason::Expired
            | Reason::NotInPlan
            | Reason::Rate
            | Reason::Quota
    )
}

/// Whether other methods of the stage may still be called: the key is good, and its rate and its quota have room.
fn refuses_only_its_method(verdict: &Verdict) -> bool {
    let is_of_method = matches!(
        verdict.reason,
        Reason::MethodNotAllowed | Reason::MalformedPath | Reason::MethodRate
    );
    is_of_method && verdict.limit_status.has_room_for_other_methods()
}
