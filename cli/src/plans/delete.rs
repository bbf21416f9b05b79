//! `tollgate plans delete`.

use clap::Args;
use serde_json::Value;
use tollgate_api::client::Client;

use super::table::stages;
use crate::arguments::id;
use crate::changes::{self, Change};
use crate::confirm::confirm;
use crate::failure::Failure;
use crate::output::Output;
use crate::output::table::text;

/// `tollgate plans delete`.
#[derive(Debug, Args)]
pub(super) struct Delete {
    #[arg(value_parser = id)]
    plan: String,
    /// Take its API stages off first; without, a plan that has some is kept
    #[arg(long)]
    with_stages: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

impl Delete {
    pub(super) async fn run(self, api: &Client, output: Output) -> Result<(), Failure> {
        let plan = &self.plan;
        let found: Value = api.get(&["usageplans", plan], &[]).await?;
        let stages = stages(&found);
        if !stages.is_empty() && !self.with_stages {
            return Err(format!(
                "plan {plan} still opens {}; say --with-stages to take them off, which refuses its keys there, and delete it",
                stages.join(", ")
            )
            .into());
        }
        let name = text(&found["name"]);
        confirm(&format!("delete plan {plan} {name}"), self.yes)?;
        if !stages.is_empty() {
            let changes: Vec<_> = stages
                .iter()
                .map(|stage| Change::remove_entry("/apiStages", stage))
                .collect();
            let patch = changes::body(&changes);
            let _: Value = api.patch(&["usageplans", plan], &patch).await?;
        }
        delete_completely(api, plan).await?;
        output.done(&format!("plan {plan}: deleted"))
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
