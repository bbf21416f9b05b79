//! Decisions, counted and logged.
//!
//! | metric | what |
//! |---|---|
//! | `Allowed`, `Throttled`, `QuotaExceeded`, `Denied` | decisions; per plan as well where that is switched on |
//! | `Contended`, `Uncertain`, `StoreUnavailable`, `BadEvents` | decisions that were no client's fault, by reason |

use metrics::counter;
use tollgate_core::plan::Target;
use tollgate_core::verdict::{Decision, Reason, Verdict};

use crate::config::Reporting;

/// Counts a decision, and logs it where its turn comes.
pub fn decision(reporting: &Reporting, verdict: &Verdict, target: Option<&Target>) {
    let name = match verdict.decision {
        Decision::Allow => "Allowed",
        Decision::Throttled => "Throttled",
        Decision::QuotaExceeded => "QuotaExceeded",
        Decision::Denied => "Denied",
    };
    counter!(name).increment(1);
    if let Some(plan) = verdict.plan_id.as_ref().filter(|_| reporting.by_plan) {
        counter!(name, "Plan" => plan.clone()).increment(1);
    }
    match verdict.reason {
        Reason::Contended => counter!("Contended").increment(1),
        Reason::Uncertain => counter!("Uncertain").increment(1),
        Reason::StoreUnavailable => counter!("StoreUnavailable").increment(1),
        Reason::BadEvent => counter!("BadEvents").increment(1),
        _ => {}
    }
    if fastrand::f64() < reporting.log_sample {
        log(verdict, target);
    }
}

/// Ids and templates: neither keys nor what clients have put into a path.
fn log(verdict: &Verdict, target: Option<&Target>) {
    tracing::info!(
        decision = verdict.decision.as_str(),
        reason = verdict.reason.as_str(),
        key_id = verdict.key_id,
        customer_id = verdict.customer_id,
        plan_id = verdict.plan_id,
        api_id = target.map(|target| target.api_id.as_str()),
        stage = target.map(|target| target.stage.as_str()),
        method = target.map(|target| target.method.as_str()),
        route = target.and_then(|target| target.route.as_deref()),
        retry_after = verdict.retry_after_seconds(),
        "decision"
    );
}
