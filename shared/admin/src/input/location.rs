//! Where in a draft a value stands.

use std::fmt;

use tollgate_core::id::PlanId;

/// Where in a draft a value stands. Stages and methods are the caller's texts: they may be the very mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// The plan's own throttle.
    PlanThrottle,
    /// The throttle of a method of one of the plan's stages.
    StageMethod {
        /// The stage, `apiId:stage`.
        stage: String,
        /// The method, `/path/METHOD`.
        method: String,
    },
    /// The open methods of one of the plan's stages.
    OpenMethods {
        /// The stage, `apiId:stage`.
        stage: String,
    },
    /// The methods of a stage that a key may call.
    Restriction {
        /// The stage, `apiId:stage`.
        stage: String,
    },
    /// The throttle that a key has in place of its plan's.
    OverrideThrottle {
        /// The plan.
        plan: PlanId,
    },
    /// The throttle that a key has in place of its plan's for a method.
    OverrideMethod {
        /// The plan.
        plan: PlanId,
        /// The stage, `apiId:stage`.
        stage: String,
        /// The method, `/path/METHOD`.
        method: String,
    },
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PlanThrottle => f.write_str("the plan's throttle"),
            Self::StageMethod { stage, method } => {
                write!(f, "the throttle of {method} in stage {stage}")
            }
            Self::OpenMethods { stage } => write!(f, "the open methods of stage {stage}"),
            Self::Restriction { stage } => write!(f, "the restriction to stage {stage}"),
            Self::OverrideThrottle { plan } => {
                write!(f, "the throttle that overrides plan {plan}")
            }
            Self::OverrideMethod {
                plan,
                stage,
                method,
            } => write!(
                f,
                "the throttle of {method} in stage {stage} that overrides plan {plan}"
            ),
        }
    }
}
