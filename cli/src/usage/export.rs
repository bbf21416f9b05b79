//! Files of usage.

use jiff::ToSpan;
use jiff::civil::Date;
use serde_json::Value;

use crate::failure::Failure;
use crate::output::csv_file::{self, Format};
use crate::output::table::{entries, members, text};

/// Prints usage from the day `from` on, with a row for each key and day.
pub(super) fn print(usage: &Value, from: Date, format: Format) -> Result<(), Failure> {
    if format == Format::Json {
        return crate::output::print(format!("{usage:#}"));
    }
    let plan = text(&usage["usagePlanId"]);
    let mut rows = Vec::new();
    for (key, days) in members(&usage["values"]) {
        for (day, pair) in (0_i64..).zip(entries(days)) {
            let date = from.saturating_add(day.days()).to_string();
            let (used, remaining) = (pair[0].to_string(), pair[1].to_string());
            rows.push([plan.clone(), key.clone(), date, used, remaining]);
        }
    }
    csv_file::print(["UsagePlanId", "KeyId", "Day", "Used", "Remaining"], rows)
}
