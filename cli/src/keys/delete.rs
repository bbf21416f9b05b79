//! `tollgate keys delete`.

use clap::Args;
use serde_json::Value;
use tollgate_api::client::Client;

use crate::arguments::id;
use crate::confirm::confirm;
use crate::failure::Failure;
use crate::output::Output;
use crate::output::table::text;

/// `tollgate keys delete`.
#[derive(Debug, Args)]
pub(super) struct Delete {
    #[arg(value_parser = id)]
    key: String,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

impl Delete {
    pub(super) async fn run(self, api: &Client, output: Output) -> Result<(), Failure> {
        let Self { key, yes } = self;
        let found: Value = api.get(&["apikeys", &key], &[]).await?;
        confirm(&format!("delete key {key} {}", text(&found["name"])), yes)?;
        api.delete(&["apikeys", &key]).await?;
        output.done(&format!("key {key}: deleted"))
    }
}
