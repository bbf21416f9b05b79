//! Plans, for people.

use comfy_table::Table;
use serde_json::Value;

use crate::output::limits::{quota, throttle};
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
                quota(&plan["quota"]).into(),
                stages(plan).join("\n").into(),
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
        ("quota", quota(&plan["quota"])),
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
