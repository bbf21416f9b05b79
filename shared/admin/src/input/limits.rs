//! Throttles and quotas.

use tollgate_core::calendar::UnknownPeriod;
use tollgate_core::id::PlanId;
use tollgate_core::limit::{InvalidLimit, Quota, Throttle};

use super::Location;

/// The largest number of requests that a caller can state. API Gateway's clients read such numbers into 32 bits, and some cannot
/// read the rest of an answer with a larger one in it.
pub const LARGEST_NUMBER: i64 = i32::MAX as i64;

/// A throttle as a caller states it.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ThrottleDraft {
    /// Requests per second.
    pub rate_limit: Option<f64>,
    /// Requests at once.
    pub burst_limit: Option<i64>,
}

/// A quota as a caller states it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct QuotaDraft {
    /// Requests per period; required.
    pub limit: Option<QuotaLimit>,
    /// DAY, WEEK or MONTH; required.
    pub period: Option<String>,
    /// The day on which the period starts; 0 by default.
    pub offset: Option<i64>,
}

/// Requests per period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuotaLimit {
    /// As a caller states it.
    Given(i64),
    /// As the plan has it. Earlier releases stored larger ones than a caller can state; a change of something else keeps them.
    Stored(u64),
}

/// A number of requests that a caller states.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Number {
    /// The burst of a throttle.
    Burst(Location),
    /// The limit of the plan's quota.
    Quota,
    /// The limit that a key has in place of the quota's of this plan.
    OverrideQuota(PlanId),
}

impl std::fmt::Display for Number {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Burst(location) => write!(f, "the burst of {location}"),
            Self::Quota => f.write_str("the quota's limit"),
            Self::OverrideQuota(plan) => {
                write!(f, "the quota's limit that overrides plan {plan}")
            }
        }
    }
}

/// A throttle or a quota that breaks a rule.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum InvalidSetting {
    /// A number of requests that is negative or too large.
    #[error("{number} is a whole number from 0 to {max}, got {got}")]
    Number {
        /// Which one.
        number: Number,
        /// The largest.
        max: i64,
        /// The one that was asked for.
        got: i64,
    },
    /// A throttle that cannot be.
    #[error("{location}: {source}")]
    Throttle {
        /// Which one.
        location: Location,
        /// What is wrong with it.
        source: InvalidLimit,
    },
    /// A quota without a limit.
    #[error("a quota needs a limit")]
    QuotaLimitMissing,
    /// A quota without a period.
    #[error("a quota needs a period: DAY, WEEK or MONTH")]
    PeriodMissing,
    /// A period that is none.
    #[error("the quota's period: {0}")]
    Period(UnknownPeriod),
    /// An offset that the period does not have.
    #[error(transparent)]
    Offset(InvalidLimit),
}

impl ThrottleDraft {
    /// The draft that states a throttle as it is.
    pub fn of(throttle: &Throttle) -> Self {
        Self {
            rate_limit: throttle.rate_limit(),
            burst_limit: throttle.burst_limit().map(i64::from),
        }
    }

    /// The throttle that it states.
    pub(super) fn check(self, location: &Location) -> Result<Throttle, InvalidSetting> {
        let burst = match self.burst_limit {
            None => None,
            Some(burst @ 0..=LARGEST_NUMBER) => u32::try_from(burst).ok(),
            Some(got) => return Err(out_of_range(Number::Burst(location.clone()), got)),
        };
        Throttle::new(self.rate_limit, burst).map_err(|source| InvalidSetting::Throttle {
            location: location.clone(),
            source,
        })
    }
}

impl QuotaDraft {
    /// The draft that states a quota as it is.
    pub fn of(quota: &Quota) -> Self {
        Self {
            limit: Some(QuotaLimit::Stored(quota.limit())),
            period: Some(quota.period().as_str().to_owned()),
            offset: Some(i64::from(quota.offset())),
        }
    }

    /// The quota that it states.
    pub(super) fn check(&self) -> Result<Quota, InvalidSetting> {
        let limit = match self.limit.ok_or(InvalidSetting::QuotaLimitMissing)? {
            QuotaLimit::Stored(limit) => limit,
            QuotaLimit::Given(limit) => whole_number(limit, || Number::Quota)?,
        };
        let period = self.period.as_deref();
        let period = period.ok_or(InvalidSetting::PeriodMissing)?.parse();
        let period = period.map_err(InvalidSetting::Period)?;
        Quota::new(limit, period, self.offset.unwrap_or(0)).map_err(InvalidSetting::Offset)
    }
}

/// A number of requests from 0 to [`LARGEST_NUMBER`].
pub(super) fn whole_number(got: i64, number: impl Fn() -> Number) -> Result<u64, InvalidSetting> {
    let fits = u64::try_from(got).ok().filter(|_| got <= LARGEST_NUMBER);
    fits.ok_or_else(|| out_of_range(number(), got))
}

fn out_of_range(number: Number, got: i64) -> InvalidSetting {
    InvalidSetting::Number {
        number,
        max: LARGEST_NUMBER,
        got,
    }
}
