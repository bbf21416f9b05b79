//! `tollgate usage`: what keys have used.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use comfy_table::Table;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use serde_json::{Map, Value, json};

use crate::api::Api;
use crate::output::{Common, Output, cell, id, list, number};
use crate::{Failure, print, transfer};

/// Columns of the longest bar.
const BAR: u64 = 40;

/// `tollgate usage`.
#[derive(Debug, Args)]
pub(crate) struct Usage {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show the use of a plan day by day, as a table and a chart
    Show(Range),
    /// Print the use of a plan, a row for each key and day
    Export {
        #[command(flatten)]
        range: Range,
        /// How it is written
        #[arg(long, value_enum, default_value = "csv")]
        format: transfer::Format,
    },
}

#[derive(Debug, Args)]
struct Range {
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
    fn days(&self) -> (Date, Date) {
        let today = Timestamp::now().to_zoned(TimeZone::UTC).date();
        let to = self.to.unwrap_or(today);
        let from = self.from.unwrap_or_else(|| to.saturating_sub(29.days()));
        (from, to)
    }

    async fn read(&self, api: &Api) -> Result<Value, Failure> {
        let key = self.key.as_deref().unwrap_or_default();
        read(api, &self.plan, key, self.days()).await
    }
}

impl Usage {
    pub(crate) async fn run(self) -> Result<ExitCode, Failure> {
        let api = Api::at(&self.common.place).await?;
        match self.action {
            Action::Show(range) => {
                let usage = range.read(&api).await?;
                let output = self.common.output;
                output.print(&usage, |usage| days(usage, range.days().0))?;
                let keys = usage["values"].as_object().map_or(0, Map::len);
                if output == Output::Table && range.key.is_none() && keys > 0 {
                    print("")?;
                    output.print(&usage, by_key)?;
                }
            }
            Action::Export { range, format } => {
                let usage = range.read(&api).await?;
                transfer::export_usage(&usage, range.days().0, format)?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The whole answer, page after page put together.
async fn read(
    api: &Api,
    plan: &str,
    key: &str,
    (from, to): (Date, Date),
) -> Result<Value, Failure> {
    let (from, to) = (from.to_string(), to.to_string());
    let mut values = Map::new();
    let mut position = String::new();
    loop {
        let query = [
            ("startDate", &*from),
            ("endDate", &*to),
            ("keyId", key),
            ("limit", "500"),
            ("position", &*position),
        ];
        let mut page = api.get(&["usageplans", plan, "usage"], &query).await?;
        if let Value::Object(more) = page["values"].take() {
            values.extend(more);
        }
        match page["position"].as_str() {
            Some(next) if !next.is_empty() => next.clone_into(&mut position),
            _ => break,
        }
    }
    Ok(json!({ "usagePlanId": plan, "startDate": from, "endDate": to, "values": values }))
}

/// What was used and left on one day: `[used, remaining]`.
fn pair(day: &Value) -> (u64, i64) {
    (day[0].as_u64().unwrap_or(0), day[1].as_i64().unwrap_or(-1))
}

/// A row for each day with the use of all keys; what is left is told for a single one.
fn days(usage: &Value, from: Date) -> Table {
    let empty = Map::new();
    let keys = usage["values"].as_object().unwrap_or(&empty);
    let days = keys
        .values()
        .filter_map(Value::as_array)
        .map(Vec::len)
        .max();
    let of_day = |day: usize| keys.values().map(move |days| pair(&days[day]));
    let used: Vec<u64> = (0..days.unwrap_or(0))
        .map(|day| of_day(day).map(|(used, _)| used).sum())
        .collect();
    let most = used.iter().copied().max().unwrap_or(0);
    let left = |day| match of_day(day).next() {
        Some((_, left)) if keys.len() == 1 && left >= 0 => left.to_string(),
        _ => String::new(),
    };
    list(
        &["DAY", "USED", "LEFT", ""],
        used.iter().enumerate().map(|(day, used)| {
            let date = from.saturating_add(i64::try_from(day).unwrap_or(0).days());
            vec![
                cell(&json!(date.to_string())),
                number(used),
                number(left(day)),
                bar(*used, most).into(),
            ]
        }),
    )
}

/// A row for each key with its use in all the days, the most first.
fn by_key(usage: &Value) -> Table {
    let keys = usage["values"].as_object().into_iter().flatten();
    let mut keys: Vec<_> = keys
        .map(|(key, days)| {
            let days: Vec<_> = days.as_array().into_iter().flatten().map(pair).collect();
            let used: u64 = days.iter().map(|(used, _)| used).sum();
            (used, key, days.last().map_or(-1, |(_, left)| *left))
        })
        .collect();
    keys.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(b.1)));
    let most = keys.first().map_or(0, |(used, ..)| *used);
    list(
        &["KEY", "USED", "LEFT", ""],
        keys.into_iter().map(|(used, key, left)| {
            let left = if left < 0 {
                String::new()
            } else {
                left.to_string()
            };
            vec![
                cell(&json!(key)),
                number(used),
                number(left),
                bar(used, most).into(),
            ]
        }),
    )
}

/// A bar in proportion to the longest; anything at all is a sliver.
fn bar(value: u64, most: u64) -> String {
    let eighths = if most == 0 {
        0
    } else {
        let exact = u128::from(value) * u128::from(BAR * 8) / u128::from(most);
        usize::try_from(exact)
            .unwrap_or(0)
            .max(usize::from(value > 0))
    };
    let part = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"][eighths % 8];
    "█".repeat(eighths / 8) + part
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_long_as_its_share_of_the_most() {
        assert_eq!(bar(10, 10), "█".repeat(40));
        assert_eq!(bar(5, 10), "█".repeat(20));
        assert_eq!(bar(1, 1_000_000), "▏");
        assert_eq!(bar(0, 10), "");
        assert_eq!(bar(0, 0), "");
        assert_eq!(bar(u64::MAX, u64::MAX), "█".repeat(40));
    }
}
