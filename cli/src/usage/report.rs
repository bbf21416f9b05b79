//! A plan's usage, read from the API.

use std::collections::BTreeMap;

use clap::Args;
use clap_complete::ArgValueCandidates;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use serde_json::{Map, Value, json};
use tollgate_api::client::Client;

use crate::completion;
use crate::failure::Failure;
use crate::names::{Found, IdOrName};
use crate::output::table::{entries, members, text};

/// Which usage: of a plan or one of its keys, and of which days.
#[derive(Debug, Args)]
pub(super) struct Range {
    /// The plan's id or name
    #[arg(add = ArgValueCandidates::new(completion::plans))]
    plan: IdOrName,
    /// Only this key, by id or name
    #[arg(long, add = ArgValueCandidates::new(completion::keys))]
    key: Option<IdOrName>,
    /// First day, UTC [default: 29 days before the last day]
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = day)]
    from: Option<Date>,
    /// Last day, UTC [default: today]
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = day)]
    to: Option<Date>,
}

/// A plan's usage in some days.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) from: Date,
    pub(super) to: Date,
    /// The API's answer. Its `values` has, for each key, `[used, remaining]` of each day.
    pub(super) usage: Value,
}

impl Range {
    /// The first and the last day.
    fn days(&self) -> (Date, Date) {
        let today = Timestamp::now().to_zoned(TimeZone::UTC).date();
        let to = self.to.unwrap_or(today);
        let from = self.from.unwrap_or_else(|| to.saturating_sub(29.days()));
        (from, to)
    }

    pub(super) fn is_of_one_key(&self) -> bool {
        self.key.is_some()
    }

    /// Reads all pages into one answer.
    pub(super) async fn read(&self, api: &Client) -> Result<Report, Failure> {
        let (from, to) = self.days();
        let (first, last) = (from.to_string(), to.to_string());
        let plan = self.plan.plan(api).await?;
        let key = match &self.key {
            Some(key) => key.key(api).await?.id,
            None => String::new(),
        };
        let query = [
            ("startDate", &*first),
            ("endDate", &*last),
            ("keyId", &*key),
        ];
        let path = ["usageplans", &plan.id, "usage"];
        let mut pages = api.pages::<Value>(&path, &query)?;
        let mut values = Map::new();
        while let Some(mut page) = pages.next().await? {
            if let Value::Object(keys) = page["values"].take() {
                values.extend(keys);
            }
        }
        let usage = json!({ "usagePlanId": plan.id, "startDate": first, "endDate": last, "values": values });
        Ok(Report { from, to, usage })
    }
}

impl Report {
    /// Whether no key was used.
    pub(super) fn is_unused(&self) -> bool {
        let mut days = members(&self.usage["values"]).flat_map(|(_, days)| entries(days));
        days.all(|day| day[0] == 0)
    }

    /// The names of the plan's keys by their ids.
    pub(super) async fn key_names(
        &self,
        api: &Client,
    ) -> Result<BTreeMap<String, String>, Failure> {
        let plan = text(&self.usage["usagePlanId"]);
        let keys: Vec<Value> = api.list(&["usageplans", &plan, "keys"], &[], None).await?;
        let keys = keys.iter().map(Found::of);
        Ok(keys.map(|key| (key.id, key.name)).collect())
    }
}

/// A day of the calendar.
fn day(text: &str) -> Result<Date, String> {
    let expected = |_| "expected a day, such as 2027-01-31".to_owned();
    text.parse().map_err(expected)
}
