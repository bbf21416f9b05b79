//! What a plan promises: Tollgate's own. It tells an owner what the backends must bear.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use tollgate_admin::Admin;
use tollgate_admin::capacity::{self, Entitlement};
use tollgate_core::id::{PlanId, StageId};

use crate::error::ApiError;
use crate::request::{Ids, Paging, Params};

/// The query.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct CapacityQuery {
    position: Option<String>,
    limit: Option<String>,
}

/// What a page of a plan's keys is entitled to.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Capacity {
    usage_plan_id: PlanId,
    name: String,
    #[serde(flatten)]
    entitled: WireEntitled,
    api_stages: Vec<Stage>,
    methods: Vec<OfMethod>,
    yesterday: String,
    used_yesterday: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Stage {
    api_stage: StageId,
    #[serde(flatten)]
    entitled: WireEntitled,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct OfMethod {
    api_stage: StageId,
    method: String,
    #[serde(flatten)]
    entitled: WireEntitled,
}

/// Sums over active keys. Those without a throttle, or without any limit, are counted and in no sum.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct WireEntitled {
    active_keys: u64,
    unthrottled_keys: u64,
    rate_limit: f64,
    burst_limit: u64,
    unlimited_keys: u64,
    requests_per_day: f64,
}

impl WireEntitled {
    fn of(entitled: &Entitlement) -> Self {
        Self {
            active_keys: entitled.keys,
            unthrottled_keys: entitled.unthrottled,
            // Paces are whole nanoseconds, so that a third of a second is a little off.
            rate_limit: (entitled.rate * 1e3).round() / 1e3,
            burst_limit: entitled.burst,
            unlimited_keys: entitled.unlimited,
            requests_per_day: entitled.daily.floor(),
        }
    }
}

/// Shows what a page of a plan's keys may send at most, and what they sent yesterday. The plan's own figures are the sums of all
/// pages.
///
/// # Errors
/// 400 for a limit or position that cannot be, 404 where there is no such plan.
pub async fn show(
    State(admin): State<Arc<Admin>>,
    Ids(plan_id): Ids<PlanId>,
    Params(query): Params<CapacityQuery>,
) -> Result<Json<Capacity>, ApiError> {
    let page = Paging::new(query.position, query.limit).page("capacity")?;
    let plan = admin.plan(&plan_id).await?;
    let (found, position) = admin.capacity(&plan, &page).await?;
    let capacity::Capacity {
        plan: whole,
        methods,
        stages,
        used_yesterday,
        yesterday,
    } = found;
    let stages = stages.into_iter().map(|(api_stage, entitled)| Stage {
        api_stage,
        entitled: WireEntitled::of(&entitled),
    });
    let methods = methods.into_iter().map(|((api_stage, method), entitled)| {
        let entitled = WireEntitled::of(&entitled);
        OfMethod {
            api_stage,
            method,
            entitled,
        }
    });
    Ok(Json(Capacity {
        usage_plan_id: plan.id,
        name: plan.name,
        entitled: WireEntitled::of(&whole),
        api_stages: stages.collect(),
        methods: methods.collect(),
        yesterday: yesterday.to_string(),
        used_yesterday,
        position,
    }))
}
