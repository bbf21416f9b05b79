//! The table's schema: one table with the key attributes `pk` and `sk`, and sparse indexes for listing.
//!
//! The indexes project keys only and contain no attribute that a charge changes, so a charge does not write to any index.

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
/// The attribute that DynamoDB's time to live uses, epoch seconds.
pub const TTL: &str = "ttl";

/// An index: its name and its key attributes.
#[derive(Debug, Clone, Copy)]
pub struct Index {
    /// The index's name.
    pub name: &'static str,
    /// The index's partition key.
    pub pk: &'static str,
    /// The index's sort key.
    pub sk: &'static str,
}

/// Lists keys, plans, and the keys of a plan, by creation time.
pub const BY_CREATED: Index = Index {
    name: "by-created",
    pk: "lpk",
    sk: "lsk",
};
/// Lists keys by name.
pub const BY_NAME: Index = Index {
    name: "by-name",
    pk: "npk",
    sk: "nsk",
};
/// Lists the keys of a customer by creation time.
pub const BY_CUSTOMER: Index = Index {
    name: "by-customer",
    pk: "cpk",
    sk: "csk",
};

const INDEXES: [Index; 3] = [BY_CREATED, BY_NAME, BY_CUSTOMER];

/// A table that could not be created, found or deleted.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} table {table}: {cause}")]
pub struct TableError {
    action: &'static str,
    table: String,
    cause: String,
}

/// The result of [`create`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    /// The call created the table.
    Made,
    /// The table existed without its time to live, because an earlier call was interrupted. This call enabled it.
    Finished,
    /// The table existed.
    WasThere,
}

/// Creates the table and waits until it is ready. An existing table is not altered, except that steps which an interrupted call
/// left out are completed.
///
/// # Errors
/// [`TableError`] if DynamoDB rejects a call, or a table of that name has other keys.
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

/// Waits until the table is ready.
async fn wait(client: &Client, table: &str) -> Result<(), TableError> {
    while status(client, table).await? != Some(TableStatus::Active) {
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    Ok(())
}

/// Creates the table if it does not exist. An existing table is not altered.
///
/// # Errors
/// [`TableError`] if DynamoDB rejects a call.
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

/// Checks by its keys and indexes that an existing table has this schema.
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

/// Deletes the table with all its data. Returns false if there was none.
///
/// # Errors
/// [`TableError`] if DynamoDB rejects a call.
pub async fn delete(client: &Client, table: &str) -> Result<bool, TableError> {
    match client.delete_table().table_name(table).send().await {
        Ok(_) => Ok(true),
        Err(error) if error.code() == Some("ResourceNotFoundException") => Ok(false),
        Err(error) => Err(failed("delete", table, Failure::from(error))),
    }
}

/// Returns the status of the table; `None` if it does not exist.
///
/// # Errors
/// [`TableError`] if DynamoDB does not report the status.
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
