//! Management of API keys, usage plans, links between them, and usage, on the table that the authorizer reads.
//!
//! - [`keys`]: creating, reading, changing, listing and deleting keys.
//! - [`plans`]: the same for usage plans.
//! - [`links`]: putting keys into plans and taking them out.
//! - [`moves`]: moving a key from one plan to another, with or without its spent quota.
//! - [`rotations`]: giving a key a new value while the previous one stays valid for a while.
//! - [`grants`]: setting what a key has left of its quota.
//! - [`usage`]: what a key used, day by day.
//! - [`capacity`]: what the keys of a plan may send at most.
//! - [`imports`]: creating and changing many keys at once.
//! - [`Error`]: what these operations can fail with.
//!
//! Inside, `unpublished` holds a key's record until its meters know about it, `meters` writes the meters, `damaged` revokes keys
//! whose record cannot be read, `listing` and `paging` read the indexes, and `ids` makes ids and values.
//!
//! # The order of writes
//!
//! A revocation is final because of the order in which an operation writes:
//!
//! 1. The key's record, on the condition that it still has the revision that was read. The record gets the next revision.
//! 2. Every meter of the key, which stores the record's revision. DynamoDB applies a charge only if it names the revision that
//!    the meter stores, so a charge prepared under an older record fails from here on.
//! 3. The look-up item of the key's value, which only says what to read together with the key.
//! 4. Then the operation returns.
//!
//! An operation that is interrupted leaves meters behind the record. The next operation on the key brings them in line.

use std::time::Instant;

use jiff::Timestamp;
use serde::de::DeserializeOwned;

use tollgate_dynamo::connection::Connection;
use tollgate_dynamo::failure::Corrupt;
use tollgate_dynamo::item::{ItemKey, from_item};
use tollgate_dynamo::items::{Items, Transacted, Write};
use tollgate_dynamo::retry;

pub mod capacity;
mod damaged;
mod error;
pub mod grants;
mod ids;
pub mod imports;
pub mod input;
pub mod keys;
pub mod links;
mod listing;
mod meters;
pub mod moves;
mod paging;
pub mod plans;
pub mod rotations;
mod unpublished;
pub mod usage;

pub use error::Error;
pub use paging::{Page, PageRequest};

/// Manages the keys, plans, links and usage of one table.
#[derive(Debug)]
pub struct Admin {
    items: Items,
}

impl Admin {
    /// Manages the table `table`, reached through `connection`.
    pub fn new(connection: Connection, table: String) -> Self {
        Self {
            items: Items::new(connection, table),
        }
    }

    /// The time, by DynamoDB's clock if ours is off.
    pub fn now(&self) -> Timestamp {
        self.items.connection().clock().now()
    }

    /// Reads many records, in the order of `keys`. Missing records are left out. So are damaged ones, with a line in the log: a
    /// damaged record must not hide the rest of a list.
    async fn read_many<T: DeserializeOwned>(&self, keys: &[ItemKey]) -> Result<Vec<T>, Error> {
        let items = self.items.get_many(keys).await?.into_iter();
        Ok(items.filter_map(|item| logged(from_item(item))).collect())
    }

    /// Makes all of these writes or none. False if a condition does not hold.
    async fn transact(&self, writes: Vec<Write>) -> Result<bool, Error> {
        match self.items.transact(writes).await? {
            Transacted::Applied => Ok(true),
            Transacted::ConditionFailed => Ok(false),
            Transacted::TooLarge => Err(Error::TooLarge),
            Transacted::Contended => Err(Error::Contended),
        }
    }
}

/// Makes attempts until one settles the matter; an attempt returns `None` if a concurrent write got ahead of it.
///
/// # Errors
/// The first error of an attempt, or [`Error::Contended`] if every attempt lost.
async fn until_settled<T, E, F>(attempt: impl FnMut() -> F) -> Result<T, E>
where
    E: From<Error>,
    F: Future<Output = Result<Option<T>, E>>,
{
    let settled = retry::until_settled(attempt).await?;
    settled.ok_or_else(|| Error::Contended.into())
}

fn logged<T>(outcome: Result<T, Corrupt>) -> Option<T> {
    outcome
        .inspect_err(|damaged| tracing::error!(%damaged, "left out of a list"))
        .ok()
}

/// Whether there is time to begin something more.
fn is_in_time(until: Option<Instant>) -> bool {
    until.is_none_or(|until| Instant::now() < until)
}
