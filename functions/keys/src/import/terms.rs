//! The columns that are Tollgate's own: what restricts a key, or gives it limits of its own.
//!
//! These terms have to come back from an export, or the imported key could do more than the exported one. So a row whose terms
//! cannot be read is left out, and a file of a release that did not export them gets a warning.

use std::collections::BTreeMap;

use csv::StringRecord;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use tollgate_admin::input::text::customer_id;
use tollgate_admin::input::{MethodLists, OverrideDraft, methods};
use tollgate_api::KeyOverride;
use tollgate_core::id::PlanId;
use tollgate_core::terms::Restriction;

use super::file::{MalformedFile, column, text};
use crate::draft;
use crate::error::ApiError;
use crate::request::json_value;

const CUSTOMER: &str = "CustomerId";
const EXPIRES: &str = "Expires";
const RESTRICTION: &str = "Restriction";
const OVERRIDES: &str = "Overrides";
/// Columns that only an export has.
const EXPORT_ONLY: [&str; 3] = ["Id", "Created", EXPIRES];

/// The format in which releases before 0.4 exported times: to the minute.
const TO_THE_MINUTE: &str = "%Y-%m-%d %H:%M UTC";

/// The index of each column.
pub(super) struct Columns {
    customer: Option<usize>,
    expires: Option<usize>,
    restriction: Option<usize>,
    overrides: Option<usize>,
}

/// The terms of one row.
#[derive(Debug, Default)]
pub(super) struct RowTerms {
    pub(super) customer_id: Option<String>,
    pub(super) expires: Option<Timestamp>,
    pub(super) restriction: Option<Restriction>,
    /// By plan id, not yet checked against the plans.
    pub(super) overrides: BTreeMap<PlanId, OverrideDraft>,
}

impl Columns {
    pub(super) fn of(header: &StringRecord) -> Result<Self, MalformedFile> {
        Ok(Self {
            customer: column(header, CUSTOMER)?,
            expires: column(header, EXPIRES)?,
            restriction: column(header, RESTRICTION)?,
            overrides: column(header, OVERRIDES)?,
        })
    }

    /// The warning for an export that lacks columns which exports have today.
    pub(super) fn warning(&self, header: &StringRecord) -> Result<Option<String>, MalformedFile> {
        for name in EXPORT_ONLY {
            if column(header, name)?.is_none() {
                return Ok(None);
            }
        }
        let columns = [(RESTRICTION, self.restriction), (OVERRIDES, self.overrides)];
        let missing = columns.iter().filter(|(_, column)| column.is_none());
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

    pub(super) fn read(&self, record: &StringRecord) -> Result<RowTerms, ApiError> {
        let text = |column| text(record, column);
        Ok(RowTerms {
            customer_id: customer_id(text(self.customer).map(str::to_owned))?,
            expires: text(self.expires).map(expires).transpose()?,
            restriction: text(self.restriction).map(restriction).transpose()?,
            overrides: text(self.overrides)
                .map(overrides)
                .transpose()?
                .unwrap_or_default(),
        })
    }
}

/// A time, which may be over: RFC 3339, epoch seconds, or as earlier releases exported it.
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
        ApiError::BadRequest(format!(
            "{EXPIRES}: expected a time such as 2027-01-31T00:00:00Z, or epoch seconds, got {text:?}"
        ))
    })?;
    // Exports show whole seconds, so keys expire at whole seconds.
    Ok(Timestamp::from_second(time.as_second()).unwrap_or(time))
}

fn restriction(text: &str) -> Result<Restriction, ApiError> {
    let expected = "a map from apiId:stage to a list of /path/METHOD";
    let stages: MethodLists = json_value(RESTRICTION, text, expected)?;
    Ok(methods::restriction(&stages)?)
}

fn overrides(text: &str) -> Result<BTreeMap<PlanId, OverrideDraft>, ApiError> {
    let expected = "a map from usage plan ids to throttle, quotaLimit, methods and until";
    let given: BTreeMap<PlanId, KeyOverride> = json_value(OVERRIDES, text, expected)?;
    let given = given.into_iter();
    Ok(given
        .map(|(plan, given)| (plan, draft::overrides(given)))
        .collect())
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
