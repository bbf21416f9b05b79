//! `tollgate keys delete`.

use clap::Args;
use tollgate_api::client::Client;

use super::arguments::Key;
use crate::confirm::confirm;
use crate::failure::Failure;
use crate::output::Output;

/// `tollgate keys delete`.
#[derive(Debug, Args)]
pub(super) struct Delete {
    #[command(flatten)]
    key: Key,
    /// Delete without asking
    #[arg(long)]
    yes: bool,
}

impl Delete {
    pub(super) async fn run(self, api: &Client, output: Output) -> Result<(), Failure> {
        let key = self.key.find(api).await?;
        confirm(&format!("delete key {key}"), self.yes)?;
        api.delete(&["apikeys", &key.id]).await?;
        output.done(&format!("Key {key} is deleted."))
    }
}
