//! What management calls can fail with.

use tollgate_core::id::{KeyId, PlanId, StageId};
use tollgate_dynamo::failure::{Corrupt, Failure};

/// What management calls can run into. What the caller did wrong is told apart from what went wrong here.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No such key.
    #[error("Invalid API Key identifier specified")]
    NoSuchKey,
    /// No such plan.
    #[error("Invalid Usage Plan ID specified")]
    NoSuchPlan,
    /// The key is not in the plan.
    #[error("Invalid Usage Plan Key identifier specified")]
    NotLinked,
    /// The value belongs to a key already.
    #[error("API Key already exists")]
    ValueExists,
    /// The key is in the plan already.
    #[error("Usage Plan Key already exists: the API key is already in this usage plan")]
    AlreadyLinked,
    /// The key is in another plan that opens the same stage.
    #[error(
        "API key {key} is already in usage plan {plan}, which covers API stage {stage} too; a key can be in one plan per API stage"
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
    #[error(
        "Cannot delete Usage Plan {plan} because there are API Stages associated with it, including {stage}"
    )]
    PlanHasStages {
        /// The plan.
        plan: PlanId,
        /// One of them, `apiId:stage`.
        stage: StageId,
    },
    /// A key that is switched off or over is not rotated: its new value would be good for nothing.
    #[error("Invalid rotation: the API key is disabled or expired; change that first")]
    KeyNotActive,
    /// One rotation at a time: a second would end the first one's overlap.
    #[error(
        "API key {0} has an earlier value that is still good; wait for its end, or end that first: DELETE /apikeys/{0}/rotations"
    )]
    RotationInProgress(KeyId),
    /// There is no rotation to end.
    #[error("Invalid rotation specified: no earlier value of the API key is kept")]
    NoRotation,
    /// A move that another call has called off.
    #[error(
        "the move was called off by another call: the API key was taken out of one of the two plans, put back, or moved elsewhere"
    )]
    MoveCalledOff,
    /// A plan without a quota has nothing that could be left.
    #[error("Invalid Usage Plan specified: it has no quota, so nothing can be left of it")]
    NoQuota,
    /// An import of which something would have been left out.
    #[error("Nothing was imported: {}", .0.join("; "))]
    Warnings(Vec<String>),
    /// An import that took too long for one call.
    #[error(
        "Imported {finished} of {of} rows in the time that one call has; send the same file again to go on: what is done is not done again"
    )]
    Unfinished {
        /// Rows that are as they should be.
        finished: usize,
        /// Rows in all.
        of: usize,
    },
    /// A position that no earlier page gave.
    #[error(
        "Invalid position specified: expected the position of an earlier page of the same list"
    )]
    BadPosition,
    /// More than an item can hold.
    #[error(
        "the resource is too large to be stored: 400 KB at most, with name, description and tags"
    )]
    TooLarge,
    /// Others kept changing the same thing.
    #[error("the resource is being changed by others; try again")]
    Contended,
    /// The store failed.
    #[error(transparent)]
    Store(Failure),
}

impl Error {
    /// Whether an item was found that cannot be understood.
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
    fn from(damaged: Corrupt) -> Self {
        Self::Store(damaged.into())
    }
}
