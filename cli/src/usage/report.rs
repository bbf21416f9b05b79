//! A plan's usage, read from the API.

use clap::Args;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use serde_json::{Map, Value, json};
use tollgate_api::client::Client;

use crate::arguments::id;
use crate::failure::Failure;

/// Which usage: of a plan or one of its keys, and of which days.
#[derive(Debug, Args)]
pub(super) struct Range {
    #[arg(value_parser = id)]
    plan: String,
    /// Of this key only
    #[arg(long, value_parser = id)]
    key: Option<String>,
    /// The first day, UTC; 29 days before the last one
    #[arg(long, value_name = "YYYY-MM-DD")]
    from: Option<Date>,
    /// The last day, UTC; today
    #[arg(long, value_name = "YYYY-MM-DD")]
    to: Option<Date>,
}

impl Range {
    /// The first and the last day.
    pub(super) fn days(&self) -> (Date, Date) {
        let today = Timestamp::now().to_zoned(TimeZone::UTC).date();
        let to = self.to.unwrap_or(today);
        let from = self.from.unwrap_or_else(|| to.saturating_sub(29.days()));
        (from, to)
    }

    pub(super) fn is_of_one_key(&self) -> bool {
        self.key.is_some()
    }

    /// Reads all pages into one answer. Its `values` has, for each key, `[used, remaining]` of each day.
    pub(super) async fn read(&self, api: &Client) -> Result<Value, Failure> {
        let (from, to) = self.days();
        let (from, to) = (from.to_string(), to.to_string());
        let query = [
            ("startDate", &*from),
            ("endDate", &*to),
            ("keyId", self.key.as_deref().unwrap_or_default()),
        ];
        let path = ["usageplans", &self.plan, "usage"];
        let mut pages = api.pages::<Value>(&path, &query)?;
        let mut values = Map::new();
        while let Some(mut page) = pages.next().await? {
            if let Value::Object(keys) = page["values"].take() {
                values.extend(keys);
            }
        }
        Ok(json!({ "usagePlanId": self.plan, "startDate": from, "endDate": to, "values": values }))
    }
}
