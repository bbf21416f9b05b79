//! The list of limits that one request has to meet. The request is admitted only if every one of them has room.

use crate::bucket::Bucket;
use crate::limit::Quota;
use crate::reason::LimitKind;

/// The name of a bucket inside a meter. It is short, because a meter has to stay under 1 KB.
pub type BucketId = String;

/// The bucket of the plan's own throttle.
pub const PLAN_BUCKET: &str = "*";

/// One limit that a request has to meet.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Limit {
    /// Which of the plan's limits this is.
    pub kind: LimitKind,
    /// How the limit counts, and the amount it allows.
    pub rule: Rule,
}

/// How a limit counts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Rule {
    /// By GCRA, in the meter's bucket of this name.
    Bucket(BucketId, Bucket),
    /// By the cost spent in a calendar period.
    Quota(Quota),
}

/// The limits that one request has to meet, in the order in which responses list them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Limits(Vec<Limit>);

impl Limits {
    /// Adds a limit, if there is one.
    #[must_use]
    pub fn and(self, limit: impl Into<Option<Limit>>) -> Self {
        self.and_all(limit.into())
    }

    /// Adds limits.
    #[must_use]
    pub fn and_all(mut self, limits: impl IntoIterator<Item = Limit>) -> Self {
        self.0.extend(limits);
        self
    }

    /// All limits.
    pub fn iter(&self) -> impl Iterator<Item = &Limit> {
        self.0.iter()
    }

    /// All buckets with their names.
    pub fn buckets(&self) -> impl Iterator<Item = (&str, Bucket)> {
        self.iter().filter_map(|limit| match &limit.rule {
            Rule::Bucket(id, bucket) => Some((id.as_str(), *bucket)),
            Rule::Quota(_) => None,
        })
    }

    /// The quota. A plan has at most one.
    pub fn quota(&self) -> Option<Quota> {
        self.iter().find_map(|limit| match limit.rule {
            Rule::Quota(quota) => Some(quota),
            Rule::Bucket(..) => None,
        })
    }

    /// Whether one of the limits never admits anything.
    pub fn is_closed(&self) -> bool {
        let closed = |limit: &Limit| match &limit.rule {
            Rule::Bucket(_, bucket) => bucket.burst() == 0,
            Rule::Quota(quota) => quota.limit() == 0,
        };
        self.iter().any(closed)
    }
}

impl Limit {
    /// The plan's throttle, over all stages.
    pub fn rate(bucket: Bucket) -> Self {
        Self {
            kind: LimitKind::Rate,
            rule: Rule::Bucket(PLAN_BUCKET.to_owned(), bucket),
        }
    }

    /// The throttle of a method.
    pub fn method(id: BucketId, bucket: Bucket) -> Self {
        Self {
            kind: LimitKind::Method,
            rule: Rule::Bucket(id, bucket),
        }
    }

    /// The plan's quota.
    pub fn quota(quota: Quota) -> Self {
        Self {
            kind: LimitKind::Quota,
            rule: Rule::Quota(quota),
        }
    }
}
