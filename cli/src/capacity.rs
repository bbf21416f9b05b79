//! `tollgate capacity`: what the backends must bear.

use std::collections::BTreeMap;
use std::process::ExitCode;

use clap::Args;
use comfy_table::Table;
use serde_json::{Value, json};

use crate::Failure;
use crate::api::Api;
use crate::output::{Common, id, list, number, text};

/// The sums that every line has.
const SUMS: [&str; 6] = [
    "activeKeys",
    "unthrottledKeys",
    "rateLimit",
    "burstLimit",
    "unlimitedKeys",
    "requestsPerDay",
];

/// `tollgate capacity`.
#[derive(Debug, Args)]
pub(crate) struct Capacity {
    #[command(flatten)]
    common: Common,
    /// Of this plan only
    #[arg(long, value_name = "PLAN", value_parser = id)]
    plan: Option<String>,
}

/// What one API stage, or a method of it, may be sent.
#[derive(Debug, Default)]
struct Line {
    sums: [f64; SUMS.len()],
    used_yesterday: f64,
}

/// By stage, then method; a stage's own line has none.
type Lines = BTreeMap<(String, String), Line>;

impl Capacity {
    pub(crate) async fn run(self) -> Result<ExitCode, Failure> {
        let api = Api::at(&self.common.place).await?;
        let plans = if let Some(plan) = self.plan {
            vec![plan]
        } else {
            let plans = api.list(&["usageplans"], &[], None).await?;
            plans.iter().map(|plan| text(&plan["id"])).collect()
        };
        let mut lines = Lines::new();
        for plan in plans {
            add_plan(&api, &plan, &mut lines).await?;
        }
        self.common.output.print(&told(&lines), table)?;
        Ok(ExitCode::SUCCESS)
    }
}

async fn add_plan(api: &Api, plan: &str, lines: &mut Lines) -> Result<(), Failure> {
    let mut position = String::new();
    loop {
        let query = [("limit", "500"), ("position", &*position)];
        let page = api.get(&["usageplans", plan, "capacity"], &query).await?;
        for kind in ["apiStages", "methods"] {
            for one in page[kind].as_array().into_iter().flatten() {
                let line = (text(&one["apiStage"]), text(&one["method"]));
                let line = lines.entry(line).or_default();
                for (sum, name) in line.sums.iter_mut().zip(SUMS) {
                    *sum += one[name].as_f64().unwrap_or(0.0);
                }
                if kind == "apiStages" {
                    line.used_yesterday += page["usedYesterday"].as_f64().unwrap_or(0.0);
                }
            }
        }
        match page["position"].as_str() {
            Some(next) if !next.is_empty() => next.clone_into(&mut position),
            _ => return Ok(()),
        }
    }
}

fn told(lines: &Lines) -> Value {
    let told = lines.iter().map(|((stage, method), line)| {
        let mut told = json!({ "apiStage": stage });
        for (sum, name) in line.sums.iter().zip(SUMS) {
            told[name] = whole(*sum);
        }
        if method.is_empty() {
            // Use is counted by key and plan, over all of the plan's stages.
            told["usedYesterday"] = whole(line.used_yesterday);
        } else {
            told["method"] = json!(method);
        }
        told
    });
    told.collect()
}

/// A sum as a whole number where it is one.
fn whole(sum: f64) -> Value {
    if sum.fract() != 0.0 {
        return json!(sum);
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a float cast saturates"
    )]
    let sum = sum as u64;
    json!(sum)
}

fn table(lines: &Value) -> Table {
    let lines = lines.as_array().into_iter().flatten();
    list(
        &[
            "STAGE",
            "METHOD",
            "KEYS",
            "RATE/S",
            "BURST",
            "A DAY",
            "YESTERDAY",
        ],
        lines.map(|line| {
            let keys = |name: &str| line[name].as_f64().unwrap_or(0.0);
            // A sum that not all keys are in is a least.
            let sum = |name: &str, without: &str| {
                let more = if keys(without) > 0.0 { " and more" } else { "" };
                number(format!("{}{more}", text(&line[name])))
            };
            vec![
                text(&line["apiStage"]).into(),
                text(&line["method"]).into(),
                number(text(&line["activeKeys"])),
                sum("rateLimit", "unthrottledKeys"),
                sum("burstLimit", "unthrottledKeys"),
                sum("requestsPerDay", "unlimitedKeys"),
                number(text(&line["usedYesterday"])),
            ]
        }),
    )
}
