//! Conditional writes, alone or in a transaction.

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{self as sdk, TransactWriteItem};
use tollgate_core::id::KeyId;

use super::Items;
use crate::expression::Update;
use crate::failure::{Failure, conditional};
use crate::item::meter::KEY_REVISION;
use crate::item::{Item, ItemKey};
use crate::retry::{MAX_ATTEMPTS, back_off};

/// A write of one item that is applied only if its condition holds.
#[derive(Debug, Clone)]
pub enum Write {
    /// Puts the item.
    Put(Item, Condition),
    /// Updates the item under the conditions of the update itself.
    Update(ItemKey, Update),
    /// Deletes the item.
    Delete(ItemKey, Condition),
}

/// What must hold of the item that is there for a write to be applied.
#[derive(Debug, Clone)]
pub enum Condition {
    /// There is none.
    Absent,
    /// It is the record at this revision.
    AtRevision(u64),
    /// It is a look-up item of this key.
    OwnedBy(KeyId),
    /// It is a meter that nothing can be charged to: it knows no revision of its key.
    Unchargeable,
}

/// The outcome of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transacted {
    /// All of its writes were made.
    Applied,
    /// A condition did not hold, so none was made.
    ConditionFailed,
    /// An item would be larger than DynamoDB allows.
    TooLarge,
    /// Every attempt met concurrent writes to the same items.
    Contended,
}

impl Write {
    /// Puts a new item.
    pub fn new_item(item: Item) -> Self {
        Self::Put(item, Condition::Absent)
    }
}

impl Condition {
    /// The condition as an update without changes: its expression, names and values.
    fn update(&self) -> Update {
        let mut update = Update::default();
        let expression = match self {
            Self::Absent => format!("attribute_not_exists({})", update.name(crate::schema::PK)),
            Self::AtRevision(revision) => {
                format!("{} = {}", update.name("revision"), update.number(revision))
            }
            Self::OwnedBy(key) => format!("{} = {}", update.name("key_id"), update.text(key)),
            Self::Unchargeable => format!("attribute_not_exists({})", update.name(KEY_REVISION)),
        };
        update.condition(expression);
        update
    }
}

impl Items {
    /// Makes a write. False if its condition does not hold.
    ///
    /// # Errors
    /// As for [`get`](Self::get).
    pub async fn write(&self, write: Write) -> Result<bool, Failure> {
        let client = self.client();
        let applied = match write {
            Write::Put(item, condition) => {
                let parts = condition.update().into_parts();
                let put = client.put_item().table_name(&self.table);
                let put = put
                    .set_item(Some(item))
                    .set_condition_expression(parts.condition)
                    .set_expression_attribute_names(parts.names)
                    .set_expression_attribute_values(parts.values);
                conditional(put.send().await)?.is_some()
            }
            Write::Update(key, update) => {
                let request = client.update_item().table_name(&self.table);
                let request = update.apply(request.set_key(Some(key.attributes())));
                conditional(request.send().await)?.is_some()
            }
            Write::Delete(key, condition) => {
                let parts = condition.update().into_parts();
                let delete = client.delete_item().table_name(&self.table);
                let delete = delete
                    .set_key(Some(key.attributes()))
                    .set_condition_expression(parts.condition)
                    .set_expression_attribute_names(parts.names)
                    .set_expression_attribute_values(parts.values);
                conditional(delete.send().await)?.is_some()
            }
        };
        Ok(applied)
    }

    /// Makes all of these writes or none, and tries again while others write to the same items.
    ///
    /// # Errors
    /// As for [`get`](Self::get).
    pub async fn transact(&self, writes: Vec<Write>) -> Result<Transacted, Failure> {
        let writes = writes.into_iter().map(|write| self.in_transaction(write));
        let writes: Vec<_> = writes.collect();
        for attempts in 0..MAX_ATTEMPTS {
            back_off(attempts).await;
            let request = self.client().transact_write_items();
            let request = request.set_transact_items(Some(writes.clone()));
            let Err(error) = request.send().await else {
                return Ok(Transacted::Applied);
            };
            let is_cancelled_by = |reason| is_cancelled_by(&error, reason);
            if is_cancelled_by("ConditionalCheckFailed") {
                return Ok(Transacted::ConditionFailed);
            }
            if is_cancelled_by("ValidationError") {
                return Ok(Transacted::TooLarge);
            }
            if !is_cancelled_by("TransactionConflict") && !is_cancelled_by("ThrottlingError") {
                return Err(error.into());
            }
        }
        Ok(Transacted::Contended)
    }

    fn in_transaction(&self, write: Write) -> TransactWriteItem {
        let request = TransactWriteItem::builder();
        let request = match write {
            Write::Put(item, condition) => {
                let parts = condition.update().into_parts();
                let put = sdk::Put::builder()
                    .table_name(&self.table)
                    .set_item(Some(item))
                    .set_condition_expression(parts.condition)
                    .set_expression_attribute_names(parts.names)
                    .set_expression_attribute_values(parts.values);
                request.put(put.build().expect("table and item are set"))
            }
            Write::Update(key, update) => {
                let parts = update.into_parts();
                let update = sdk::Update::builder()
                    .table_name(&self.table)
                    .set_key(Some(key.attributes()))
                    .update_expression(parts.update)
                    .set_condition_expression(parts.condition)
                    .set_expression_attribute_names(parts.names)
                    .set_expression_attribute_values(parts.values);
                request.update(update.build().expect("table, key and expression are set"))
            }
            Write::Delete(key, condition) => {
                let parts = condition.update().into_parts();
                let delete = sdk::Delete::builder()
                    .table_name(&self.table)
                    .set_key(Some(key.attributes()))
                    .set_condition_expression(parts.condition)
                    .set_expression_attribute_names(parts.names)
                    .set_expression_attribute_values(parts.values);
                request.delete(delete.build().expect("table and key are set"))
            }
        };
        request.build()
    }
}

/// Whether DynamoDB cancelled a transaction for this reason.
fn is_cancelled_by<R>(error: &SdkError<TransactWriteItemsError, R>, reason: &str) -> bool {
    let Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) =
        error.as_service_error()
    else {
        return false;
    };
    let reasons = cancelled.cancellation_reasons();
    reasons.iter().any(|given| given.code() == Some(reason))
}
