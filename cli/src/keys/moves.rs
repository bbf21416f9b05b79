//! `tollgate keys move`.

use clap::{Args, ValueEnum};
use clap_complete::ArgValueCandidates;
use serde_json::{Value, json};
use tollgate_api::client::Client;

use super::links::not_linked;
use super::table::table;
use crate::completion;
use crate::failure::Failure;
use crate::names::IdOrName;
use crate::output::Output;
use crate::output::limits::overrides;

/// `tollgate keys move`.
#[derive(Debug, Args)]
pub(super) struct Move {
    /// The key's id or name
    #[arg(add = ArgValueCandidates::new(completion::keys))]
    key: IdOrName,
    /// The id or name of the plan that the key is in
    #[arg(add = ArgValueCandidates::new(completion::plans))]
    from: IdOrName,
    /// The id or name of the plan to move the key to
    #[arg(add = ArgValueCandidates::new(completion::plans))]
    to: IdOrName,
    /// What to do with the usage of the current quota period
    #[arg(long, value_enum)]
    usage: Usage,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Usage {
    /// Count it in the new plan
    Carry,
    /// Start the period again
    Clear,
}

impl Move {
    pub(super) async fn run(self, api: &Client, output: Output) -> Result<(), Failure> {
        let key = self.key.key(api).await?;
        let from = self.from.plan(api).await?;
        let to = self.to.plan(api).await?;
        let usage = match self.usage {
            Usage::Carry => "carry",
            Usage::Clear => "clear",
        };
        let before: Value = api.get(&["apikeys", &key.id], &[]).await?;
        let body = json!({ "fromUsagePlanId": from.id, "toUsagePlanId": to.id, "usage": usage });
        let path = ["apikeys", &key.id, "moves"];
        let moved = api.post(&path, &body).await;
        let moved: Value = moved.map_err(|error| not_linked(error, &key, &from))?;
        let own = overrides(&before["tollgate"]["overrides"][&from.id]);
        if !own.is_empty() {
            output.note(format!(
                "note: the key's own limits under plan {from} ended ({own}); set limits under the new plan with `tollgate keys \
                 override`"
            ));
        }
        if output.is_json() {
            return output.print(&moved, table);
        }
        output.done(&format!("Key {key} moved from plan {from} to plan {to}."))
    }
}
