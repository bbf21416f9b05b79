//! What is agreed for one key: what it may call, limits of its own, another plan.

use std::str::FromStr;

use clap::{Args, ValueEnum};
use jiff::civil::Date;
use serde_json::{Value, json};

use super::table;
use crate::Failure;
use crate::api::{Api, Change};
use crate::output::{Output, id};
use crate::plans::arguments::{Method, MethodThrottle, Stage, rate};
use crate::plans::{throttle, throttle_of};

/// A stage, or one method of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Only {
    stage: Stage,
    method: Option<String>,
}

impl FromStr for Only {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.contains('/') {
            let Method { stage, template } = text.parse()?;
            return Ok(Self {
                stage,
                method: Some(template),
            });
        }
        Ok(Self {
            stage: text.parse()?,
            method: None,
        })
    }
}

/// A key's restriction: a list of methods by stage, empty where all of the stage is open.
pub(super) fn restriction(only: &[Only]) -> Value {
    let mut stages = json!({});
    for one in only {
        let methods = &mut stages[one.stage.to_string()];
        let whole = only
            .iter()
            .any(|it| it.stage == one.stage && it.method.is_none());
        if methods.is_null() || whole {
            *methods = json!([]);
        }
        if let (Some(methods), Some(method), false) = (methods.as_array_mut(), &one.method, whole) {
            methods.push(json!(method));
        }
    }
    stages
}

/// `tollgate keys override`.
#[derive(Debug, Args)]
pub(super) struct Override {
    #[arg(value_parser = id)]
    key: String,
    #[arg(value_parser = id)]
    plan: String,
    /// Requests per second, in place of the plan's
    #[arg(long, value_name = "N", value_parser = rate)]
    rate: Option<f64>,
    /// Requests that may come at once, with --rate
    #[arg(long, value_name = "N", requires = "rate")]
    burst: Option<u32>,
    /// Requests per period of the plan's quota, in place of its limit
    #[arg(long, value_name = "N")]
    quota: Option<u64>,
    /// A limit on one method, in place of the plan's or besides
    #[arg(long, value_name = "API:STAGE/PATH/METHOD=RATE[:BURST]")]
    method_throttle: Vec<MethodThrottle>,
    /// The last day on which they hold, UTC; without it they always do
    #[arg(long, value_name = "YYYY-MM-DD")]
    until: Option<Date>,
}

impl Override {
    pub(super) async fn run(self, api: &Api, output: Output) -> Result<(), Failure> {
        let mut limits = json!({});
        if let Some(rate) = self.rate {
            limits["throttle"] = throttle(Some(rate), self.burst);
        }
        if let Some(quota) = self.quota {
            limits["quotaLimit"] = json!(quota);
        }
        for one in &self.method_throttle {
            let stage = one.method.stage.to_string();
            limits["methods"][stage][&one.method.template] = throttle_of(one);
        }
        if limits == json!({}) {
            return Err("nothing to override; give --rate, --quota or --method-throttle".into());
        }
        if let Some(until) = self.until {
            limits["until"] = json!(until.to_string());
        }
        let change = Change::replace(path(&self.plan), limits);
        let key = api.patch(&["apikeys", &self.key], &[change]).await?;
        output.print(&key, table)
    }
}

/// The path of a key's own limits under a plan, in patches.
pub(super) fn path(plan: &str) -> String {
    format!("/tollgate/overrides/{plan}")
}

/// `tollgate keys move`.
#[derive(Debug, Args)]
pub(super) struct Move {
    #[arg(value_parser = id)]
    key: String,
    /// The plan that it is in
    #[arg(value_parser = id)]
    from: String,
    /// The plan that it is to be in
    #[arg(value_parser = id)]
    to: String,
    /// What becomes of what it has used of its quota in this period
    #[arg(long, value_enum)]
    usage: Usage,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Usage {
    /// It counts in the other plan
    Carry,
    /// The period begins anew
    Clear,
}

impl Move {
    pub(super) async fn run(self, api: &Api, output: Output) -> Result<(), Failure> {
        let usage = match self.usage {
            Usage::Carry => "carry",
            Usage::Clear => "clear",
        };
        let (from, to) = (&self.from, &self.to);
        let body = json!({ "fromUsagePlanId": from, "toUsagePlanId": to, "usage": usage });
        let key = api.post(&["apikeys", &self.key, "moves"], &body).await?;
        if output == Output::Json {
            return output.print(&key, table);
        }
        output.done(&format!(
            "key {}: in plan {to}, and no longer in {from}",
            self.key
        ))
    }
}

/// What is agreed for a key, for people.
pub(super) fn agreed(own: &Value) -> (String, String) {
    let mut only = Vec::new();
    for (stage, methods) in own["restriction"].as_object().into_iter().flatten() {
        match methods.as_array() {
            Some(methods) if !methods.is_empty() => {
                let methods = methods.iter().filter_map(Value::as_str);
                only.extend(methods.map(|method| format!("{stage}{method}")));
            }
            _ => only.push(stage.clone()),
        }
    }
    let overrides = own["overrides"].as_object().into_iter().flatten();
    let overrides = overrides.map(|(plan, limits)| format!("{plan} {limits}"));
    (only.join("\n"), overrides.collect::<Vec<_>>().join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restriction_lists_methods_by_stage_and_a_stage_alone_is_open_whole() {
        let only = |texts: &[&str]| -> Value {
            let only: Vec<Only> = texts.iter().map(|text| text.parse().expect(text)).collect();
            restriction(&only)
        };
        assert_eq!(
            only(&["a:prod/pets/GET", "a:prod/pets/{id}/ANY", "b:dev"]),
            json!({ "a:prod": ["/pets/GET", "/pets/{id}/ANY"], "b:dev": [] })
        );
        assert_eq!(
            only(&["a:prod/pets/GET", "a:prod"]),
            json!({ "a:prod": [] })
        );
        for wrong in ["", "a", "a/pets/GET", "a:prod/GET"] {
            assert!(wrong.parse::<Only>().is_err(), "{wrong}");
        }
    }
}
