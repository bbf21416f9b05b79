//! `tollgate keys show`.

use clap::Args;
use serde_json::{Value, json};
use tollgate_api::client::Client;

use super::arguments::Key;
use super::table::table;
use crate::failure::Failure;
use crate::output::Output;

/// `tollgate keys show`.
#[derive(Debug, Args)]
pub(super) struct Show {
    #[command(flatten)]
    key: Key,
    /// Show the key's value too, if the stack keeps values
    #[arg(long)]
    value: bool,
}

impl Show {
    pub(super) async fn run(self, api: &Client, output: Output) -> Result<(), Failure> {
        let key = self.key.find(api).await?;
        let include_value = if self.value { "true" } else { "" };
        let query = [("includeValue", include_value)];
        let mut found: Value = api.get(&["apikeys", &key.id], &query).await?;
        if self.value && found.get("value").is_none() {
            return Err(format!(
                "the value of key {key} is not kept: the stack's RetrievableValues is off, or was off when the key was made"
            )
            .into());
        }
        let query = [("keyId", key.id.as_str())];
        let plans: Vec<Value> = api.list(&["usageplans"], &query, None).await?;
        let plans = plans
            .iter()
            .map(|plan| json!({ "id": plan["id"], "name": plan["name"] }));
        found["usagePlans"] = plans.collect();
        output.print(&found, table)
    }
}
