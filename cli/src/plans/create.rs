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
use crate::output::Output;

/// `tollgate plans create`.
#[derive(Debug, Args)]
pub(super) struct Create {
    /// What it is called
    #[arg(long)]
    name: String,
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// An API stage that its keys may call; can be given several times
    #[arg(long, value_name = "API:STAGE", value_parser = stage)]
    stage: Vec<StageId>,
    #[command(flatten)]
    limits: Limits,
    /// Open only this method of its stage; can be given several times
    #[arg(long, value_name = "API:STAGE/PATH/METHOD")]
    open_method: Vec<Method>,
}

impl Create {
    pub(super) async fn run(self, api: &Client, output: Output) -> Result<(), Failure> {
        let plan: Value = api.post(&["usageplans"], &self.body()?).await?;
        output.print(&plan, table::plan)
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
