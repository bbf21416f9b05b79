//! A key, for people.

use comfy_table::Table;
use serde_json::Value;

use crate::output::table::{entries, fields, members, text, time};

pub(super) fn table(key: &Value) -> Table {
    let own = &key["tollgate"];
    let plans = entries(&key["usagePlans"]);
    let plans = plans.map(|plan| format!("{} {}", text(&plan["id"]), text(&plan["name"])));
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
        ("value before, until", time(&own["earlierValueUntil"])),
        ("only", restriction(&own["restriction"])),
        ("plans", plans.collect::<Vec<_>>().join("\n")),
        ("own limits", overrides(&own["overrides"])),
    ])
}

/// A line for each method, or for each stage that is open as a whole.
fn restriction(restriction: &Value) -> String {
    let mut lines = Vec::new();
    for (stage, methods) in members(restriction) {
        match methods.as_array() {
            Some(methods) if !methods.is_empty() => {
                let methods = methods.iter().filter_map(Value::as_str);
                lines.extend(methods.map(|method| format!("{stage}{method}")));
            }
            _ => lines.push(stage.clone()),
        }
    }
    lines.join("\n")
}

/// A line for each plan whose limits are overridden.
fn overrides(overrides: &Value) -> String {
    let lines = members(overrides).map(|(plan, limits)| format!("{plan} {limits}"));
    lines.collect::<Vec<_>>().join("\n")
}
