//! `tollgate capacity`: the load that the backends must bear.

use std::collections::BTreeMap;

use clap::Args;
use clap_complete::ArgValueCandidates;
use comfy_table::Table;
use serde_json::{Value, json};
use tollgate_api::client::Client;

use crate::api_options::ApiOptions;
use crate::completion;
use crate::failure::Failure;
use crate::names::{self, IdOrName};
use crate::output::table::{entries, list, number, text};

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
    options: ApiOptions,
    /// Only this plan, by id or name
    #[arg(long, value_name = "PLAN", add = ArgValueCandidates::new(completion::plans))]
    plan: Option<IdOrName>,
}

/// What may be sent to one API stage, or to a method of it.
#[derive(Debug, Default)]
struct Line {
    sums: [f64; SUMS.len()],
    used_yesterday: f64,
}

/// Lines by stage and method. A stage's own line has an empty method.
type Lines = BTreeMap<(String, String), Line>;

impl Capacity {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let api = self.options.endpoint.client().await?;
        let plans = match self.plan {
            Some(plan) => vec![plan.plan(&api).await?],
            None => names::of_plans(&api).await?,
        };
        let mut lines = Lines::new();
        for plan in plans {
            add_plan(&api, &plan.id, &mut lines).await?;
        }
        self.options.output.print(&to_json(&lines), table)
    }
}

async fn add_plan(api: &Client, plan: &str, lines: &mut Lines) -> Result<(), Failure> {
    let path = ["usageplans", plan, "capacity"];
    let mut pages = api.pages::<Value>(&path, &[])?;
    while let Some(page) = pages.next().await? {
        for stage in entries(&page["apiStages"]) {
            let line = add_entry(lines, stage);
            line.used_yesterday += page["usedYesterday"].as_f64().unwrap_or(0.0);
        }
        for method in entries(&page["methods"]) {
            add_entry(lines, method);
        }
    }
    Ok(())
}

fn add_entry<'a>(lines: &'a mut Lines, entry: &Value) -> &'a mut Line {
    let (stage, method) = (text(&entry["apiStage"]), text(&entry["method"]));
    let line = lines.entry((stage, method)).or_default();
    for (sum, name) in line.sums.iter_mut().zip(SUMS) {
        *sum += entry[name].as_f64().unwrap_or(0.0);
    }
    line
}

fn to_json(lines: &Lines) -> Value {
    let lines = lines.iter().map(|((stage, method), line)| {
        let mut entry = json!({ "apiStage": stage });
        for (sum, name) in line.sums.iter().zip(SUMS) {
            entry[name] = whole(*sum);
        }
        if method.is_empty() {
            // Usage is counted by key and plan, over all of the plan's stages.
            entry["usedYesterday"] = whole(line.used_yesterday);
        } else {
            entry["method"] = json!(method);
        }
        entry
    });
    lines.collect()
}

/// A sum without a fraction as a whole number.
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
    let header = [
        "STAGE",
        "METHOD",
        "KEYS",
        "RATE/S",
        "BURST",
        "A DAY",
        "YESTERDAY",
    ];
    list(
        &header,
        entries(lines).map(|line| {
            // A sum that lacks some keys is only a lower bound.
            let sum = |name: &str, without: &str| {
                let lacks_keys = line[without].as_f64().unwrap_or(0.0) > 0.0;
                let more = if lacks_keys { " and more" } else { "" };
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
