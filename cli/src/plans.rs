//! `tollgate plans`: usage plans.

use std::process::ExitCode;
use std::str::FromStr;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use crate::Failure;
use crate::api::{Api, Change};
use crate::output::{Common, Output, cell, confirm, fields, id, list, number, text};

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
}

#[derive(Debug, Args)]
struct Limits {
    /// Requests per second of each key
    #[arg(long, value_name = "N", value_parser = rate)]
    rate: Option<f64>,
    /// Requests that may come at once
    #[arg(long, value_name = "N")]
    burst: Option<u32>,
    /// Requests per period of each key
    #[arg(long, value_name = "N")]
    quota: Option<u64>,
    /// When the quota begins anew
    #[arg(long, value_enum)]
    period: Option<Period>,
    /// The day on which a period begins: 0 to 6 from Sunday on, or 0 to 27 from the 1st on
    #[arg(long, value_name = "DAYS")]
    offset: Option<u32>,
    /// A limit of each key on one method, such as abc123:prod/pets/{id}/GET=5:10
    #[arg(long, value_name = "API:STAGE/PATH/METHOD=RATE[:BURST]")]
    method_throttle: Vec<MethodThrottle>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Period {
    Day,
    Week,
    Month,
}

impl Period {
    fn word(self) -> &'static str {
        match self {
            Self::Day => "DAY",
            Self::Week => "WEEK",
            Self::Month => "MONTH",
        }
    }
}

/// `apiId:stage`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stage {
    api: String,
    stage: String,
}

impl FromStr for Stage {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some((api, stage)) if !api.is_empty() && !stage.is_empty() => Ok(Self {
                api: api.to_owned(),
                stage: stage.to_owned(),
            }),
            _ => Err("expected the API's id and its stage, such as abc123:prod".to_owned()),
        }
    }
}

impl std::fmt::Display for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.api, self.stage)
    }
}

/// A method of a stage: `apiId:stage/path/METHOD`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Method {
    stage: Stage,
    /// `/path/METHOD`, as plans name it.
    template: String,
}

impl FromStr for Method {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let slash = text
            .find('/')
            .filter(|slash| text[slash + 1..].contains('/'));
        let (stage, template) = text.split_at(slash.ok_or(
            "expected API:STAGE/PATH/METHOD, such as abc123:prod/pets/{id}/GET, or abc123:prod//GET for the root",
        )?);
        Ok(Self {
            stage: stage.parse()?,
            template: template.to_owned(),
        })
    }
}

impl Method {
    /// The PATCH path of its throttle; the path in it is escaped as JSON Pointer does.
    fn patch_path(&self) -> String {
        let (path, method) = self.template.rsplit_once('/').unwrap_or_default();
        let path = if path.is_empty() { "/" } else { path };
        let path = path.replace('~', "~0").replace('/', "~1");
        format!("/apiStages/{}/throttle/{path}/{method}", self.stage)
    }
}

#[derive(Debug, Clone, PartialEq)]
struct MethodThrottle {
    method: Method,
    rate: f64,
    burst: Option<u32>,
}

impl FromStr for MethodThrottle {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const EXPECTED: &str =
            "expected a rate and perhaps a burst after =, such as abc123:prod/pets/{id}/GET=5:10";
        let (method, throttle) = text.rsplit_once('=').ok_or(EXPECTED)?;
        let (rate, burst) = match throttle.split_once(':') {
            Some((rate, burst)) => (rate, Some(burst.parse().map_err(|_| EXPECTED)?)),
            None => (throttle, None),
        };
        Ok(Self {
            method: method.parse()?,
            rate: self::rate(rate).map_err(|_| EXPECTED)?,
            burst,
        })
    }
}

/// JSON has no word for infinity, nor for what is no number.
fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate: &f64| rate.is_finite());
    rate.ok_or_else(|| "expected requests per second, such as 10 or 0.5".to_owned())
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
            } => {
                let body = new_plan(&name, description.as_deref(), &stage, &limits)?;
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

fn throttle(rate: Option<f64>, burst: Option<u32>) -> Value {
    let mut throttle = json!({});
    if let Some(rate) = rate {
        throttle["rateLimit"] = json!(rate);
    }
    if let Some(burst) = burst {
        throttle["burstLimit"] = json!(burst);
    }
    throttle
}

fn throttle_of(one: &MethodThrottle) -> Value {
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
    fields([
        ("id", text(&plan["id"])),
        ("name", text(&plan["name"])),
        ("description", text(&plan["description"])),
        ("throttle", pace(&plan["throttle"])),
        ("quota", quota(plan)),
        ("stages", stages(plan).join("\n")),
        ("methods", methods.join("\n")),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_is_named_as_plans_and_patches_name_it() {
        for (text, template, path) in [
            (
                "abc:prod/pets/{id}/GET",
                "/pets/{id}/GET",
                "/apiStages/abc:prod/throttle/~1pets~1{id}/GET",
            ),
            (
                "abc:$default//ANY",
                "//ANY",
                "/apiStages/abc:$default/throttle/~1/ANY",
            ),
        ] {
            let method: Method = text.parse().expect("a method");
            assert_eq!(method.template, template);
            assert_eq!(method.patch_path(), path);
        }
        let throttle: MethodThrottle = "abc:prod/a/GET=0.5:3".parse().expect("a throttle");
        assert_eq!(throttle.burst, Some(3));
        for wrong in [
            "abc:prod/a/GET",
            "abc:prod/a/GET=x",
            "abc:prod/a/GET=1:x",
            "abc/a/GET=1",
            "abc:prod=1",
            "abc:prod/a/GET=NaN:4",
            "abc:prod/a/GET=inf",
        ] {
            assert!(wrong.parse::<MethodThrottle>().is_err(), "{wrong}");
        }
    }
}
