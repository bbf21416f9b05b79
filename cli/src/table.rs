//! `tollgate table`: the table in any DynamoDB.

use std::process::ExitCode;

use aws_sdk_dynamodb::Client;
use clap::{Args, Subcommand};
use tollgate_dynamo::schema::{self, Created};

use crate::store::StoreArguments;
use crate::{Failure, print};

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
            Action::Create(store) => {
                let created = schema::create(&client(&store).await, &store.table).await?;
                let outcome = match created {
                    Created::Made => "created",
                    Created::Finished => {
                        "was there already, without its time to live, which is on now"
                    }
                    Created::WasThere => "was there already",
                };
                print(format!("table {}: {outcome}", store.table))?;
            }
            Action::Delete { store, yes } => {
                if !yes && !store.is_local() {
                    return Err(format!(
                        "deleting table {} deletes all its keys, plans and usage; say --yes to do so",
                        store.table
                    )
                    .into());
                }
                let deleted = schema::delete(&client(&store).await, &store.table).await?;
                let outcome = if deleted { "deleted" } else { "was not there" };
                print(format!("table {}: {outcome}", store.table))?;
            }
            Action::Status(store) => {
                let status = schema::status(&client(&store).await, &store.table).await?;
                let Some(status) = status else {
                    print(format!("table {}: missing", store.table))?;
                    return Ok(ExitCode::FAILURE);
                };
                print(format!("table {}: {}", store.table, status.as_str()))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

async fn client(store: &StoreArguments) -> Client {
    Client::new(&store.sdk_config().await)
}
