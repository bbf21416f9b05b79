//! Plans, for people.

use comfy_table::Table;
use serde_json::Value;

use crate::output::table::{self, cell, entries, fields, members, number, text};

/// A list of plans.
pub(super) fn list(plans: &Value) -> Table {
    table::list(
        &["ID", "NAME", "RATE/S", "BURST", "QUOTA", "STAGES"],
        entries(plans).map(|plan| {
            vec![
                cell(&plan["id"]),
                cell(&plan["name"]),
                number(text(&plan["throttle"]["rateLimit"])),
                number(text(&plan["throttle"]["burstLimit"])),
                quota(plan).into(),
                stages(plan).join(" ").into(),
            ]
        }),
    )
}

/// One plan.
pub(super) fn plan(plan: &Value) -> Table {
    fields([
        ("id", text(&plan["id"])),
        ("name", text(&plan["name"])),
        ("description", text(&plan["description"])),
        ("throttle", throttle(&plan["throttle"])),
        ("quota", quota(plan)),
        ("stages", stages(plan).join("\n")),
        ("methods", method_throttles(plan).join("\n")),
        ("open only", open_methods(plan).join("\n")),
    ])
}

/// The stages that a plan opens, each as `apiId:stage`.
pub(super) fn stages(plan: &Value) -> Vec<String> {
    entries(&plan["apiStages"]).map(stage).collect()
}

fn stage(entry: &Value) -> String {
    format!("{}:{}", text(&entry["apiId"]), text(&entry["stage"]))
}

fn method_throttles(plan: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    for entry in entries(&plan["apiStages"]) {
        let stage = stage(entry);
        let throttles = members(&entry["throttle"]);
        lines.extend(
            throttles.map(|(template, limits)| format!("{stage}{template}  {}", throttle(limits))),
        );
    }
    lines
}

fn open_methods(plan: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    for (stage, methods) in members(&plan["tollgate"]["methods"]) {
        lines.extend(entries(methods).map(|method| format!("{stage}{}", text(method))));
    }
    lines
}

fn throttle(throttle: &Value) -> String {
    let (rate, burst) = (text(&throttle["rateLimit"]), text(&throttle["burstLimit"]));
    match (rate.is_empty(), burst.is_empty()) {
        (true, true) => String::new(),
        (false, true) => format!("{rate}/s"),
        (true, false) => format!("burst {burst}"),
        (false, false) => format!("{rate}/s, burst {burst}"),
    }
}

fn quota(plan: &Value) -> String {
    let quota = &plan["quota"];
    if quota.is_null() {
        return String::new();
    }
    let period = text(&quota["period"]).to_lowercase();
    let per_period = format!("{} a {period}", text(&quota["limit"]));
    match quota["offset"].as_u64() {
        None | Some(0) => per_period,
        Some(offset) => format!("{per_period}, from day {offset} on"),
    }
}
