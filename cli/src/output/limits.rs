//! Limits and restrictions as people say them.

use serde_json::Value;

use super::table::{members, text};

/// A rate and a burst: `10/s, burst 20`. Empty if there is neither.
pub(crate) fn throttle(throttle: &Value) -> String {
    let (rate, burst) = (text(&throttle["rateLimit"]), text(&throttle["burstLimit"]));
    match (rate.is_empty(), burst.is_empty()) {
        (true, true) => String::new(),
        (false, true) => format!("{rate}/s"),
        (true, false) => format!("burst {burst}"),
        (false, false) => format!("{rate}/s, burst {burst}"),
    }
}

/// A quota: `1,000 a month`. Empty if there is none.
pub(crate) fn quota(quota: &Value) -> String {
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

/// A key's own limits: `100/s, burst 100; quota 50,000; until 2099-12-31`.
pub(crate) fn overrides(limits: &Value) -> String {
    let mut parts = Vec::new();
    parts.push(throttle(&limits["throttle"]));
    if !limits["quotaLimit"].is_null() {
        parts.push(format!("quota {}", text(&limits["quotaLimit"])));
    }
    for (stage, methods) in members(&limits["methods"]) {
        let methods = members(methods)
            .map(|(method, limits)| format!("{stage}{method} {}", throttle(limits)));
        parts.extend(methods);
    }
    if let Some(until) = limits["until"].as_str() {
        parts.push(format!("until {until}"));
    }
    parts.retain(|part| !part.is_empty());
    parts.join("; ")
}

/// A line for each method, or for each stage that is open as a whole.
pub(crate) fn restriction(restriction: &Value) -> String {
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
