//! `tollgate keys rotate` and `end-rotation`.

use clap::Args;
use serde_json::{Value, json};
use tollgate_api::client::Client;

use super::new_value;
use crate::arguments::id;
use crate::arguments::time::duration;
use crate::arguments::value::{Secret, value_or_stdin};
use crate::failure::Failure;
use crate::output::Output;

/// `tollgate keys rotate`.
#[derive(Debug, Args)]
pub(super) struct Rotate {
    #[arg(value_parser = id)]
    key: String,
    /// For how long: 30m, 24h, 7d; 0s ends it at once
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    overlap: i64,
    /// A new value of your own; `-` reads it from standard input
    #[arg(long)]
    value: Option<Secret>,
}

impl Rotate {
    pub(super) async fn run(self, api: &Client, output: Output) -> Result<(), Failure> {
        let key = &self.key;
        let mut body = json!({ "overlapSeconds": self.overlap });
        if let Some(value) = self.value {
            body["value"] = json!(value_or_stdin(&value)?);
        }
        let rotated: Value = api.post(&["apikeys", key, "rotations"], &body).await?;
        let remedy = format!(
            "a stack that keeps values shows it by `tollgate keys show {key} --value`; otherwise the value before is good \
             until its time, and `tollgate keys end-rotation {key}` lets you rotate again"
        );
        new_value::show(&rotated, output, &remedy)
    }
}

/// Ends the overlap: the old value stops working.
pub(super) async fn end(api: &Client, output: Output, key: &str) -> Result<(), Failure> {
    api.delete(&["apikeys", key, "rotations"]).await?;
    output.done(&format!("key {key}: only its new value is good"))
}
