//! Counts decisions by the `metrics` facade, wherever they are made: in a function, a server or a gateway.
//!
//! | metric | what |
//! |---|---|
//! | `Allowed`, `Throttled`, `QuotaExceeded`, `Denied` | decisions |
//! | `Contended`, `Uncertain`, `StoreUnavailable`, `BadEvents` | decisions that were no client's fault, by reason |

use metrics::counter;
use tollgate_core::reason::{Decision, Reason};
use tollgate_core::verdict::Verdict;

/// The metric of a decision.
pub fn metric(decision: Decision) -> &'static str {
    match decision {
        Decision::Allow => "Allowed",
        Decision::Throttled => "Throttled",
        Decision::QuotaExceeded => "QuotaExceeded",
        Decision::Denied => "Denied",
    }
}

/// Counts a decision. [`Engine::decide`](super::Engine::decide) does it; this is for what is decided without an engine.
pub fn count(verdict: &Verdict) {
    counter!(metric(verdict.decision)).increment(1);
    match verdict.reason {
        Reason::Contended => counter!("Contended").increment(1),
        Reason::Uncertain => counter!("Uncertain").increment(1),
        Reason::StoreUnavailable => counter!("StoreUnavailable").increment(1),
        Reason::BadEvent => counter!("BadEvents").increment(1),
        _ => {}
    }
}
