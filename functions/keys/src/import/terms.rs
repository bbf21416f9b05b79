//! The columns that are Tollgate's own: what narrows a key, or gives it limits of its own.
//!
//! What an export says of that has to come back, or a key would be good for more where it is imported than where it came from.
//! So a row whose terms cannot be made is left out, and a file of a release that did not export them is warned of.

use std::collections::{BTreeMap, BTreeSet};

use csv::StringRecord;
use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use tollgate_admin::Admin;
use tollgate_core::calendar::day_of;
use tollgate_core::id::PlanId;
use tollgate_core::terms::{Override, Restriction};
use tollgate_dynamo::item::plan::PlanRecord;

use super::column;
use crate::api_keys::customer_id;
use crate::error::ApiError;
use crate::wire::key::{Methods, json_value, restriction};
use crate::wire::{WireOverride, bad};

const CUSTOMER: &str = "CustomerId";
const EXPIRES: &str = "Expires";
const RESTRICTION: &str = "Restriction";
const OVERRIDES: &str = "Overrides";
/// Columns that only an export has.
const OF_EXPORTS: [&str; 3] = ["Id", "Created", EXPIRES];

/// How releases before 0.4 have exported times: to the minute.
const TO_THE_MINUTE: &str = "%Y-%m-%d %H:%M UTC";

/// Where each column is.
pub(super) struct Columns {
    customer: Option<usize>,
    expires: Option<usize>,
    restriction: Option<usize>,
    overrides: Option<usize>,
}

/// What a row says of them.
#[derive(Debug, Default)]
pub(super) struct Given {
    pub(super) customer_id: Option<String>,
    /// Milliseconds since the epoch.
    pub(super) expires: Option<Timestamp>,
    pub(super) restriction: Option<Restriction>,
    /// By plan id, not yet checked against the plans.
    pub(super) overrides: BTreeMap<PlanId, WireOverride>,
}

impl Columns {
    pub(super) fn of(header: &StringRecord) -> Result<Self, ApiError> {
        Ok(Self {
            customer: column(header, CUSTOMER)?,
            expires: column(header, EXPIRES)?,
            restriction: column(header, RESTRICTION)?,
            overrides: column(header, OVERRIDES)?,
        })
    }

    /// What a file lacks that an export of it would need.
    pub(super) fn warning(&self, header: &StringRecord) -> Result<Option<String>, ApiError> {
        for name in OF_EXPORTS {
            if column(header, name)?.is_none() {
                return Ok(None);
            }
        }
        let missing = [(RESTRICTION, self.restriction), (OVERRIDES, self.overrides)];
        let missing = missing.iter().filter(|(_, column)| column.is_none());
        let missing: Vec<_> = missing.map(|(name, _)| *name).collect();
        let text = "this export has no column";
        Ok((!missing.is_empty()).then(|| {
            format!(
                "{text} {}: an earlier release has not exported what keys are restricted to, nor their own limits. \
                 New keys get neither; export again, or set them by hand",
                missing.join(" and ")
            )
        }))
    }

    pub(super) fn read(&self, record: &StringRecord) -> Result<Given, ApiError> {
        let text = |column: Option<usize>| {
            let text = column.and_then(|column| record.get(column));
            text.filter(|text| !text.is_empty())
        };
        Ok(Given {
            customer_id: customer_id(text(self.customer).map(str::to_owned))?,
            expires: text(self.expires).map(expires).transpose()?,
            restriction: text(self.restriction).map(restricted).transpose()?,
            overrides: match text(self.overrides) {
                Some(text) => {
                    let expected =
                        "a map from usage plan ids to throttle, quotaLimit, methods and until";
                    json_value(OVERRIDES, Some(text), expected)?
                }
                None => BTreeMap::new(),
            },
        })
    }
}

/// A time, also one that is over: RFC 3339, epoch seconds, or as earlier releases have exported it.
fn expires(text: &str) -> Result<Timestamp, ApiError> {
    let seconds = || {
        text.parse()
            .ok()
            .and_then(|second| Timestamp::from_second(second).ok())
    };
    let earlier = || {
        let time = DateTime::strptime(TO_THE_MINUTE, text).ok()?;
        Some(time.to_zoned(TimeZone::UTC).ok()?.timestamp())
    };
    let time = text.parse().ok().or_else(seconds).or_else(earlier);
    let time = time.ok_or_else(|| {
        bad(format!(
            "{EXPIRES}: expected a time such as 2027-01-31T00:00:00Z, or epoch seconds, got {text:?}"
        ))
    })?;
    // Times are kept by the second: exports show no more.
    Ok(Timestamp::from_second(time.as_second()).unwrap_or(time))
}

fn restricted(text: &str) -> Result<Restriction, ApiError> {
    let expected = "a map from apiId:stage to a list of /path/METHOD";
    let stages: Methods = json_value(RESTRICTION, Some(text), expected)?;
    restriction(&stages)
}

/// The plans that rows name in their overrides.
pub(super) async fn plans(
    admin: &Admin,
    rows: impl Iterator<Item = &Given>,
) -> Result<BTreeMap<PlanId, PlanRecord>, ApiError> {
    let ids: BTreeSet<_> = rows.flat_map(|row| row.overrides.keys().cloned()).collect();
    let ids: Vec<_> = ids.into_iter().collect();
    let plans = admin.plans_by_id(&ids).await?;
    Ok(plans
        .into_iter()
        .map(|plan| (plan.id.clone(), plan))
        .collect())
}

/// The overrides of a row, but for those that are over.
///
/// # Errors
/// [`ApiError::BadRequest`] for a plan that is not there, or has no such limit.
pub(super) fn overrides(
    given: &BTreeMap<PlanId, WireOverride>,
    plans: &BTreeMap<PlanId, PlanRecord>,
    now: Timestamp,
) -> Result<BTreeMap<PlanId, Override>, ApiError> {
    let today = day_of(now);
    let is_over = |it: &WireOverride| {
        let until = it.until.as_ref().and_then(|day| day.parse::<Date>().ok());
        until.is_some_and(|day| day < today)
    };
    let mut overrides = BTreeMap::new();
    for (id, given) in given.iter().filter(|(_, given)| !is_over(given)) {
        let plan = plans.get(id).ok_or_else(|| {
            bad(format!(
                "{OVERRIDES}: there is no usage plan {id}, whose limits they would replace"
            ))
        })?;
        overrides.insert(id.clone(), given.read(plan, now)?);
    }
    Ok(overrides)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_come_to_the_second_and_as_earlier_releases_wrote_them() {
        for (text, expected) in [
            ("2027-01-31T10:20:30Z", 1_801_390_830_000),
            ("1801390830", 1_801_390_830_000),
            ("2027-01-31 10:20 UTC", 1_801_390_800_000),
            ("2001-01-01T00:00:00Z", 978_307_200_000),
        ] {
            assert_eq!(
                expires(text).expect("a time").as_millisecond(),
                expected,
                "{text}"
            );
        }
        let error = expires("soon").expect_err("no time").to_string();
        assert!(
            error.starts_with("Expires: expected a time such as"),
            "{error}"
        );
    }
}
