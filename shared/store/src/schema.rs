//! The table: one, keyed by `pk` and `sk`, with sparse indexes for the lists.
//!
//! The indexes project keys only, and no attribute that a charge changes is in one: a charge costs nothing there.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::operation::create_table::builders::CreateTableFluentBuilder;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection,
    ProjectionType, ScalarAttributeType, TableStatus, TimeToLiveSpecification,
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

/// Creates the table and waits until it can be used. Returns false where it was there already; that one is not altered.
///
/// # Errors
/// [`TableError`] where DynamoDB refuses.
pub async fn create(client: &Client, table: &str) -> Result<bool, TableError> {
    let created = match definition(client, table).send().await {
        Ok(_) => true,
        Err(error) if error.code() == Some("ResourceInUseException") => false,
        Err(error) => return Err(failed("create", table, Failure::from(error))),
    };
    while status(client, table).await? != Some(TableStatus::Active) {
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    if created {
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
    Ok(created)
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
