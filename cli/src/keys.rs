//! `tollgate keys`: API keys, and the plans they are in.
//!
//! - [`create`], [`rotate`]: new values, which [`new_value`] shows. [`list`], [`show`]: what is there. [`update`]: changes of a
//!   key's own fields. [`delete`]: the end.
//! - [`links`], [`moves`]: which plans a key is in. [`overrides`], [`restriction`]: how its terms differ from the plan's.
//! - [`import`], [`export`]: many keys at once, as CSV files.
//! - [`arguments`]: arguments that several of these take. [`table`]: a key, for people.

use clap::{Args, Subcommand};

use crate::api_options::ApiOptions;
use crate::failure::Failure;

mod arguments;
mod create;
mod delete;
mod export;
mod import;
mod links;
mod list;
mod moves;
mod new_value;
mod overrides;
mod restriction;
mod rotate;
mod show;
mod table;
mod update;

use arguments::{Key, KeyAndPlan};

/// `tollgate keys`.
#[derive(Debug, Args)]
pub(crate) struct Keys {
    #[command(flatten)]
    options: ApiOptions,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Create a key and show its value, once
    Create(create::Create),
    /// List keys, newest first
    List(list::List),
    /// Show a key and its plans
    Show(show::Show),
    /// Change a key's name, description, customer, expiry or restriction
    Update(update::Update),
    /// Give a key its own limits, instead of a plan's
    Override(overrides::Override),
    /// Remove a key's own limits: the plan's apply again
    EndOverride(KeyAndPlan),
    /// Move a key from one plan to another
    Move(moves::Move),
    /// Give a key a new value and show it; the old value works until the overlap ends
    Rotate(rotate::Rotate),
    /// End the overlap: the old value stops working
    EndRotation(Key),
    /// Admit a key's requests again
    Enable(Key),
    /// Refuse a key's requests from now on
    Disable(Key),
    /// Delete a key
    Delete(delete::Delete),
    /// Create keys from a CSV file; a key whose value exists already is updated
    Import(import::Import),
    /// Print all keys with their plans as CSV; with their values if the stack keeps them
    Export(export::Export),
    /// Put a key into a plan
    Link(KeyAndPlan),
    /// Take a key out of a plan
    Unlink(KeyAndPlan),
}

impl Keys {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let (api, output) = (self.options.endpoint.client().await?, self.options.output);
        match self.action {
            Action::Create(create) => create.run(&api, output).await,
            Action::List(list) => list.run(&api, output).await,
            Action::Show(show) => show.run(&api, output).await,
            Action::Update(update) => update.run(&api, output).await,
            Action::Override(limits) => limits.run(&api, output).await,
            Action::EndOverride(of) => overrides::end(&api, output, &of).await,
            Action::Move(to) => to.run(&api, output).await,
            Action::Rotate(rotate) => rotate.run(&api, output).await,
            Action::EndRotation(key) => rotate::end(&api, output, &key).await,
            Action::Enable(key) => update::enable(&api, output, &key, true).await,
            Action::Disable(key) => update::enable(&api, output, &key, false).await,
            Action::Delete(delete) => delete.run(&api, output).await,
            Action::Import(import) => import.run(&api, output).await,
            Action::Export(export) => export.run(&api, output).await,
            Action::Link(both) => {
                let (key, plan) = both.find(&api).await?;
                output.done(&links::link(&api, &key, &plan).await?)
            }
            Action::Unlink(both) => {
                let (key, plan) = both.find(&api).await?;
                output.done(&links::unlink(&api, &key, &plan).await?)
            }
        }
    }
}
