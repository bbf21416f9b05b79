//! `tollgate keys move`.

use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use tollgate_api::client::Client;

use super::table::table;
use crate::arguments::id;
use crate::failure::Failure;
use crate::output::Output;

/// `tollgate keys move`.
#[derive(Debug, Args)]
pub(super) struct Move {
    #[arg(value_parser = id)]
    key: String,
    /// The plan that it is in
    #[arg(value_parser = id)]
    from: String,
    /// The plan that it is to be in
    #[arg(value_parser = id)]
    to: String,
    /// What becomes of what it has used of its quota in this period
    #[arg(long, value_enum)]
    usage: Usage,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Usage {
    /// It counts in the other plan
    Carry,
    /// The period begins anew
    Clear,
}

impl Move {
    pub(super) async fn run(self, api: &Client, output: Output) -> Result<(), Failure> {
        let Self {
            key,
            from,
            to,
            usage,
        } = &self;
        let usage = match usage {
            Usage::Carry => "carry",
            Usage::Clear => "clear",
        };
        let body = json!({ "fromUsagePlanId": from, "toUsagePlanId": to, "usage": usage });
        let moved: Value = api.post(&["apikeys", key, "moves"], &body).await?;
        match output {
            Output::Json => output.print(&moved, table),
            Output::Table => {
                output.done(&format!("key {key}: in plan {to}, and no longer in {from}"))
            }
        }
    }
}
