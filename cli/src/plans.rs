//! `tollgate plans`: usage plans.

use std::collections::BTreeMap;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::Failure;
use crate::api::{Api, Change, is_missing};
use crate::output::{Common, Output, cell, confirm, fields, id, list, number, text};

pub(crate) mod arguments;

use arguments::{Limits, Method, MethodThrottle, Stage};

/// `tollgate plans`.
#[derive(Debug, Args)]
pub(crate) struct Plans {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make a plan
    Create {
        /// What it is called
        #[arg(long)]
        name: String,
        /// What it is for
        #[arg(long, value_name = "TEXT")]
        description: Option<String>,
        /// An API stage that its keys may call; can be given several times
        #[arg(long, value_name = "API:STAGE")]
        stage: Vec<Stage>,
        #[command(flatten)]
        limits: Limits,
        /// Open only this method of its stage; can be given several times
        #[arg(long, value_name = "API:STAGE/PATH/METHOD")]
        open_method: Vec<Method>,
    },
    /// List plans
    List {
        /// At most so many; without it, all
        #[arg(long, value_name = "N")]
        limit: Option<usize>,
    },
    /// Show a plan
    Show {
        #[arg(value_parser = id)]
        plan: String,
    },
    /// Change a plan; all of the changes are made, or none
    Update(Box<Update>),
    /// Delete a plan
    Delete {
        #[arg(value_parser = id)]
        plan: String,
        /// Take its API stages off first; without, a plan that has some is kept
        #[arg(long)]
        with_stages: bool,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, Args)]
struct Update {
    #[arg(value_parser = id)]
    plan: String,
    /// What it is called
    #[arg(long)]
    name: Option<String>,
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// An API stage that its keys may call from now on
    #[arg(long, value_name = "API:STAGE")]
    add_stage: Vec<Stage>,
    /// An API stage that its keys may no longer call
    #[arg(long, value_name = "API:STAGE")]
    remove_stage: Vec<Stage>,
    #[command(flatten)]
    limits: Limits,
    /// Take the plan's throttle off
    #[arg(long, conflicts_with_all = ["rate", "burst"])]
    no_throttle: bool,
    /// Take the quota off
    #[arg(long, conflicts_with_all = ["quota", "period", "offset"])]
    no_quota: bool,
    /// Take the throttle of a method off
    #[arg(long, value_name = "API:STAGE/PATH/METHOD")]
    no_method_throttle: Vec<Method>,
    /// Open only this method of its stage, and others that are given so; all others are closed
    #[arg(long, value_name = "API:STAGE/PATH/METHOD")]
    open_method: Vec<Method>,
    /// Open all methods of a stage
    #[arg(long, value_name = "API:STAGE")]
    open_all_methods: Vec<Stage>,
}

impl Plans {
    pub(crate) async fn run(self) -> Result<ExitCode, Failure> {
        let output = self.common.output;
        let api = Api::at(&self.common.place).await?;
        match self.action {
            Action::Create {
                name,
                description,
                stage,
                limits,
                open_method,
            } => {
                let mut body = new_plan(&name, description.as_deref(), &stage, &limits)?;
                if !open_method.is_empty() {
                    body["tollgate"]["methods"] = json!(by_stage(&open_method));
                }
                output.print(&api.post(&["usageplans"], &body).await?, table)?;
            }
            Action::List { limit } => {
                let plans = api.list(&["usageplans"], &[], limit).await?;
                output.print(&Value::Array(plans), list_table)?;
            }
            Action::Show { plan } => {
                output.print(&api.get(&["usageplans", &plan], &[]).await?, table)?;
            }
            Action::Update(update) => {
                let changes = update.changes();
                if changes.is_empty() {
                    return Err("nothing to change; see `tollgate plans update --help`".into());
                }
                let plan = api.patch(&["usageplans", &update.plan], &changes).await?;
                output.print(&plan, table)?;
            }
            Action::Delete {
                plan,
                with_stages,
                yes,
            } => delete(&api, output, &plan, with_stages, yes).await?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn new_plan(
    name: &str,
    description: Option<&str>,
    stages: &[Stage],
    limits: &Limits,
) -> Result<Value, Failure> {
    let mut body = json!({ "name": name });
    if let Some(description) = description {
        body["description"] = json!(description);
    }
    let throttle = throttle(limits.rate, limits.burst);
    if throttle != json!({}) {
        body["throttle"] = throttle;
    }
    if let Some(limit) = limits.quota {
        let period = limits
            .period
            .ok_or("--quota needs --period day, week or month")?;
        body["quota"] = json!({
            "limit": limit, "period": period.word(), "offset": limits.offset.unwrap_or(0),
        });
    } else if limits.period.is_some() || limits.offset.is_some() {
        return Err("--period and --offset need --quota".into());
    }
    let mut entries = Vec::new();
    for stage in stages {
        let mut entry = json!({ "apiId": stage.api, "stage": stage.stage });
        let of_stage = limits.method_throttle.iter();
        for one in of_stage.filter(|one| one.method.stage == *stage) {
            entry["throttle"][&one.method.template] = throttle_of(one);
        }
        entries.push(entry);
    }
    let mut methods = limits.method_throttle.iter().map(|one| &one.method);
    if let Some(stray) = methods.find(|method| !stages.contains(&method.stage)) {
        return Err(format!(
            "the method throttle names stage {0}; give it with --stage {0}",
            stray.stage
        )
        .into());
    }
    body["apiStages"] = Value::Array(entries);
    Ok(body)
}

/// Lists of methods by their stages' names.
fn by_stage(methods: &[Method]) -> BTreeMap<String, Vec<&str>> {
    let mut stages: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for method in methods {
        let stage = stages.entry(method.stage.to_string()).or_default();
        stage.push(&method.template);
    }
    stages
}

/// A throttle as the API takes it.
pub(crate) fn throttle(rate: Option<f64>, burst: Option<u32>) -> Value {
    let mut throttle = json!({});
    if let Some(rate) = rate {
        throttle["rateLimit"] = json!(rate);
    }
    if let Some(burst) = burst {
        throttle["burstLimit"] = json!(burst);
    }
    throttle
}

/// A method's throttle as the API takes it.
pub(crate) fn throttle_of(one: &MethodThrottle) -> Value {
    throttle(Some(one.rate), one.burst)
}

impl Update {
    fn changes(&self) -> Vec<Change> {
        let mut changes = Vec::new();
        let mut replace = |path: &str, value: Option<String>| {
            changes.extend(value.map(|value| Change::replace(path, value)));
        };
        let limits = &self.limits;
        replace("/name", self.name.clone());
        replace("/description", self.description.clone());
        replace(
            "/throttle/rateLimit",
            limits.rate.map(|rate| rate.to_string()),
        );
        replace(
            "/throttle/burstLimit",
            limits.burst.map(|burst| burst.to_string()),
        );
        replace("/quota/limit", limits.quota.map(|limit| limit.to_string()));
        replace(
            "/quota/period",
            limits.period.map(|period| period.word().to_owned()),
        );
        replace(
            "/quota/offset",
            limits.offset.map(|offset| offset.to_string()),
        );
        if self.no_throttle {
            changes.push(Change::remove("/throttle"));
        }
        if self.no_quota {
            changes.push(Change::remove("/quota"));
        }
        let add = self
            .add_stage
            .iter()
            .map(|stage| Change::add("/apiStages", stage));
        changes.extend(add);
        for one in &limits.method_throttle {
            let path = one.method.patch_path();
            changes.push(Change::replace(format!("{path}/rateLimit"), one.rate));
            let burst = one
                .burst
                .map(|burst| Change::replace(format!("{path}/burstLimit"), burst));
            changes.extend(burst);
        }
        let off = self
            .no_method_throttle
            .iter()
            .map(|method| Change::remove(method.patch_path()));
        changes.extend(off);
        for (stage, methods) in by_stage(&self.open_method) {
            let path = format!("/tollgate/methods/{stage}");
            changes.push(Change::replace(path, json!(methods)));
        }
        let open = self.open_all_methods.iter();
        changes.extend(open.map(|stage| Change::remove(format!("/tollgate/methods/{stage}"))));
        let remove = self.remove_stage.iter();
        changes.extend(remove.map(|stage| Change::remove_value("/apiStages", stage)));
        changes
    }
}

async fn delete(
    api: &Api,
    output: Output,
    plan: &str,
    with_stages: bool,
    yes: bool,
) -> Result<(), Failure> {
    let found = api.get(&["usageplans", plan], &[]).await?;
    let stages = found["apiStages"].as_array().into_iter().flatten();
    let stages: Vec<_> = stages
        .map(|stage| format!("{}:{}", text(&stage["apiId"]), text(&stage["stage"])))
        .collect();
    if !stages.is_empty() && !with_stages {
        return Err(format!(
            "plan {plan} still opens {}; say --with-stages to take them off, which refuses its keys there, and delete it",
            stages.join(", ")
        )
        .into());
    }
    confirm(&format!("delete plan {plan} {}", text(&found["name"])), yes)?;
    if !stages.is_empty() {
        let changes: Vec<_> = stages
            .iter()
            .map(|stage| Change::remove_value("/apiStages", stage))
            .collect();
        api.patch(&["usageplans", plan], &changes).await?;
    }
    api.delete(&["usageplans", plan]).await?;
    // Of a plan with very many keys, a call leaves some to the next.
    loop {
        match api.delete(&["usageplans", plan]).await {
            Ok(()) => {}
            Err(error) if is_missing(&error) => break,
            Err(error) => return Err(error),
        }
    }
    output.done(&format!("plan {plan}: deleted"))?;
    Ok(())
}

fn list_table(plans: &Value) -> comfy_table::Table {
    let plans = plans.as_array().into_iter().flatten();
    list(
        &["ID", "NAME", "RATE/S", "BURST", "QUOTA", "STAGES"],
        plans.map(|plan| {
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

fn table(plan: &Value) -> comfy_table::Table {
    let entries = plan["apiStages"].as_array().into_iter().flatten();
    let mut methods = Vec::new();
    for entry in entries {
        for (template, throttle) in entry["throttle"].as_object().into_iter().flatten() {
            let stage = format!("{}:{}", text(&entry["apiId"]), text(&entry["stage"]));
            methods.push(format!("{stage}{template}  {}", pace(throttle)));
        }
    }
    let mut open = Vec::new();
    for (stage, methods) in plan["tollgate"]["methods"]
        .as_object()
        .into_iter()
        .flatten()
    {
        let methods = methods.as_array().into_iter().flatten();
        open.extend(methods.map(|method| format!("{stage}{}", text(method))));
    }
    fields([
        ("id", text(&plan["id"])),
        ("name", text(&plan["name"])),
        ("description", text(&plan["description"])),
        ("throttle", pace(&plan["throttle"])),
        ("quota", quota(plan)),
        ("stages", stages(plan).join("\n")),
        ("methods", methods.join("\n")),
        ("open only", open.join("\n")),
    ])
}

fn stages(plan: &Value) -> Vec<String> {
    let stages = plan["apiStages"].as_array().into_iter().flatten();
    stages
        .map(|stage| format!("{}:{}", text(&stage["apiId"]), text(&stage["stage"])))
        .collect()
}

fn pace(throttle: &Value) -> String {
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
    let per = format!(
        "{} a {}",
        text(&quota["limit"]),
        text(&quota["period"]).to_lowercase()
    );
    match quota["offset"].as_u64() {
        None | Some(0) => per,
        Some(offset) => format!("{per}, from day {offset} on"),
    }
}
