//! What management calls can fail with. The errors state facts; each front door finds its own words for them.

use tollgate_core::id::{KeyId, PlanId, StageId};
use tollgate_dynamo::failure::{Corrupt, Failure};

/// Why a management call failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No such key.
    #[error("there is no such key")]
    NoSuchKey,
    /// No such plan.
    #[error("there is no such plan")]
    NoSuchPlan,
    /// The key is not in the plan.
    #[error("the key is not in this plan")]
    NotLinked,
    /// Another key has the value.
    #[error("the value belongs to a key already")]
    ValueExists,
    /// The key is in the plan already.
    #[error("the key is in this plan already")]
    AlreadyLinked,
    /// The key is in another plan that opens the same stage.
    #[error(
        "key {key} is in plan {plan}, which opens stage {stage} too; a key can be in one plan per stage"
    )]
    StageTaken {
        /// The key.
        key: KeyId,
        /// The other plan.
        plan: PlanId,
        /// The stage, `apiId:stage`.
        stage: StageId,
    },
    /// A plan that still opens stages cannot be deleted.
    #[error("plan {plan} still opens stages, {stage} among them")]
    PlanHasStages {
        /// The plan.
        plan: PlanId,
        /// One of the stages, `apiId:stage`.
        stage: StageId,
    },
    /// A disabled or expired key cannot be rotated: nobody could use its new value.
    #[error("the key is disabled or expired")]
    KeyNotActive,
    /// A key has one rotation at a time: a second would end the overlap of the first.
    #[error("the value before the last rotation of key {0} is still valid")]
    RotationInProgress(KeyId),
    /// There is no rotation to end.
    #[error("the key has no value from before a rotation")]
    NoRotation,
    /// Another call cancelled the move.
    #[error(
        "another call cancelled the move: it unlinked the key from one of the two plans, linked it again, or moved it"
    )]
    MoveCalledOff,
    /// Nothing can be left of a quota that the plan does not have.
    #[error("the plan has no quota")]
    NoQuota,
    /// An import that had to be complete would have left something out.
    #[error("nothing was imported: {}", .0.join("; "))]
    Warnings(Vec<String>),
    /// An import took too long for one call. The same import again goes on where this one ended.
    #[error("imported {finished} of {of} rows in the time of one call")]
    Unfinished {
        /// Rows that are done.
        finished: usize,
        /// Rows in all.
        of: usize,
    },
    /// No page of the list ended at this position.
    #[error("no page of this list ended at this position")]
    BadPosition,
    /// The record is larger than the 400 KB that an item can have.
    #[error("the record is larger than an item can be")]
    TooLarge,
    /// Concurrent calls kept changing the same record.
    #[error("concurrent calls keep changing the same record; try again")]
    Contended,
    /// The store failed.
    #[error(transparent)]
    Store(Failure),
}

impl Error {
    /// Whether an item was found that cannot be read.
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::Store(Failure::Corrupt(_)))
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Rejected(text) if text.contains("Item size") => Self::TooLarge,
            failure => Self::Store(failure),
        }
    }
}

impl From<Corrupt> for Error {
    fn from(corrupt: Corrupt) -> Self {
        Self::Store(corrupt.into())
    }
}
