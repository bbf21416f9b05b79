//! The context that an authorizer passes on with a decision. It is flat, because API Gateway accepts only strings, numbers and
//! booleans.
//!
//! The authorizer writes it, and an integration that may use another version of this crate reads it. So reading accepts numbers
//! as strings, as REST APIs pass them on, and ignores unknown members. Only an unknown decision is an error.

use std::fmt;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::fields;
use tollgate_core::verdict::{Decision, Reason, Verdict};

/// A decision and everything known about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Context {
    /// `allow`, `throttled`, `quota_exceeded` or `denied`.
    pub decision: Decision,
    /// The reason of the decision: a [`Reason`].
    pub reason: String,
    /// The key's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_id: Option<String>,
    /// The customer that the key belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer_id: Option<String>,
    /// The plan that was charged or would have been.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan_id: Option<String>,
    /// Requests per quota period.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "number"
    )]
    pub quota_limit: Option<u64>,
    /// Requests that remain in the period.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "number"
    )]
    pub quota_remaining: Option<u64>,
    /// When the next period starts, epoch seconds.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "number"
    )]
    pub quota_reset: Option<u64>,
    /// Seconds until the request would be admitted, rounded up. Present only if the refusal ends by itself.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "number"
    )]
    pub retry_after: Option<u64>,
    /// The limit that refused the request, by its name in `RateLimit-Policy`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub violated_policy: Option<String>,
    /// The `RateLimit` field of draft-ietf-httpapi-ratelimit-headers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<String>,
    /// The `RateLimit-Policy` field of the same draft.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit_policy: Option<String>,
}

impl Context {
    /// The context of a verdict.
    pub fn of(verdict: &Verdict) -> Self {
        let status = &verdict.limit_status;
        let quota = status.quota();
        let field = |field: String| Some(field).filter(|field| !field.is_empty());
        Self {
            decision: verdict.decision,
            reason: verdict.reason.as_str().to_owned(),
            key_id: verdict.key_id.clone().map(String::from),
            customer_id: verdict.customer_id.clone(),
            plan_id: verdict.plan_id.clone().map(String::from),
            quota_limit: quota.map(|quota| quota.limit),
            quota_remaining: quota.map(|quota| quota.remaining),
            quota_reset: quota.and_then(|quota| u64::try_from(quota.reset.as_second()).ok()),
            retry_after: verdict.retry_after_seconds(),
            violated_policy: verdict.reason.limit().map(|kind| kind.name().to_owned()),
            rate_limit: field(fields::remaining(status)),
            rate_limit_policy: field(fields::policy(status)),
        }
    }
}

/// Reads a number, or a string that contains one.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    struct Number;

    impl Visitor<'_> for Number {
        type Value = Option<u64>;

        fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
            f.write_str("a whole number, or a string that is one")
        }

        fn visit_u64<E: de::Error>(self, number: u64) -> Result<Self::Value, E> {
            Ok(Some(number))
        }

        fn visit_i64<E: de::Error>(self, number: i64) -> Result<Self::Value, E> {
            u64::try_from(number).map(Some).map_err(E::custom)
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
            text.parse().map(Some).map_err(E::custom)
        }

        fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }
    }

    deserializer.deserialize_any(Number)
}

impl Default for Context {
    /// Denied, so that a context without information does not admit a request.
    fn default() -> Self {
        Self::of(&Verdict::because(Reason::BadEvent))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::de::value::{Error, MapDeserializer};

    fn read(entries: &[(&str, &str)]) -> Result<Context, Error> {
        Context::deserialize(MapDeserializer::new(entries.iter().copied()))
    }

    #[test]
    fn numbers_are_read_from_strings_and_unknown_members_are_passed_over() {
        let context = read(&[
            ("decision", "quota_exceeded"),
            ("reason", "quota"),
            ("quotaLimit", "100"),
            ("retryAfter", "7"),
            ("principalId", "k"),
        ])
        .expect("readable");
        assert_eq!(context.decision, Decision::QuotaExceeded);
        assert_eq!(
            (context.quota_limit, context.retry_after),
            (Some(100), Some(7))
        );
        assert_eq!(context.quota_remaining, None);
    }

    #[test]
    fn a_decision_that_is_not_known_cannot_be_read() {
        assert!(read(&[("decision", "perhaps"), ("reason", "ok")]).is_err());
        assert!(read(&[("reason", "ok")]).is_err());
        assert!(
            read(&[
                ("decision", "allow"),
                ("reason", "ok"),
                ("retryAfter", "soon")
            ])
            .is_err()
        );
    }

    #[test]
    fn nothing_known_is_denied() {
        assert_eq!(Context::default().decision, Decision::Denied);
    }
}
