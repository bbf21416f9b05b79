//! `tollgate plans create`.

use clap::Args;
use serde_json::{Value, json};
use tollgate_api::client::Client;
use tollgate_core::id::StageId;

use super::limits::Limits;
use super::table;
use crate::arguments::method::{Method, by_stage, stage};
use crate::arguments::throttle;
use crate::failure::Failure;
use crate::names::{self, Found};
use crate::output::Output;

/// `tollgate plans create`.
#[derive(Debug, Args)]
pub(super) struct Create {
    /// Name the plan
    #[arg(long)]
    name: String,
    /// Say what the plan is for
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Open this API stage to the plan's keys; repeatable
    #[arg(long, value_name = "API:STAGE", value_parser = stage)]
    stage: Vec<StageId>,
    #[command(flatten)]
    limits: Limits,
    /// Open only this method of its stage; repeatable
    #[arg(long, value_name = "API:STAGE/PATH/METHOD")]
    open_method: Vec<Method>,
}

impl Create {
    pub(super) async fn run(self, api: &Client, output: Output) -> Result<(), Failure> {
        let body = self.body()?;
        let others = names::of_plans(api).await?;
        let plan: Value = api.post(&["usageplans"], &body).await?;
        output.print(&plan, table::plan)?;
        for note in self.notes(&Found::of(&plan), &others) {
            output.note(format!("note: {note}"));
        }
        Ok(())
    }

    /// What is valid and hardly meant.
    fn notes(&self, plan: &Found, others: &[Found]) -> Vec<String> {
        let Limits {
            rate, burst, quota, ..
        } = self.limits;
        let mut notes = Vec::new();
        if self.stage.is_empty() {
            notes.push(format!(
                "the plan opens no API stage, so its keys are refused everywhere; add one with `tollgate plans update {} \
                 --add-stage API:STAGE`",
                plan.id
            ));
        }
        if rate == Some(0.0) || burst == Some(0) || quota == Some(0) {
            notes.push("a limit of 0 refuses every request".to_owned());
        } else if burst.is_some() && rate.is_none() {
            notes.push("a burst without a rate throttles nothing; add --rate".to_owned());
        }
        if let Some(other) = others.iter().find(|other| other.name == plan.name) {
            notes.push(format!(
                "another plan has this name: {other}; commands then need the id"
            ));
        }
        notes
    }

    fn body(&self) -> Result<Value, Failure> {
        let mut body = json!({ "name": self.name });
        if let Some(description) = &self.description {
            body["description"] = json!(description);
        }
        let throttle = throttle::body(self.limits.rate, self.limits.burst);
        if throttle != json!({}) {
            body["throttle"] = throttle;
        }
        if let Some(quota) = quota(&self.limits)? {
            body["quota"] = quota;
        }
        body["apiStages"] = self.api_stages()?;
        if !self.open_method.is_empty() {
            body["tollgate"]["methods"] = json!(by_stage(&self.open_method));
        }
        Ok(body)
    }

    /// The stages with the throttles of their methods.
    fn api_stages(&self) -> Result<Value, Failure> {
        let throttles = &self.limits.method_throttle;
        let mut stages = throttles.iter().map(|throttle| &throttle.method.stage);
        if let Some(missing) = stages.find(|stage| !self.stage.contains(stage)) {
            return Err(format!(
                "the method throttle names stage {missing}; give it with --stage {missing}"
            )
            .into());
        }
        let entries = self.stage.iter().map(|stage| {
            let mut entry = json!({ "apiId": stage.api_id(), "stage": stage.stage() });
            for throttle in throttles
                .iter()
                .filter(|throttle| throttle.method.stage == *stage)
            {
                entry["throttle"][&throttle.method.template] = throttle.body();
            }
            entry
        });
        Ok(entries.collect())
    }
}

fn quota(limits: &Limits) -> Result<Option<Value>, Failure> {
    let Limits {
        quota,
        period,
        offset,
        ..
    } = *limits;
    match (quota, period) {
        (Some(limit), Some(period)) => Ok(Some(json!({
            "limit": limit, "period": period.name(), "offset": offset.unwrap_or(0),
        }))),
        (Some(_), None) => Err("--quota needs --period day, week or month".into()),
        (None, None) if offset.is_none() => Ok(None),
        (None, _) => Err("--period and --offset need --quota".into()),
    }
}
