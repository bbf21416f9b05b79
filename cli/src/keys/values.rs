//! The commands that show a value, which is seen only then.

use clap::Args;
use jiff::Timestamp;
use serde_json::{Value, json};
use tollgate_keys::wire::Secret;

use super::terms::{Only, restriction};
use super::{About, table};
use crate::Failure;
use crate::api::Api;
use crate::output::{Output, id, text};
use crate::times::{duration, time_to_come};

/// `tollgate keys create`.
#[derive(Debug, Args)]
pub(super) struct Create {
    #[command(flatten)]
    about: About,
    /// A value that the key's holder has already, 20 to 128 characters, or - to read it from standard input; without one,
    /// one is made
    #[arg(long)]
    value: Option<Secret>,
    /// Refuse its requests until it is enabled
    #[arg(long)]
    disabled: bool,
    /// Refuse it from then on: a date, a time, or a duration from now such as 90d
    #[arg(long, value_name = "WHEN", value_parser = time_to_come)]
    expires: Option<Timestamp>,
    /// Open only this stage, or this method, to it, of all that its plans open; can be given several times
    #[arg(long, value_name = "API:STAGE[/PATH/METHOD]")]
    only: Vec<Only>,
    /// A plan to put it into; can be given several times
    #[arg(long, value_name = "PLAN", value_parser = id)]
    plan: Vec<String>,
}

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

impl Create {
    pub(super) async fn run(self, api: &Api, output: Output) -> Result<(), Failure> {
        let mut body = json!({ "enabled": !self.disabled });
        for (member, value) in self.about.members() {
            body[member] = json!(value);
        }
        if let Some(value) = self.value {
            body["value"] = json!(typed(&value)?);
        }
        if let Some(expires) = self.expires {
            body["tollgate"]["expiresAt"] = json!(expires.as_second());
        }
        if !self.only.is_empty() {
            body["tollgate"]["restriction"] = restriction(&self.only);
        }
        let key = api.post(&["apikeys"], &body).await?;
        let id = text(&key["id"]);
        // It is shown before anything else can go wrong.
        let again = format!("delete it with `tollgate keys delete {id}`, and make another");
        show_new(&key, output, &again)?;
        for plan in &self.plan {
            link(api, &id, plan).await.map_err(|error| {
                format!(
                    "key {id} was made, and is not in plan {plan}: {error}; then try `tollgate keys link {id} {plan}`"
                )
            })?;
            output.done(&format!("key {id}: in plan {plan}"))?;
        }
        Ok(())
    }
}

impl Rotate {
    pub(super) async fn run(self, api: &Api, output: Output) -> Result<(), Failure> {
        let key = &self.key;
        let mut body = json!({ "overlapSeconds": self.overlap });
        if let Some(value) = self.value {
            body["value"] = json!(typed(&value)?);
        }
        let rotated = api.post(&["apikeys", key, "rotations"], &body).await?;
        let again = format!(
            "a stack that keeps values shows it by `tollgate keys show {key} --value`; otherwise the value before is good \
             until its time, and `tollgate keys end-rotation {key}` lets you rotate again"
        );
        show_new(&rotated, output, &again)
    }
}

/// Shows a key with a value that is seen only now; `again` is what to do where it could not be shown.
fn show_new(key: &Value, output: Output, again: &str) -> Result<(), Failure> {
    output.print(key, table).map_err(|error| {
        let id = text(&key["id"]);
        format!("{error}; the value of key {id} is lost: {again}")
    })?;
    eprintln!(
        "Store the value now: unless the stack keeps values, only its hash is kept, and it is never shown again."
    );
    Ok(())
}

/// A value of the caller's own. One that is typed on the command line stays in the shell's history, so `-` reads it from
/// standard input.
pub(crate) fn typed(value: &Secret) -> Result<String, Failure> {
    if value.expose() != "-" {
        return Ok(value.expose().to_owned());
    }
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

pub(super) async fn link(api: &Api, key: &str, plan: &str) -> Result<(), Failure> {
    let body = json!({ "keyId": key, "keyType": "API_KEY" });
    api.post(&["usageplans", plan, "keys"], &body).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

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
