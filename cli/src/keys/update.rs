//! `tollgate keys update`, `enable` and `disable`.

use clap::Args;
use jiff::Timestamp;
use serde_json::Value;
use tollgate_api::client::Client;

use super::arguments::{Key, Labels};
use super::restriction::{Only, restriction};
use super::table::table;
use crate::arguments::time::future_time;
use crate::changes::{self, Change};
use crate::failure::Failure;
use crate::names::Found;
use crate::output::Output;

/// The PATCH path of a key's expiry.
const EXPIRY: &str = "/tollgate/expiresAt";
/// The PATCH path of a key's restriction.
const RESTRICTION: &str = "/tollgate/restriction";

/// `tollgate keys update`.
#[derive(Debug, Args)]
pub(super) struct Update {
    #[command(flatten)]
    key: Key,
    #[command(flatten)]
    labels: Labels,
    /// Refuse the key from this time on: a date, a time, or a duration from now such as 90d
    #[arg(long, value_name = "WHEN", value_parser = future_time)]
    expires: Option<Timestamp>,
    /// Remove the expiry
    #[arg(long, conflicts_with = "expires")]
    never_expires: bool,
    /// Let the key call only this stage or method of those that its plans open; repeatable
    #[arg(long, value_name = "API:STAGE[/PATH/METHOD]")]
    only: Vec<Only>,
    /// Let the key call all that its plans open
    #[arg(long, conflicts_with = "only")]
    unrestricted: bool,
}

impl Update {
    pub(super) async fn run(self, api: &Client, output: Output) -> Result<(), Failure> {
        let changes = self.changes();
        if changes.is_empty() {
            return Err(
                "nothing to change; give at least one of --name, --description, --customer, --expires, --never-expires, --only, --unrestricted"
                    .into(),
            );
        }
        update(api, output, &self.key.find(api).await?, &changes).await
    }

    fn changes(&self) -> Vec<Change> {
        let mut changes: Vec<_> = self
            .labels
            .members()
            .map(|(member, value)| Change::replace(format!("/{member}"), value))
            .collect();
        if let Some(expires) = self.expires {
            changes.push(Change::replace(EXPIRY, expires.as_second()));
        } else if self.never_expires {
            changes.push(Change::remove(EXPIRY));
        }
        if !self.only.is_empty() {
            changes.push(Change::replace(RESTRICTION, restriction(&self.only)));
        } else if self.unrestricted {
            changes.push(Change::remove(RESTRICTION));
        }
        changes
    }
}

/// Enables or disables a key.
pub(super) async fn enable(
    api: &Client,
    output: Output,
    key: &Key,
    enabled: bool,
) -> Result<(), Failure> {
    let change = Change::replace("/enabled", enabled);
    update(api, output, &key.find(api).await?, &[change]).await
}

/// Applies changes to a key and shows it.
pub(super) async fn update(
    api: &Client,
    output: Output,
    key: &Found,
    changes: &[Change],
) -> Result<(), Failure> {
    let patch = changes::body(changes);
    let key: Value = api.patch(&["apikeys", &key.id], &patch).await?;
    output.print(&key, table)
}
