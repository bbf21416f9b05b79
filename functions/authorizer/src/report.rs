//! Logs of decisions, and counts by plan if they are switched on. The engine counts decisions of all plans together.

use metrics::counter;
use tollgate_core::plan::Target;
use tollgate_core::verdict::Verdict;
use tollgate_engine::report::metric;

use crate::config::Reporting;

/// Counts a decision for its plan, and logs it if it is in the sample.
pub fn decision(reporting: &Reporting, verdict: &Verdict, target: Option<&Target>) {
    if let Some(plan) = verdict.plan_id.as_ref().filter(|_| reporting.by_plan) {
        counter!(metric(verdict.decision), "Plan" => plan.to_string()).increment(1);
    }
    if fastrand::f64() < reporting.log_sample {
        log(verdict, target);
    }
}

/// Logs ids and templates, and neither keys nor paths, in which clients may have put anything.
fn log(verdict: &Verdict, target: Option<&Target>) {
    tracing::info!(
        decision = verdict.decision.as_str(),
        reason = verdict.reason.as_str(),
        key_id = verdict.key_id.as_deref(),
        customer_id = verdict.customer_id,
        plan_id = verdict.plan_id.as_deref(),
        api_id = target.map(|target| target.api_id.as_str()),
        stage = target.map(|target| target.stage.as_str()),
        method = target.map(|target| target.method.as_str()),
        route = target.and_then(|target| target.route.as_deref()),
        retry_after = verdict.retry_after_seconds(),
        "decision"
    );
}
