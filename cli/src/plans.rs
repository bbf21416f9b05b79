//! `tollgate plans`: usage plans.
//!
//! - [`create`], [`update`], [`delete`]: what changes plans. [`limits`]: limits on the command line.
//! - [`table`]: plans, for people.

use clap::{Args, Subcommand};
use clap_complete::ArgValueCandidates;
use serde_json::Value;
use tollgate_api::client::Client;

use crate::api_options::ApiOptions;
use crate::completion;
use crate::failure::Failure;
use crate::names::IdOrName;
use crate::output::Output;

mod create;
mod delete;
mod limits;
mod table;
mod update;

/// `tollgate plans`.
#[derive(Debug, Args)]
pub(crate) struct Plans {
    #[command(flatten)]
    options: ApiOptions,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Create a plan
    Create(create::Create),
    /// List plans
    List {
        /// Maximum to list [default: all]
        #[arg(long, value_name = "N")]
        limit: Option<usize>,
    },
    /// Show a plan
    Show {
        /// The plan's id or name
        #[arg(add = ArgValueCandidates::new(completion::plans))]
        plan: IdOrName,
    },
    /// Change a plan; either all changes are made, or none
    Update(Box<update::Update>),
    /// Delete a plan
    Delete(delete::Delete),
}

impl Plans {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let (api, output) = (self.options.endpoint.client().await?, self.options.output);
        match self.action {
            Action::Create(create) => create.run(&api, output).await,
            Action::List { limit } => list(&api, output, limit).await,
            Action::Show { plan } => show(&api, output, &plan).await,
            Action::Update(update) => update.run(&api, output).await,
            Action::Delete(delete) => delete.run(&api, output).await,
        }
    }
}

async fn list(api: &Client, output: Output, limit: Option<usize>) -> Result<(), Failure> {
    let plans = api.list(&["usageplans"], &[], limit).await?;
    output.print(&Value::Array(plans), table::list)
}

async fn show(api: &Client, output: Output, plan: &IdOrName) -> Result<(), Failure> {
    let plan = plan.plan(api).await?;
    let plan: Value = api.get(&["usageplans", &plan.id], &[]).await?;
    output.print(&plan, table::plan)
}
