//! What the keys of a plan may send together: Tollgate's own. It tells an API's owner the load that backends must bear.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use tollgate_admin::{Admin, capacity};
use tollgate_api::capacity::{Capacity, Entitlement, MethodEntitlement, StageEntitlement};
use tollgate_core::id::PlanId;
use tollgate_dynamo::item::plan::PlanRecord;

use crate::error::ApiError;
use crate::request::{Ids, Params, page};

/// The query.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct CapacityQuery {
    position: Option<String>,
    limit: Option<String>,
}

/// Shows what a page of a plan's keys may send, and what they sent yesterday. The plan's figures are the sums over all pages.
///
/// # Errors
/// 400 for a limit or position that cannot be, 404 if there is no such plan.
pub async fn show(
    State(admin): State<Arc<Admin>>,
    Ids(plan_id): Ids<PlanId>,
    Params(query): Params<CapacityQuery>,
) -> Result<Json<Capacity>, ApiError> {
    let page = page(query.position, query.limit.as_deref(), "capacity")?;
    let plan = admin.plan(&plan_id).await?;
    let (found, position) = admin.capacity(&plan, &page).await?;
    Ok(Json(shown(plan, found, position)))
}

fn shown(plan: PlanRecord, found: capacity::Capacity, position: Option<String>) -> Capacity {
    let stages = found.stages.into_iter();
    let methods = found.methods.into_iter();
    Capacity {
        usage_plan_id: plan.id,
        name: plan.name,
        entitlement: entitlement(&found.plan),
        api_stages: stages
            .map(|(api_stage, sums)| StageEntitlement {
                api_stage,
                entitlement: entitlement(&sums),
            })
            .collect(),
        methods: methods
            .map(|((api_stage, method), sums)| MethodEntitlement {
                api_stage,
                method,
                entitlement: entitlement(&sums),
            })
            .collect(),
        yesterday: found.yesterday.to_string(),
        used_yesterday: found.used_yesterday,
        position,
    }
}

fn entitlement(sums: &capacity::Entitlement) -> Entitlement {
    Entitlement {
        active_keys: sums.keys,
        unthrottled_keys: sums.unthrottled,
        // Intervals are whole nanoseconds, so a rate of three a second comes back a little off.
        rate_limit: (sums.rate * 1e3).round() / 1e3,
        burst_limit: sums.burst,
        unlimited_keys: sums.unlimited,
        requests_per_day: sums.daily.floor(),
    }
}
