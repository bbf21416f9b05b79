//! `tollgate plans delete`.

use clap::Args;
use clap_complete::ArgValueCandidates;
use serde_json::Value;
use tollgate_api::client::Client;

use super::table::stages;
use crate::changes::{self, Change};
use crate::completion;
use crate::confirm::confirm;
use crate::failure::Failure;
use crate::names::IdOrName;
use crate::output::Output;

/// `tollgate plans delete`.
#[derive(Debug, Args)]
pub(super) struct Delete {
    /// The plan's id or name
    #[arg(add = ArgValueCandidates::new(completion::plans))]
    plan: IdOrName,
    /// Remove its API stages first, which refuses its keys there; without this, a plan with stages is kept
    #[arg(long)]
    with_stages: bool,
    /// Delete without asking
    #[arg(long)]
    yes: bool,
}

impl Delete {
    pub(super) async fn run(self, api: &Client, output: Output) -> Result<(), Failure> {
        let plan = self.plan.plan(api).await?;
        let found: Value = api.get(&["usageplans", &plan.id], &[]).await?;
        let stages = stages(&found);
        if !stages.is_empty() && !self.with_stages {
            return Err(format!(
                "plan {plan} still opens {}; to close them to its keys and delete the plan, add --with-stages",
                stages.join(", ")
            )
            .into());
        }
        confirm(&format!("delete plan {plan}"), self.yes)?;
        if !stages.is_empty() {
            let changes: Vec<_> = stages
                .iter()
                .map(|stage| Change::remove_entry("/apiStages", stage))
                .collect();
            let patch = changes::body(&changes);
            let _: Value = api.patch(&["usageplans", &plan.id], &patch).await?;
        }
        delete_completely(api, &plan.id).await?;
        output.done(&format!("Plan {plan} is deleted."))
    }
}

/// Deletes a plan until it is not found any more: one call takes only so many of a plan's keys out of it.
async fn delete_completely(api: &Client, plan: &str) -> Result<(), Failure> {
    api.delete(&["usageplans", plan]).await?;
    loop {
        match api.delete(&["usageplans", plan]).await {
            Ok(()) => {}
            Err(error) if error.is_not_found() => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}
