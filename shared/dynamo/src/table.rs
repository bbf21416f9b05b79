//! The calls that the engine makes, each an attempt with a time limit.

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

/// Less time than this cannot bring an answer.
const SHORTEST_ATTEMPT: Duration = Duration::from_millis(2);

/// The table in one DynamoDB.
#[derive(Debug)]
pub struct Table {
    connection: Connection,
    name: String,
}

/// What the SDK says to a call.
type Answer<T, E> = Result<T, SdkError<E, HttpResponse>>;

/// The time that one decision may take.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    /// For each attempt.
    pub attempt: Duration,
    /// When everything has to be over.
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

/// What became of a conditional write.
#[derive(Debug, Clone, PartialEq)]
pub enum Written {
    /// It was made; the meter now.
    Applied(Meter),
    /// A condition did not hold, and nothing was changed; the meter as it is, if there is one.
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

    /// The connection it is reached by.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Opens a connection and lets TLS, credentials and the clock settle, so that the first decision need not wait.
    ///
    /// # Errors
    /// [`Failure`] where the store cannot be reached within `limit`.
    pub async fn warm(&self, limit: Duration) -> Result<(), Failure> {
        let budget = Budget {
            attempt: limit,
            end: Instant::now() + limit,
        };
        self.get::<serde::de::IgnoredAny>(&ItemKey::key(&KeyId::from("-")), &budget)
            .await
            .map(|_| ())
    }

    /// Reads a record, as it is now.
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

    /// Reads a meter, as it is now.
    ///
    /// # Errors
    /// [`Failure`] where no answer came or the item is damaged.
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

    /// The one write.
    ///
    /// # Errors
    /// [`Failure`]; after [`Failure::Indeterminate`] the write may have been made.
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

    /// Makes newer revisions known.
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

    /// Archives a closed day: writes its usage item. Doing so again changes nothing.
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
                // What its conditions name is there, or they would not have held.
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

/// Runs one attempt within its time, and counts it. Giving up drops the call and closes its connection; the store may go
/// on with it.
///
/// The SDK's futures are large: here they are kept off the stack of everything above.
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

/// That a condition did not hold is an answer, and no failure.
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
