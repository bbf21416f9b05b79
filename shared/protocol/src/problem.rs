//! The response to a client whose request is refused: the status, the header fields, and a problem document.
//!
//! | decision, reason | status | problem |
//! |---|---|---|
//! | `allow` | the backend's own | |
//! | `throttled`, `quota_exceeded` | 429 | `quota-exceeded` of draft-ietf-httpapi-ratelimit-headers |
//! | no key, or an invalid one | 401 | |
//! | the key may not call this method | 403 | |
//! | the store could not decide | 503 | `temporary-reduced-capacity` of the same draft |
//!
//! `RateLimit` and `RateLimit-Policy` follow the draft, `Retry-After` RFC 9110, and problem documents RFC 9457.

use serde::Serialize;

use crate::context::Context;
use tollgate_core::verdict::{Decision, Reason};

/// The base URI of the draft's problem types.
const TYPES: &str = "https://iana.org/assignments/http-problem-types#";
/// The media type of a problem document.
pub const PROBLEM_TYPE: &str = "application/problem+json";
/// The value of `WWW-Authenticate`, which a 401 response must have (RFC 9110, 15.5.2). The scheme is not registered, but it is
/// in common use for keys in their own header.
pub const CHALLENGE: &str = "ApiKey";
/// Many keys wait for the same reset, so each client's wait is extended by up to this share (one in ten) and up to a maximum.
const SPREAD_SHARE: u64 = 10;
const MOST_SPREAD: u64 = 60;

/// The response to a refused request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The HTTP status.
    pub status: u16,
    /// `Retry-After` in seconds; never earlier than the request would be admitted.
    pub retry_after: Option<u64>,
    /// The response body.
    pub problem: Problem,
}

/// A problem document (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// A URI that identifies the kind of problem.
    pub r#type: String,
    /// The kind of problem, for people.
    pub title: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// An explanation of this problem, for people.
    pub detail: String,
    /// The reason of this problem, for programs: a [`Reason`].
    pub reason: String,
    /// The limits that refused the request, by their names in `RateLimit-Policy`.
    #[serde(rename = "violated-policies", skip_serializing_if = "Vec::is_empty")]
    pub violated_policies: Vec<String>,
    /// The same number of seconds as in `Retry-After`.
    #[serde(rename = "retryAfter", skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
}

impl Refused {
    /// The response to a refused request; `None` if the request is admitted.
    pub fn of(context: &Context) -> Option<Self> {
        let retry_after = retry_after(context);
        let (status, kind, title) = match context.decision {
            Decision::Allow => return None,
            Decision::Throttled | Decision::QuotaExceeded => (
                429,
                "quota-exceeded",
                "Request cannot be satisfied as assigned quota has been exceeded",
            ),
            Decision::Denied => denied(&context.reason),
        };
        let detail = match retry_after {
            Some(seconds) => format!("{}; try again in {seconds} s", detail(&context.reason)),
            None => detail(&context.reason).to_owned(),
        };
        let problem = Problem {
            r#type: match kind {
                "" => "about:blank".to_owned(),
                kind => format!("{TYPES}{kind}"),
            },
            title,
            status,
            detail,
            reason: context.reason.clone(),
            violated_policies: context.violated_policy.iter().cloned().collect(),
            retry_after,
        };
        Some(Self {
            status,
            retry_after,
            problem,
        })
    }
}

/// The header fields that describe the limits, by lower-case name.
pub fn fields(context: &Context) -> impl Iterator<Item = (&'static str, &str)> {
    let fields = [
        ("ratelimit-policy", &context.rate_limit_policy),
        ("ratelimit", &context.rate_limit),
    ];
    fields
        .into_iter()
        .filter_map(|(name, value)| Some((name, value.as_deref()?)))
}

fn is(reason: &str, known: Reason) -> bool {
    reason == known.as_str()
}

fn denied(reason: &str) -> (u16, &'static str, &'static str) {
    let of = |reasons: &[Reason]| reasons.iter().any(|known| is(reason, *known));
    if of(&[
        Reason::MissingKey,
        Reason::MalformedKey,
        Reason::UnknownKey,
        Reason::Disabled,
        Reason::Expired,
    ]) {
        (401, "", "Unauthorized")
    } else if of(&[
        Reason::Contended,
        Reason::Uncertain,
        Reason::StoreUnavailable,
    ]) {
        (
            503,
            "temporary-reduced-capacity",
            "Request cannot be satisfied due to temporary server capacity constraints",
        )
    } else if is(reason, Reason::MalformedPath) {
        (400, "", "Bad Request")
    } else {
        (403, "", "Forbidden")
    }
}

/// A sentence for people. A reason that this version does not know has none.
fn detail(reason: &str) -> &'static str {
    let known = Reason::ALL.into_iter().find(|known| is(reason, *known));
    known.unwrap_or(Reason::BadEvent).sentence()
}

/// When the client should retry. A quota resets for all its keys at once, so each key waits a little longer than necessary,
/// always by the same amount for one key. If the store could not decide, a wait of one second is an estimate.
fn retry_after(context: &Context) -> Option<u64> {
    match context.decision {
        Decision::QuotaExceeded => context.retry_after.map(|wait| {
            let most = (wait / SPREAD_SHARE).min(MOST_SPREAD);
            let key = context.key_id.as_deref().unwrap_or_default();
            wait + u64::from(crc32fast::hash(key.as_bytes())) % (most + 1)
        }),
        Decision::Denied if denied(&context.reason).0 == 503 => Some(1),
        _ => context.retry_after,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tollgate_core::verdict::Verdict;

    fn context(reason: Reason, wait: Option<u64>) -> Context {
        Context {
            retry_after: wait,
            ..Context::of(&Verdict::because(reason))
        }
    }

    fn told(reason: Reason, wait: Option<u64>) -> Refused {
        Refused::of(&context(reason, wait)).expect("a refusal")
    }

    #[test]
    fn each_reason_has_a_status_and_only_what_ends_says_when() {
        for (reason, status, retry_after) in [
            (Reason::MissingKey, 401, None),
            (Reason::MalformedKey, 401, None),
            (Reason::UnknownKey, 401, None),
            (Reason::Disabled, 401, None),
            (Reason::Expired, 401, None),
            (Reason::NotInPlan, 403, None),
            (Reason::MethodNotAllowed, 403, None),
            (Reason::MalformedPath, 400, None),
            (Reason::BadEvent, 403, None),
            (Reason::Rate, 429, Some(7)),
            (Reason::MethodRate, 429, Some(7)),
            (Reason::CostExceedsBurst, 429, None),
            (Reason::Contended, 503, Some(1)),
            (Reason::Uncertain, 503, Some(1)),
            (Reason::StoreUnavailable, 503, Some(1)),
        ] {
            let wait = retry_after.filter(|_| status == 429);
            let refused = told(reason, wait);
            assert_eq!(
                (refused.status, refused.retry_after),
                (status, retry_after),
                "{reason}"
            );
            assert_eq!(refused.problem.status, status);
            assert_eq!(refused.problem.reason, reason.as_str());
        }
        assert_eq!(Refused::of(&context(Reason::Ok, None)), None);
    }

    #[test]
    fn a_limit_is_told_by_the_drafts_problem_type_with_its_name() {
        let problem = told(Reason::MethodRate, Some(3)).problem;
        assert_eq!(
            problem.r#type,
            "https://iana.org/assignments/http-problem-types#quota-exceeded"
        );
        assert_eq!(problem.violated_policies, ["method"]);
        assert_eq!(
            problem.detail,
            "the rate of this method is exceeded; try again in 3 s"
        );
    }

    #[test]
    fn each_reason_has_a_problem_document_for_people_and_programs() {
        let refusals = Reason::ALL.into_iter().filter_map(|reason| {
            let refused = Refused::of(&context(reason, None))?;
            let problem = refused.problem;
            let kind = problem.r#type.trim_start_matches(TYPES);
            Some(format!(
                "{} {}: {kind}: {}",
                problem.status, problem.reason, problem.detail
            ))
        });
        let refusals: Vec<_> = refusals.collect();
        insta::assert_snapshot!(refusals.join("\n"), @"
        401 missing_key: about:blank: the request carries no API key
        401 malformed_key: about:blank: the API key is not known
        401 unknown_key: about:blank: the API key is not known
        401 disabled: about:blank: the API key is disabled
        401 expired: about:blank: the API key has expired
        403 not_in_plan: about:blank: the API key is in no usage plan for this API
        403 method_not_allowed: about:blank: the API key may not call this method
        400 malformed_path: about:blank: the path cannot be decoded: expected %XX to be bytes of UTF-8
        429 rate: quota-exceeded: the usage plan's rate is exceeded
        429 method_rate: quota-exceeded: the rate of this method is exceeded
        429 quota: quota-exceeded: the usage plan's quota is spent
        429 cost_exceeds_burst: quota-exceeded: the request costs more than the usage plan ever allows
        503 contended: temporary-reduced-capacity: the request could not be decided; try again in 1 s
        503 uncertain: temporary-reduced-capacity: the request could not be decided; try again in 1 s
        503 store_unavailable: temporary-reduced-capacity: the request could not be decided; try again in 1 s
        403 bad_event: about:blank: the request is refused
        ");
    }

    #[test]
    fn keys_that_wait_for_one_reset_come_back_apart_and_never_before_it() {
        let wait = |key: usize, wait| {
            let context = Context {
                key_id: Some(key.to_string()),
                ..context(Reason::Quota, Some(wait))
            };
            let refused = Refused::of(&context).expect("a refusal");
            refused.retry_after.expect("it ends")
        };
        let waits: std::collections::BTreeSet<_> = (0..1000).map(|key| wait(key, 3600)).collect();
        assert!(waits.iter().all(|wait| (3600..=3660).contains(wait)));
        assert_eq!(waits.len(), 61);
        assert_eq!(wait(7, 3600), wait(7, 3600));
        // Shortly before the reset there is no time to spread the retries over.
        assert_eq!(wait(7, 9), 9);
    }

    #[test]
    fn a_reason_of_another_version_is_refused_all_the_same() {
        let context = Context {
            reason: "too_blue".to_owned(),
            ..context(Reason::NotInPlan, None)
        };
        assert_eq!(
            Refused::of(&context).map(|refused| refused.status),
            Some(403)
        );
    }
}
