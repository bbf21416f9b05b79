//! `tollgate keys`: API keys, and the plans they are in.

use std::process::ExitCode;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::api::{Api, Change};
use crate::output::{Common, Output, cell, confirm, fields, id, list, text, time};
use crate::times::time_to_come;
use crate::{Failure, transfer};

mod terms;
mod values;

use terms::{Move, Only, Override, agreed, restriction};
pub(crate) use values::typed;
use values::{Create, Rotate, link};

/// The path of a key's expiry, in patches.
const EXPIRY: &str = "/tollgate/expiresAt";
/// The path of what it is restricted to.
const RESTRICTION: &str = "/tollgate/restriction";

/// `tollgate keys`.
#[derive(Debug, Args)]
pub(crate) struct Keys {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make a key and show its value, this once
    Create(Create),
    /// List keys, newest first
    List {
        /// Only those whose names start so
        #[arg(long, value_name = "PREFIX", value_parser = NonEmptyStringValueParser::new())]
        name: Option<String>,
        /// Only those of a customer
        #[arg(long, value_name = "ID", conflicts_with = "name", value_parser = NonEmptyStringValueParser::new())]
        customer: Option<String>,
        /// Only those in a plan
        #[arg(long, value_name = "PLAN", value_parser = id, conflicts_with = "customer")]
        plan: Option<String>,
        /// At most so many; without it, all
        #[arg(long, value_name = "N")]
        limit: Option<usize>,
    },
    /// Show a key and its plans
    Show {
        #[arg(value_parser = id)]
        key: String,
        /// With its value, where the stack keeps values
        #[arg(long)]
        value: bool,
    },
    /// Change what a key is called, whom it belongs to and when it expires
    Update {
        #[arg(value_parser = id)]
        key: String,
        #[command(flatten)]
        about: About,
        /// Refuse it from then on: a date, a time, or a duration from now such as 90d
        #[arg(long, value_name = "WHEN", value_parser = time_to_come)]
        expires: Option<Timestamp>,
        /// Take its expiry off
        #[arg(long, conflicts_with = "expires")]
        never_expires: bool,
        /// Open only this stage, or this method, to it, of all that its plans open; can be given several times
        #[arg(long, value_name = "API:STAGE[/PATH/METHOD]")]
        only: Vec<Only>,
        /// Open all that its plans open
        #[arg(long, conflicts_with = "only")]
        unrestricted: bool,
    },
    /// Give a key limits of its own in place of a plan's
    Override(Override),
    /// End a key's own limits: the plan's hold
    EndOverride {
        #[arg(value_parser = id)]
        key: String,
        #[arg(value_parser = id)]
        plan: String,
    },
    /// Move a key from one plan to another
    Move(Move),
    /// Give a key a new value and show it; the value before stays good for a while
    Rotate(Rotate),
    /// End the time of the value before, which is refused from then on
    EndRotation {
        #[arg(value_parser = id)]
        key: String,
    },
    /// Let a key's requests pass again
    Enable {
        #[arg(value_parser = id)]
        key: String,
    },
    /// Refuse a key's requests from now on
    Disable {
        #[arg(value_parser = id)]
        key: String,
    },
    /// Delete a key
    Delete {
        #[arg(value_parser = id)]
        key: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Make keys from a CSV file; a key whose value is there already is changed
    Import(transfer::Import),
    /// Print all keys with their plans; values only where the stack keeps them
    Export {
        /// How they are written
        #[arg(long, value_enum, default_value = "csv")]
        format: transfer::Format,
        /// Put a ' before what a spreadsheet would run as a formula; such a file is not for importing
        #[arg(long)]
        for_spreadsheets: bool,
    },
    /// Put a key into a plan
    Link {
        #[arg(value_parser = id)]
        key: String,
        #[arg(value_parser = id)]
        plan: String,
    },
    /// Take a key out of a plan
    Unlink {
        #[arg(value_parser = id)]
        key: String,
        #[arg(value_parser = id)]
        plan: String,
    },
}

#[derive(Debug, Args)]
struct About {
    /// What it is called
    #[arg(long)]
    name: Option<String>,
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Whom it belongs to
    #[arg(long, value_name = "ID")]
    customer: Option<String>,
}

impl About {
    fn members(&self) -> impl Iterator<Item = (&'static str, &String)> {
        let Self {
            name,
            description,
            customer,
        } = self;
        [
            ("name", name),
            ("description", description),
            ("customerId", customer),
        ]
        .into_iter()
        .filter_map(|(member, value)| Some((member, value.as_ref()?)))
    }
}

impl Keys {
    pub(crate) async fn run(self) -> Result<ExitCode, Failure> {
        let output = self.common.output;
        let api = Api::at(&self.common.place).await?;
        match self.action {
            Action::Create(create) => create.run(&api, output).await?,
            Action::List {
                name,
                customer,
                plan,
                limit,
            } => {
                if let Some(plan) = plan {
                    let keys = keys_of(&api, &plan, name.as_deref(), limit).await?;
                    output.print(&Value::Array(keys), linked_table)?;
                } else {
                    let query = [
                        ("name", name.as_deref().unwrap_or_default()),
                        ("customerId", customer.as_deref().unwrap_or_default()),
                    ];
                    let keys = api.list(&["apikeys"], &query, limit).await?;
                    output.print(&Value::Array(keys), list_table)?;
                }
            }
            Action::Show { key, value } => show(&api, output, &key, value).await?,
            Action::Update {
                key,
                about,
                expires,
                never_expires,
                only,
                unrestricted,
            } => {
                let mut changes: Vec<_> = about
                    .members()
                    .map(|(member, value)| Change::replace(format!("/{member}"), value))
                    .collect();
                if let Some(expires) = expires {
                    changes.push(Change::replace(EXPIRY, expires.as_second()));
                } else if never_expires {
                    changes.push(Change::remove(EXPIRY));
                }
                if !only.is_empty() {
                    changes.push(Change::replace(RESTRICTION, restriction(&only)));
                } else if unrestricted {
                    changes.push(Change::remove(RESTRICTION));
                }
                if changes.is_empty() {
                    return Err(
                        "nothing to change; give one of --name, --description, --customer, --expires, --never-expires, --only, --unrestricted"
                            .into(),
                    );
                }
                update(&api, output, &key, &changes).await?;
            }
            Action::Rotate(rotate) => rotate.run(&api, output).await?,
            Action::Override(limits) => limits.run(&api, output).await?,
            Action::EndOverride { key, plan } => {
                let change = Change::remove(terms::path(&plan));
                update(&api, output, &key, &[change]).await?;
            }
            Action::Move(to) => to.run(&api, output).await?,
            Action::EndRotation { key } => {
                api.delete(&["apikeys", &key, "rotations"]).await?;
                output.done(&format!("key {key}: only its new value is good"))?;
            }
            Action::Enable { key } => {
                update(&api, output, &key, &[Change::replace("/enabled", true)]).await?;
            }
            Action::Disable { key } => {
                update(&api, output, &key, &[Change::replace("/enabled", false)]).await?;
            }
            Action::Delete { key, yes } => {
                let found = api.get(&["apikeys", &key], &[]).await?;
                confirm(&format!("delete key {key} {}", text(&found["name"])), yes)?;
                api.delete(&["apikeys", &key]).await?;
                output.done(&format!("key {key}: deleted"))?;
            }
            Action::Import(import) => import.run(&api, output).await?,
            Action::Export {
                format,
                for_spreadsheets,
            } => transfer::export_keys(&api, format, for_spreadsheets).await?,
            Action::Link { key, plan } => {
                link(&api, &key, &plan).await?;
                output.done(&format!("key {key}: in plan {plan}"))?;
            }
            Action::Unlink { key, plan } => {
                api.delete(&["usageplans", &plan, "keys", &key]).await?;
                output.done(&format!("key {key}: no longer in plan {plan}"))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

async fn update(api: &Api, output: Output, key: &str, changes: &[Change]) -> Result<(), Failure> {
    let key = api.patch(&["apikeys", key], changes).await?;
    output.print(&key, table)?;
    Ok(())
}

async fn show(api: &Api, output: Output, key: &str, value: bool) -> Result<(), Failure> {
    let query = [("includeValue", "true")];
    let query = if value { query.as_slice() } else { &[] };
    let mut found = api.get(&["apikeys", key], query).await?;
    if value && found.get("value").is_none() {
        return Err(format!(
            "the value of key {key} is not kept: the stack's RetrievableValues is off, or was when the key was made"
        )
        .into());
    }
    let plans = api.list(&["usageplans"], &[("keyId", key)], None).await?;
    let plans = plans
        .iter()
        .map(|plan| json!({ "id": plan["id"], "name": plan["name"] }));
    found["usagePlans"] = Value::Array(plans.collect());
    output.print(&found, table)?;
    Ok(())
}

/// The keys of a plan. Where there is no such plan the API has an empty list; people want to know.
async fn keys_of(
    api: &Api,
    plan: &str,
    name: Option<&str>,
    limit: Option<usize>,
) -> Result<Vec<Value>, Failure> {
    api.get(&["usageplans", plan], &[]).await?;
    let query = [("name", name.unwrap_or_default())];
    api.list(&["usageplans", plan, "keys"], &query, limit).await
}

fn linked_table(keys: &Value) -> comfy_table::Table {
    let keys = keys.as_array().into_iter().flatten();
    list(
        &["ID", "NAME"],
        keys.map(|key| vec![cell(&key["id"]), cell(&key["name"])]),
    )
}

fn list_table(keys: &Value) -> comfy_table::Table {
    let keys = keys.as_array().into_iter().flatten();
    list(
        &["ID", "NAME", "ENABLED", "CUSTOMER", "CREATED"],
        keys.map(|key| {
            vec![
                cell(&key["id"]),
                cell(&key["name"]),
                cell(&key["enabled"]),
                cell(&key["customerId"]),
                time(&key["createdDate"]).into(),
            ]
        }),
    )
}

fn table(key: &Value) -> comfy_table::Table {
    let plans = key["usagePlans"].as_array().into_iter().flatten();
    let plans: Vec<_> = plans
        .map(|plan| format!("{} {}", text(&plan["id"]), text(&plan["name"])))
        .collect();
    let (only, overrides) = agreed(&key["tollgate"]);
    fields([
        ("id", text(&key["id"])),
        ("value", text(&key["value"])),
        ("name", text(&key["name"])),
        ("description", text(&key["description"])),
        ("customer", text(&key["customerId"])),
        ("enabled", text(&key["enabled"])),
        ("created", time(&key["createdDate"])),
        ("updated", time(&key["lastUpdatedDate"])),
        ("expires", time(&key["tollgate"]["expiresAt"])),
        ("last used", text(&key["tollgate"]["lastUsedDay"])),
        (
            "value before, until",
            time(&key["tollgate"]["earlierValueUntil"]),
        ),
        ("only", only),
        ("plans", plans.join("\n")),
        ("own limits", overrides),
    ])
}
