//! Counts decisions through the `metrics` facade, so that functions, servers and gateways report the same metrics.
//!
//! | metric | counts |
//! |---|---|
//! | `Allowed`, `Throttled`, `QuotaExceeded`, `Denied` | decisions |
//! | `Contended`, `Uncertain`, `StoreUnavailable`, `BadEvents` | decisions that no client caused, by reason |

use metrics::counter;
use tollgate_core::reason::{Decision, Reason};
use tollgate_core::verdict::Verdict;

/// The metric that counts a decision.
pub fn metric(decision: Decision) -> &'static str {
    match decision {
        Decision::Allow => "Allowed",
        Decision::Throttled => "Throttled",
        Decision::QuotaExceeded => "QuotaExceeded",
        Decision::Denied => "Denied",
    }
}

/// Counts a decision. [`Engine::decide`](super::Engine::decide) does this itself; call it only for decisions made without an
/// engine.
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
