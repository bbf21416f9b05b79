//! `tollgate table`: the table in any DynamoDB.

use std::process::ExitCode;

use aws_sdk_dynamodb::Client;
use clap::{Args, Subcommand};
use tollgate_dynamo::schema::{self, Created};

use crate::failure::Failure;
use crate::output::print;
use crate::store::StoreArguments;

/// `tollgate table`.
#[derive(Debug, Args)]
pub(crate) struct Table {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Create the table where it is missing; of one that is there, only what an interrupted call left undone is done
    Create(StoreArguments),
    /// Delete the table with all keys, plans and usage in it
    Delete {
        #[command(flatten)]
        store: StoreArguments,
        /// Needed for a table that is not on this machine
        #[arg(long)]
        yes: bool,
    },
    /// Show whether the table is there; exit code 1 if not
    Status(StoreArguments),
}

impl Table {
    pub(crate) async fn run(self) -> Result<ExitCode, Failure> {
        match self.action {
            Action::Create(store) => create(&store).await?,
            Action::Delete { store, yes } => delete(&store, yes).await?,
            Action::Status(store) => return status(&store).await,
        }
        Ok(ExitCode::SUCCESS)
    }
}

async fn create(store: &StoreArguments) -> Result<(), Failure> {
    let outcome = match schema::create(&client(store).await, &store.table).await? {
        Created::Made => "created",
        Created::Finished => "was there already, without its time to live, which is on now",
        Created::WasThere => "was there already",
    };
    print(format!("table {}: {outcome}", store.table))
}

async fn delete(store: &StoreArguments, yes: bool) -> Result<(), Failure> {
    if !yes && !store.is_local() {
        return Err(format!(
            "deleting table {} deletes all its keys, plans and usage; say --yes to do so",
            store.table
        )
        .into());
    }
    let deleted = schema::delete(&client(store).await, &store.table).await?;
    let outcome = if deleted { "deleted" } else { "was not there" };
    print(format!("table {}: {outcome}", store.table))
}

async fn status(store: &StoreArguments) -> Result<ExitCode, Failure> {
    let status = schema::status(&client(store).await, &store.table).await?;
    let shown = status.as_ref().map_or("missing", |status| status.as_str());
    print(format!("table {}: {shown}", store.table))?;
    Ok(match status {
        Some(_) => ExitCode::SUCCESS,
        None => ExitCode::FAILURE,
    })
}

async fn client(store: &StoreArguments) -> Client {
    Client::new(&store.sdk_config().await)
}
