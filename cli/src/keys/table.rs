//! A key, for people.

use comfy_table::Table;
use serde_json::Value;

use crate::names;
use crate::output::limits::{self, restriction};
use crate::output::table::{fields, members, text, time};

pub(super) fn table(key: &Value) -> Table {
    let own = &key["tollgate"];
    let plans = names::listed(&key["usagePlans"]).map(|plan| plan.to_string());
    fields([
        ("id", text(&key["id"])),
        ("value", text(&key["value"])),
        ("name", text(&key["name"])),
        ("description", text(&key["description"])),
        ("customer", text(&key["customerId"])),
        ("enabled", text(&key["enabled"])),
        ("created", time(&key["createdDate"])),
        ("updated", time(&key["lastUpdatedDate"])),
        ("expires", time(&own["expiresAt"])),
        ("last used", text(&own["lastUsedDay"])),
        ("old value ends", time(&own["earlierValueUntil"])),
        ("only", restriction(&own["restriction"])),
        ("plans", plans.collect::<Vec<_>>().join("\n")),
        ("own limits", overrides(key)),
    ])
}

/// A line for each plan whose limits are overridden. The plan has its name where the answer has it.
fn overrides(key: &Value) -> String {
    let lines = members(&key["tollgate"]["overrides"]).map(|(id, own)| {
        let plan = names::listed(&key["usagePlans"]).find(|plan| plan.id == *id);
        let plan = plan.map_or_else(|| id.clone(), |plan| plan.to_string());
        format!("{plan}: {}", limits::overrides(own))
    });
    lines.collect::<Vec<_>>().join("\n")
}
