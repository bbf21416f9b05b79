//! What a key has left, for who holds it: Tollgate's own. The key itself is the credential, and nothing is charged.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use lambda_http::RequestExt;
use lambda_http::request::RequestContext;
use serde::Serialize;
use tollgate_core::id::{KeyId, PlanId, StageId};
use tollgate_core::moment::SECOND;
use tollgate_core::plan::ApiStage;
use tollgate_core::reason::LimitKind;
use tollgate_core::status::{BucketStatus, QuotaStatus};
use tollgate_engine::Engine;
use tollgate_engine::inspect::{Inspection, PlanStatus};
use tollgate_guard::{Context, refusal};
use tollgate_protocol::credential::{self, Carrier, KeySource};

use crate::error::ApiError;
use crate::pace::Pace;

/// A key with what it has left.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct WhoAmI {
    key_id: KeyId,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    customer_id: Option<String>,
    /// Epoch seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<i64>,
    usage_plans: Vec<Plan>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Plan {
    usage_plan_id: PlanId,
    name: String,
    api_stages: Vec<StageId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    throttle: Option<Bucket>,
    #[serde(skip_serializing_if = "Option::is_none")]
    quota: Option<Quota>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    methods: Vec<OfMethod>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Bucket {
    limit: u32,
    used: u32,
    left: u32,
    /// Seconds until all of it is there.
    reset_after: u64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Quota {
    limit: u64,
    used: u64,
    left: u64,
    /// Seconds until the next period.
    reset_after: i64,
    /// When that is, epoch seconds.
    reset: i64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct OfMethod {
    api_stage: StageId,
    method: String,
    #[serde(flatten)]
    throttle: Bucket,
}

/// Shows a key, found in the header `x-api-key` or as a bearer token, what it has left of every limit. A key that is not good is
/// answered 401 with a problem document, and a caller that asks too often 429.
pub async fn show(
    State(engine): State<Arc<Engine>>,
    State(pace): State<Arc<Pace>>,
    request: Request,
) -> Response {
    let sources = [KeySource::Header("x-api-key".to_owned()), KeySource::Bearer];
    let address = address(&request);
    let carried = Headers(request.into_parts().0.headers);
    let key = credential::find(&carried, &sources);
    if let Err(seconds) = pace.ask(key, address, (engine.time())()) {
        return ApiError::TooOften(seconds).into_response();
    }
    match engine.inspect(key).await {
        Ok(inspection) => Json(WhoAmI::of(&inspection)).into_response(),
        Err(verdict) => refusal::<Body>(&Context::of(&verdict)).unwrap_or_default(),
    }
}

/// Where a question comes from, as API Gateway says; `None` on other servers.
fn address(request: &Request) -> Option<IpAddr> {
    match request.request_context_ref() {
        Some(RequestContext::ApiGatewayV2(context)) => {
            context.http.source_ip.as_deref()?.parse().ok()
        }
        _ => None,
    }
}

/// What stands for several values, as in a guard, or for one that is no text: no key looks like it.
const NO_KEY: &str = ",";

struct Headers(HeaderMap);

impl Carrier for Headers {
    fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.0.get_all(name).iter();
        let value = values.next()?.to_str().unwrap_or(NO_KEY);
        Some(values.next().map_or(value, |_| NO_KEY))
    }

    fn query(&self, _: &str) -> Option<&str> {
        None
    }
}

impl WhoAmI {
    fn of(inspection: &Inspection) -> Self {
        let key = &inspection.key;
        Self {
            key_id: key.id.clone(),
            name: key.name.clone(),
            customer_id: key.customer_id.clone(),
            expires_at: key.expires.map(Timestamp::as_second),
            usage_plans: inspection.plans.iter().map(Plan::of).collect(),
        }
    }
}

impl Plan {
    fn of(plan: &PlanStatus) -> Self {
        let methods = plan.methods.iter();
        Self {
            usage_plan_id: plan.plan.id.clone(),
            name: plan.plan.name.clone(),
            api_stages: plan.plan.limits.stages.iter().map(ApiStage::id).collect(),
            throttle: plan.limit_status.bucket(LimitKind::Rate).map(Bucket::of),
            quota: plan.limit_status.quota().map(Quota::of),
            methods: methods
                .map(|(stage, template, status)| OfMethod {
                    api_stage: stage.clone(),
                    method: template.to_string(),
                    throttle: Bucket::of(*status),
                })
                .collect(),
        }
    }
}

impl Bucket {
    fn of(status: BucketStatus) -> Self {
        let full_in = (status.full_in + SECOND - 1) / SECOND;
        Self {
            limit: status.burst,
            used: status.burst.saturating_sub(status.remaining),
            left: status.remaining,
            reset_after: u64::try_from(full_in).unwrap_or(u64::MAX),
        }
    }
}

impl Quota {
    fn of(status: QuotaStatus) -> Self {
        Self {
            limit: status.limit,
            used: status.limit.saturating_sub(status.remaining),
            left: status.remaining,
            reset_after: status.resets_in,
            reset: status.reset.as_second(),
        }
    }
}
