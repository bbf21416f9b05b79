//! The table: one, keyed by `pk` and `sk`, with sparse indexes for the lists.
//!
//! The indexes project keys only, and no attribute that a charge changes is in one: a charge costs nothing there.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::operation::create_table::builders::CreateTableFluentBuilder;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection,
    ProjectionType, ScalarAttributeType, TableDescription, TableStatus, TimeToLiveSpecification,
    TimeToLiveStatus,
};

use crate::failure::Failure;

/// The version that every item carries in `v`.
pub const ITEM_VERSION: u8 = 1;

/// The partition key.
pub const PK: &str = "pk";
/// The sort key.
pub const SK: &str = "sk";
/// The attribute that DynamoDB's time to live goes by, epoch seconds.
pub const TTL: &str = "ttl";

/// An index: its name and its key attributes.
#[derive(Debug, Clone, Copy)]
pub struct Index {
    /// The index's name.
    pub name: &'static str,
    /// Its partition key.
    pub pk: &'static str,
    /// Its sort key.
    pub sk: &'static str,
}

/// Keys, plans, and the keys of a plan, by the time they were made.
pub const BY_CREATED: Index = Index {
    name: "by-created",
    pk: "lpk",
    sk: "lsk",
};
/// Keys by name.
pub const BY_NAME: Index = Index {
    name: "by-name",
    pk: "npk",
    sk: "nsk",
};
/// The keys of a customer by the time they were made.
pub const BY_CUSTOMER: Index = Index {
    name: "by-customer",
    pk: "cpk",
    sk: "csk",
};

const INDEXES: [Index; 3] = [BY_CREATED, BY_NAME, BY_CUSTOMER];

/// A table that could not be made, found or removed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} table {table}: {cause}")]
pub struct TableError {
    action: &'static str,
    table: String,
    cause: String,
}

/// What [`create`] has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    /// It has made the table.
    Made,
    /// The table was there without its time to live, as an interrupted call leaves it; it has switched that on.
    Finished,
    /// The table was there.
    WasThere,
}

/// Creates the table and waits until it can be used. One that is there already is not altered, but what an interrupted call
/// has left undone is done.
///
/// # Errors
/// [`TableError`] where DynamoDB refuses, or a table of that name has other keys.
pub async fn create(client: &Client, table: &str) -> Result<Created, TableError> {
    let is_new = match definition(client, table).send().await {
        Ok(_) => true,
        Err(error) if error.code() == Some("ResourceInUseException") => false,
        Err(error) => return Err(failed("create", table, Failure::from(error))),
    };
    wait(client, table).await?;
    if !is_new {
        check(client, table).await?;
    }
    let lacks_ttl = is_new || !has_time_to_live(client, table).await?;
    if lacks_ttl {
        let ttl = TimeToLiveSpecification::builder()
            .attribute_name(TTL)
            .enabled(true)
            .build()
            .map_err(|error| failed("create", table, error))?;
        client
            .update_time_to_live()
            .table_name(table)
            .time_to_live_specification(ttl)
            .send()
            .await
            .map_err(|error| failed("set the time to live of", table, Failure::from(error)))?;
    }
    Ok(match (is_new, lacks_ttl) {
        (true, _) => Created::Made,
        (false, true) => Created::Finished,
        (false, false) => Created::WasThere,
    })
}

/// Waits until the table can be used.
async fn wait(client: &Client, table: &str) -> Result<(), TableError> {
    while status(client, table).await? != Some(TableStatus::Active) {
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    Ok(())
}

/// Creates the table where there is none, and leaves alone one that is there.
///
/// # Errors
/// [`TableError`] where DynamoDB refuses.
pub async fn create_if_missing(client: &Client, table: &str) -> Result<(), TableError> {
    if status(client, table).await?.is_none() {
        create(client, table).await?;
    }
    wait(client, table).await
}

async fn has_time_to_live(client: &Client, table: &str) -> Result<bool, TableError> {
    let described = client.describe_time_to_live().table_name(table).send();
    let described = described
        .await
        .map_err(|error| failed("look at the time to live of", table, Failure::from(error)))?;
    let status = described
        .time_to_live_description
        .and_then(|it| it.time_to_live_status);
    Ok(matches!(
        status,
        Some(TimeToLiveStatus::Enabled | TimeToLiveStatus::Enabling)
    ))
}

/// Whether a table that is there is one of ours, by its keys and indexes.
async fn check(client: &Client, table: &str) -> Result<(), TableError> {
    let described = client.describe_table().table_name(table).send().await;
    let described = described.map_err(|error| failed("describe", table, Failure::from(error)))?;
    let described = described
        .table
        .unwrap_or_else(|| TableDescription::builder().build());
    let keys = |schema: &[KeySchemaElement]| {
        let names = schema.iter().map(|key| key.attribute_name.clone());
        names.collect::<Vec<_>>()
    };
    let indexes = described.global_secondary_indexes();
    let has = |index: &Index| {
        let mut indexes = indexes.iter();
        indexes.any(|it| {
            it.index_name() == Some(index.name) && keys(it.key_schema()) == [index.pk, index.sk]
        })
    };
    if keys(described.key_schema()) == [PK, SK] && INDEXES.iter().all(has) {
        return Ok(());
    }
    let expected = format!(
        "there is one with other keys or indexes; expected the keys {PK} and {SK}, and the indexes {}. Use another name, or delete it",
        INDEXES.map(|index| index.name).join(", ")
    );
    Err(failed("use", table, expected))
}

/// Deletes the table and all that is in it. Returns false where there was none.
///
/// # Errors
/// [`TableError`] where DynamoDB refuses.
pub async fn delete(client: &Client, table: &str) -> Result<bool, TableError> {
    match client.delete_table().table_name(table).send().await {
        Ok(_) => Ok(true),
        Err(error) if error.code() == Some("ResourceNotFoundException") => Ok(false),
        Err(error) => Err(failed("delete", table, Failure::from(error))),
    }
}

/// The state of the table; `None` where there is none.
///
/// # Errors
/// [`TableError`] where DynamoDB does not say.
pub async fn status(client: &Client, table: &str) -> Result<Option<TableStatus>, TableError> {
    match client.describe_table().table_name(table).send().await {
        Ok(answer) => Ok(answer.table.and_then(|table| table.table_status)),
        Err(error) if error.code() == Some("ResourceNotFoundException") => Ok(None),
        Err(error) => Err(failed("describe", table, Failure::from(error))),
    }
}

fn failed(action: &'static str, table: &str, cause: impl std::fmt::Display) -> TableError {
    TableError {
        action,
        table: table.to_owned(),
        cause: cause.to_string(),
    }
}

fn definition(client: &Client, table: &str) -> CreateTableFluentBuilder {
    let keys = |pk, sk| {
        [(pk, KeyType::Hash), (sk, KeyType::Range)].map(|(name, kind)| {
            KeySchemaElement::builder()
                .attribute_name(name)
                .key_type(kind)
                .build()
                .expect("name and kind are set")
        })
    };
    let mut request = client
        .create_table()
        .table_name(table)
        .billing_mode(BillingMode::PayPerRequest)
        .set_key_schema(Some(keys(PK, SK).to_vec()));
    for index in INDEXES {
        request = request.global_secondary_indexes(
            GlobalSecondaryIndex::builder()
                .index_name(index.name)
                .set_key_schema(Some(keys(index.pk, index.sk).to_vec()))
                .projection(
                    Projection::builder()
                        .projection_type(ProjectionType::KeysOnly)
                        .build(),
                )
                .build()
                .expect("name and keys are set"),
        );
    }
    let names = INDEXES.iter().flat_map(|index| [index.pk, index.sk]);
    for name in [PK, SK].into_iter().chain(names) {
        request = request.attribute_definitions(
            AttributeDefinition::builder()
                .attribute_name(name)
                .attribute_type(ScalarAttributeType::S)
                .build()
                .expect("name and type are set"),
        );
    }
    request
}
