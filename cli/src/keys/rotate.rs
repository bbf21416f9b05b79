//! `tollgate keys rotate` and `end-rotation`.

use clap::Args;
use serde_json::{Value, json};
use tollgate_api::client::{Client, Error};

use super::arguments::Key;
use super::new_value;
use crate::arguments::time::overlap;
use crate::arguments::value::{Secret, value_or_stdin};
use crate::failure::Failure;
use crate::names::Found;
use crate::output::Output;

/// `tollgate keys rotate`.
#[derive(Debug, Args)]
pub(super) struct Rotate {
    #[command(flatten)]
    key: Key,
    /// How long the old value keeps working, at most 90d: 30m, 24h, 7d; 0s ends it at once
    #[arg(long, value_name = "DURATION", value_parser = overlap)]
    overlap: i64,
    /// Use a value of your own; - reads it from standard input [default: generate one]
    #[arg(long)]
    value: Option<Secret>,
}

impl Rotate {
    pub(super) async fn run(self, api: &Client, output: Output) -> Result<(), Failure> {
        let key = self.key.find(api).await?;
        let mut body = json!({ "overlapSeconds": self.overlap });
        if let Some(value) = self.value {
            body["value"] = json!(value_or_stdin(&value)?);
        }
        let path = ["apikeys", &key.id, "rotations"];
        let rotated = api.post(&path, &body).await;
        let rotated: Value = rotated.map_err(|error| in_progress(error, &key))?;
        let remedy = format!(
            "if the stack keeps values, `tollgate keys show {0} --value` shows it; otherwise the old value works until its \
             overlap ends, and `tollgate keys end-rotation {0}` lets you rotate again",
            key.id
        );
        new_value::show(&rotated, output, &remedy)?;
        output.note(new_value::NOTE);
        Ok(())
    }
}

/// Ends the overlap: the old value stops working.
pub(super) async fn end(api: &Client, output: Output, key: &Key) -> Result<(), Failure> {
    let key = key.find(api).await?;
    api.delete(&["apikeys", &key.id, "rotations"]).await?;
    output.done(&format!("Key {key} has only its new value now."))
}

/// Says what to type if the overlap of an earlier rotation has not ended.
fn in_progress(error: Error, key: &Found) -> Failure {
    match error {
        Error::Refused(refusal) if refusal.status == 409 => format!(
            "the old value of key {key} still works; wait until its overlap ends, or end it with `tollgate keys end-rotation {}`",
            key.id
        )
        .into(),
        error => error.into(),
    }
}
