//! `tollgate keys update`, `enable` and `disable`.

use clap::Args;
use jiff::Timestamp;
use serde_json::Value;
use tollgate_api::client::Client;

use super::arguments::Labels;
use super::restriction::{Only, restriction};
use super::table::table;
use crate::arguments::id;
use crate::arguments::time::future_time;
use crate::changes::{self, Change};
use crate::failure::Failure;
use crate::output::Output;

/// The PATCH path of a key's expiry.
const EXPIRY: &str = "/tollgate/expiresAt";
/// The PATCH path of a key's restriction.
const RESTRICTION: &str = "/tollgate/restriction";

/// `tollgate keys update`.
#[derive(Debug, Args)]
pub(super) struct Update {
    #[arg(value_parser = id)]
    key: String,
    #[command(flatten)]
    labels: Labels,
    /// Refuse it from then on: a date, a time, or a duration from now such as 90d
    #[arg(long, value_name = "WHEN", value_parser = future_time)]
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
}

impl Update {
    pub(super) async fn run(self, api: &Client, output: Output) -> Result<(), Failure> {
        let changes = self.changes();
        if changes.is_empty() {
            return Err(
                "nothing to change; give one of --name, --description, --customer, --expires, --never-expires, --only, --unrestricted"
                    .into(),
            );
        }
        update(api, output, &self.key, &changes).await
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
    key: &str,
    enabled: bool,
) -> Result<(), Failure> {
    update(api, output, key, &[Change::replace("/enabled", enabled)]).await
}

/// Applies changes to a key and shows it.
pub(super) async fn update(
    api: &Client,
    output: Output,
    key: &str,
    changes: &[Change],
) -> Result<(), Failure> {
    let patch = changes::body(changes);
    let key: Value = api.patch(&["apikeys", key], &patch).await?;
    output.print(&key, table)
}
