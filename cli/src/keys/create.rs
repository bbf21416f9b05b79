//! `tollgate keys create`.

use clap::Args;
use jiff::Timestamp;
use serde_json::{Value, json};
use tollgate_api::client::Client;

use super::arguments::{KeyAndPlan, Labels};
use super::restriction::{Only, restriction};
use super::{links, new_value};
use crate::arguments::id;
use crate::arguments::time::future_time;
use crate::arguments::value::{Secret, value_or_stdin};
use crate::failure::{Failure, explain};
use crate::output::Output;
use crate::output::table::text;

/// `tollgate keys create`.
#[derive(Debug, Args)]
pub(super) struct Create {
    #[command(flatten)]
    labels: Labels,
    /// A value that the key's holder has already, 20 to 128 characters, or - to read it from standard input; without one,
    /// one is made
    #[arg(long)]
    value: Option<Secret>,
    /// Refuse its requests until it is enabled
    #[arg(long)]
    disabled: bool,
    /// Refuse it from then on: a date, a time, or a duration from now such as 90d
    #[arg(long, value_name = "WHEN", value_parser = future_time)]
    expires: Option<Timestamp>,
    /// Open only this stage, or this method, to it, of all that its plans open; can be given several times
    #[arg(long, value_name = "API:STAGE[/PATH/METHOD]")]
    only: Vec<Only>,
    /// A plan to put it into; can be given several times
    #[arg(long, value_name = "PLAN", value_parser = id)]
    plan: Vec<String>,
}

impl Create {
    pub(super) async fn run(self, api: &Client, output: Output) -> Result<(), Failure> {
        let key: Value = api.post(&["apikeys"], &self.body()?).await?;
        let key_id = text(&key["id"]);
        // The value is shown before anything else can go wrong.
        let remedy = format!("delete it with `tollgate keys delete {key_id}`, and make another");
        new_value::show(&key, output, &remedy)?;
        for plan in self.plan {
            let link = KeyAndPlan {
                key: key_id.clone(),
                plan,
            };
            let KeyAndPlan { key, plan } = &link;
            let done = links::link(api, &link).await.map_err(|failure| {
                let cause = explain(&failure);
                format!(
                    "key {key} was made, and is not in plan {plan}: {cause}; then try `tollgate keys link {key} {plan}`"
                )
            })?;
            output.done(&done)?;
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
