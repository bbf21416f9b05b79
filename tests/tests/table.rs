//! Making the table, and what an interrupted call has left of that.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
    TimeToLiveStatus,
};
use tollgate_dynamo::schema::{self, Created};
use tollgate_tests::on_both_stores;
use tollgate_tests::proxy::{Fault, Proxy};
use tollgate_tests::stores::{Kind, Store};

on_both_stores!(
    wherever_making_the_table_is_interrupted_asking_again_finishes_it,
    a_table_of_somebody_elses_is_not_taken_for_ours,
);

/// A table that is not there yet.
async fn none(kind: Kind, name: &str) -> Store {
    let store = Store::new(kind).await;
    let table = format!("{}-{name}", store.table);
    Store { table, ..store }
}

async fn expires_items(store: &Store) -> bool {
    let described = store
        .client()
        .await
        .describe_time_to_live()
        .table_name(&store.table)
        .send();
    let described = described.await.unwrap().time_to_live_description.unwrap();
    described.time_to_live_status == Some(TimeToLiveStatus::Enabled)
}

async fn wherever_making_the_table_is_interrupted_asking_again_finishes_it(kind: Kind) {
    for fault in [
        Fault::InternalErrorAfter,
        Fault::Refuse("AccessDeniedException"),
    ] {
        for n in 0.. {
            let store = none(kind, &n.to_string()).await;
            let proxy = Proxy::to(&store.endpoint).await;
            let cut = fault.clone();
            proxy.rule(move |number, _| if number < n { Fault::None } else { cut.clone() });
            let client = store.through(&proxy.endpoint).client().await;
            let made = schema::create(&client, &store.table).await;
            let there = schema::status(&store.client().await, &store.table)
                .await
                .unwrap();
            let created = schema::create(&store.client().await, &store.table)
                .await
                .unwrap();
            let expected = match (there, &made) {
                (None, _) => Created::Made,
                (Some(_), Ok(_)) => Created::WasThere,
                // Only the answer to its last call was lost, or there was more to do.
                (Some(_), Err(_)) if created == Created::WasThere => Created::WasThere,
                (Some(_), Err(_)) => Created::Finished,
            };
            assert_eq!(created, expected, "{n}");
            assert!(expires_items(&store).await, "{n}");
            if made.is_ok() {
                assert!(n > 1, "{n}");
                break;
            }
        }
    }
}

async fn a_table_of_somebody_elses_is_not_taken_for_ours(kind: Kind) {
    let store = none(kind, "theirs").await;
    let client = store.client().await;
    let key = KeySchemaElement::builder()
        .attribute_name("id")
        .key_type(KeyType::Hash)
        .build();
    let id = AttributeDefinition::builder()
        .attribute_name("id")
        .attribute_type(ScalarAttributeType::S)
        .build();
    let create = client
        .create_table()
        .table_name(&store.table)
        .billing_mode(BillingMode::PayPerRequest);
    let create = create
        .key_schema(key.unwrap())
        .attribute_definitions(id.unwrap());
    create.send().await.unwrap();
    let error = schema::create(&client, &store.table)
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("expected the keys pk and sk, and the indexes by-created"),
        "{error}"
    );
    assert!(!expires_items(&store).await);
}
