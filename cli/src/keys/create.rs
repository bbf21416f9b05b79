//! `tollgate keys create`.

use clap::Args;
use clap_complete::ArgValueCandidates;
use jiff::Timestamp;
use serde_json::{Value, json};
use tollgate_api::client::Client;

use super::arguments::Labels;
use super::restriction::{Only, restriction};
use super::{links, new_value};
use crate::arguments::time::future_time;
use crate::arguments::value::{Secret, value_or_stdin};
use crate::completion;
use crate::failure::{Failure, explain};
use crate::names::{Found, IdOrName};
use crate::output::Output;

/// `tollgate keys create`.
#[derive(Debug, Args)]
pub(super) struct Create {
    #[command(flatten)]
    labels: Labels,
    /// Use a value that the holder has already, 20 to 128 characters; - reads it from standard input [default: generate one]
    #[arg(long)]
    value: Option<Secret>,
    /// Refuse the key's requests until you enable it
    #[arg(long)]
    disabled: bool,
    /// Refuse the key from this time on: a date, a time, or a duration from now such as 90d
    #[arg(long, value_name = "WHEN", value_parser = future_time)]
    expires: Option<Timestamp>,
    /// Let the key call only this stage or method of those that its plans open; repeatable
    #[arg(long, value_name = "API:STAGE[/PATH/METHOD]")]
    only: Vec<Only>,
    /// Put the key into this plan, by id or name; repeatable
    #[arg(long, value_name = "PLAN", add = ArgValueCandidates::new(completion::plans))]
    plan: Vec<IdOrName>,
}

impl Create {
    pub(super) async fn run(self, api: &Client, output: Output) -> Result<(), Failure> {
        // A plan that does not exist is found out before a key is made for it.
        let mut plans = Vec::new();
        for plan in &self.plan {
            plans.push(plan.plan(api).await?);
        }
        let made: Value = api.post(&["apikeys"], &self.body()?).await?;
        let key = Found::of(&made);
        // The value is shown before anything else can go wrong.
        let remedy = format!(
            "delete it with `tollgate keys delete {}`, and make another",
            key.id
        );
        new_value::show(&made, output, &remedy)?;
        if self.value.is_none() {
            output.note(new_value::NOTE);
        }
        for plan in plans {
            let done = links::link(api, &key, &plan).await.map_err(|failure| {
                let cause = explain(&failure);
                format!(
                    "key {key} was made, but is not in plan {plan}: {cause}; then try `tollgate keys link {} {}`",
                    key.id, plan.id
                )
            })?;
            output.done(&done)?;
        }
        if self.plan.is_empty() {
            output.note(format!(
                "note: the key is in no plan, so every API refuses it; add it with `tollgate keys link {} PLAN`",
                key.id
            ));
        }
        Ok(())
    }

    fn body(&self) -> Result<Value, Failure> {
        let mut body = json!({ "enabled": !self.disabled });
        for (member, value) in self.labels.members() {
            body[member] = json!(value);
        }
        if let Some(value) = &self.value {
            body["value"] = json!(value_or_stdin(value)?);
        }
        if let Some(expires) = self.expires {
            body["tollgate"]["expiresAt"] = json!(expires.as_second());
        }
        if !self.only.is_empty() {
            body["tollgate"]["restriction"] = restriction(&self.only);
        }
        Ok(body)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::rotate::Rotate;
    use super::*;

    #[derive(Debug, Parser)]
    enum Command {
        Create(Create),
        Rotate(Rotate),
    }

    #[test]
    fn arguments_do_not_show_a_value_to_a_log() {
        const VALUE: &str = "a-value-of-the-users-own";
        for arguments in [
            &["x", "create", "--value", VALUE][..],
            &["x", "rotate", "id", "--overlap", "1h", "--value", VALUE],
        ] {
            let command = Command::try_parse_from(arguments).expect("valid");
            let text = format!("{command:?}");
            assert!(text.contains("hidden") && !text.contains(VALUE), "{text}");
        }
    }
}
