//! The engine's calls to the table, each an attempt with a time limit.

use std::time::Duration;

use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::types::{ReturnValue, ReturnValuesOnConditionCheckFailure};
use metrics::{counter, histogram};
use serde::de::DeserializeOwned;
use tokio::time::Instant;
use tollgate_core::charge::Charge;
use tollgate_core::id::{KeyId, PlanId};
use tollgate_core::lane::Stamp;
use tollgate_core::meter::{ClosedDay, Meter, Revisions};

use crate::connection::Connection;
use crate::expression::{self, Update};
use crate::failure::{Failure, conditional, is_condition, refusal};
use crate::item::meter;
use crate::item::usage::put_usage;
use crate::item::{ItemKey, from_item};

/// The shortest time in which an answer can arrive. With less time left, no call is made.
const SHORTEST_ATTEMPT: Duration = Duration::from_millis(2);

/// One table, through one connection.
#[derive(Debug)]
pub struct Table {
    connection: Connection,
    name: String,
}

/// The SDK's result of a call.
type Answer<T, E> = Result<T, SdkError<E, HttpResponse>>;

/// The time that one decision may take.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    /// Time limit for each attempt.
    pub attempt: Duration,
    /// When the whole decision must be complete.
    pub end: Instant,
}

impl Budget {
    fn next_attempt(&self) -> Result<Duration, Failure> {
        let left = self.end.saturating_duration_since(Instant::now());
        if left < SHORTEST_ATTEMPT {
            return Err(Failure::OutOfTime);
        }
        Ok(left.min(self.attempt))
    }
}

/// The outcome of a conditional write.
#[derive(Debug, Clone, PartialEq)]
pub enum Written {
    /// The write was applied; this is the meter after it.
    Applied(Meter),
    /// A condition did not hold, and nothing was changed. This is the current meter, if it exists.
    ConditionFailed(Option<Meter>),
}

impl Table {
    /// The table `name` through `connection`.
    pub fn new(connection: Connection, name: String) -> Self {
        Self { connection, name }
    }

    /// The table's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The connection to the table.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Opens a connection and prepares TLS, credentials and the clock, so that the first decision does not have to wait for
    /// them.
    ///
    /// # Errors
    /// [`Failure`] if the store cannot be reached within `limit`.
    pub async fn warm(&self, limit: Duration) -> Result<(), Failure> {
        let budget = Budget {
            attempt: limit,
            end: Instant::now() + limit,
        };
        self.get::<serde::de::IgnoredAny>(&ItemKey::key(&KeyId::from("-")), &budget)
            .await
            .map(|_| ())
    }

    /// Reads the current version of a record.
    ///
    /// # Errors
    /// [`Failure`] if no answer came or the item is corrupt.
    pub async fn get<T: DeserializeOwned>(
        &self,
        key: &ItemKey,
        budget: &Budget,
    ) -> Result<Option<T>, Failure> {
        let item = self.get_item(key, budget).await?;
        Ok(item.map(from_item).transpose()?)
    }

    /// Reads the current meter.
    ///
    /// # Errors
    /// [`Failure`] if no answer came or the item is corrupt.
    pub async fn meter(
        &self,
        key: &KeyId,
        plan: &PlanId,
        budget: &Budget,
    ) -> Result<Option<Meter>, Failure> {
        let item = self.get_item(&ItemKey::meter(key, plan), budget).await?;
        Ok(item.as_ref().map(meter::read).transpose()?.flatten())
    }

    async fn get_item(
        &self,
        key: &ItemKey,
        budget: &Budget,
    ) -> Result<Option<crate::item::Item>, Failure> {
        let call = self
            .connection
            .client()
            .get_item()
            .table_name(&self.name)
            .set_key(Some(key.attributes()))
            .consistent_read(true)
            .send();
        Ok(attempt(budget, call).await??.item)
    }

    /// Makes the write that charges requests.
    ///
    /// # Errors
    /// [`Failure`]. After [`Failure::Indeterminate`] the write may have been applied.
    pub async fn charge(
        &self,
        meter: &ItemKey,
        charge: &Charge,
        stamp: Option<&Stamp>,
        budget: &Budget,
    ) -> Result<Written, Failure> {
        let update = expression::charge::charge(charge, stamp);
        self.update(meter, update, budget).await
    }

    /// Writes newer revisions to the meter.
    ///
    /// # Errors
    /// As for [`charge`](Self::charge).
    pub async fn sync(
        &self,
        meter: &ItemKey,
        revisions: Revisions,
        budget: &Budget,
    ) -> Result<Written, Failure> {
        let update = expression::charge::sync(revisions);
        self.update(meter, update, budget).await
    }

    /// Archives a closed day by writing its usage item. Repeating the call changes nothing.
    ///
    /// # Errors
    /// [`Failure`] if no answer came.
    pub async fn archive(
        &self,
        key: &KeyId,
        plan: &PlanId,
        closed: &ClosedDay,
        budget: &Budget,
    ) -> Result<(), Failure> {
        let client = self.connection.client();
        let put = put_usage(&client, &self.name, key, plan, closed);
        conditional(attempt(budget, put.send()).await?)?;
        Ok(())
    }

    async fn update(
        &self,
        key: &ItemKey,
        update: Update,
        budget: &Budget,
    ) -> Result<Written, Failure> {
        let request = self
            .connection
            .client()
            .update_item()
            .table_name(&self.name)
            .set_key(Some(key.attributes()))
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        match attempt(budget, update.apply(request).send()).await? {
            Ok(answer) => {
                let meter = meter::read(&answer.attributes.unwrap_or_default())?;
                // The write's conditions held, so the item has every attribute that they name.
                meter.map(Written::Applied).ok_or_else(|| {
                    Failure::Indeterminate("the answer to a write has no meter".to_owned())
                })
            }
            Err(error) => match refusal(&error) {
                Some(refusal) => {
                    let meter = refusal.item().map(meter::read).transpose()?;
                    Ok(Written::ConditionFailed(meter.flatten()))
                }
                None => Err(error.into()),
            },
        }
    }
}

/// Makes one attempt within its time limit, and counts it. At the time limit the call is dropped and its connection closed; the
/// store may still complete the call.
///
/// The SDK's futures are large, so they are boxed here to keep them off the caller's stack.
fn attempt<T, E: ProvideErrorMetadata>(
    budget: &Budget,
    call: impl Future<Output = Answer<T, E>>,
) -> impl Future<Output = Result<Answer<T, E>, Failure>> {
    let (limit, call) = (budget.next_attempt(), Box::pin(call));
    async move {
        let limit = limit?;
        let started = Instant::now();
        let outcome = tokio::time::timeout(limit, call).await;
        count(started.elapsed(), outcome.as_ref().ok());
        outcome.map_err(|_| {
            Failure::Indeterminate(format!("no answer within {} ms", limit.as_millis()))
        })
    }
}

/// Counts an attempt. A condition that did not hold is an answer, not a failure.
fn count<T, E: ProvideErrorMetadata>(took: Duration, answer: Option<&Answer<T, E>>) {
    counter!("StoreCalls").increment(1);
    histogram!("StoreLatency").record((took.as_secs_f64() * 1e6).round() / 1e3);
    let failed = match answer {
        Some(Ok(_)) => false,
        Some(Err(error)) => !is_condition(error),
        None => true,
    };
    if failed {
        counter!("StoreFailures").increment(1);
    }
}
