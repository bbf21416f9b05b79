//! What the holder of a key has left: Tollgate's own. The key itself is the credential, and the question charges nothing.

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
use tollgate_api::whoami::{MethodStatus, PlanStatus, QuotaStatus, ThrottleStatus, WhoAmI};
use tollgate_core::moment::SECOND;
use tollgate_core::plan::ApiStage;
use tollgate_core::reason::LimitKind;
use tollgate_core::status;
use tollgate_engine::Engine;
use tollgate_engine::inspect::{self, Inspection};
use tollgate_guard::{Context, refusal};
use tollgate_protocol::credential::{self, Carrier, KeySource};

use crate::error::ApiError;
use crate::pace::Pace;
use crate::show::restriction;

/// Shows what a key has left of every limit. The key comes in the header `x-api-key` or as a bearer token. A key that is not
/// valid gets a 401 with a problem document, and a caller that asks too often a 429.
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
        Ok(inspection) => Json(who_am_i(&inspection)).into_response(),
        Err(verdict) => refusal::<Body>(&Context::of(&verdict)).unwrap_or_default(),
    }
}

/// The caller's address, as API Gateway states it; `None` on other servers.
fn address(request: &Request) -> Option<IpAddr> {
    match request.request_context_ref() {
        Some(RequestContext::ApiGatewayV2(context)) => {
            context.http.source_ip.as_deref()?.parse().ok()
        }
        _ => None,
    }
}

/// Stands for several values of a header, or for one that is not text. It is no key, so it is refused.
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

fn who_am_i(inspection: &Inspection) -> WhoAmI {
    let key = &inspection.key;
    WhoAmI {
        key_id: key.id.clone(),
        name: key.name.clone(),
        customer_id: key.customer_id.clone(),
        expires_at: key.expires.map(Timestamp::as_second),
        restriction: key.restriction.as_ref().map(restriction),
        usage_plans: inspection.plans.iter().map(plan).collect(),
    }
}

fn plan(status: &inspect::PlanStatus) -> PlanStatus {
    let record = &status.plan;
    let methods = status.methods.iter();
    PlanStatus {
        usage_plan_id: record.id.clone(),
        name: record.name.clone(),
        api_stages: record.limits.stages.iter().map(ApiStage::id).collect(),
        throttle: status.limit_status.bucket(LimitKind::Rate).map(throttle),
        quota: status.limit_status.quota().map(quota),
        methods: methods
            .map(|(stage, template, bucket)| MethodStatus {
                api_stage: stage.clone(),
                method: template.to_string(),
                throttle: throttle(*bucket),
            })
            .collect(),
    }
}

fn throttle(bucket: status::BucketStatus) -> ThrottleStatus {
    let full_in = (bucket.full_in + SECOND - 1) / SECOND;
    ThrottleStatus {
        rate_limit: bucket.rate(),
        limit: bucket.burst,
        used: bucket.burst.saturating_sub(bucket.remaining),
        left: bucket.remaining,
        reset_after: u64::try_from(full_in).unwrap_or(u64::MAX),
    }
}

fn quota(quota: status::QuotaStatus) -> QuotaStatus {
    QuotaStatus {
        limit: quota.limit,
        used: quota.limit.saturating_sub(quota.remaining),
        left: quota.remaining,
        reset_after: quota.resets_in,
        reset: quota.reset.as_second(),
    }
}
