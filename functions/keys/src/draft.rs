//! Drafts for management, from what clients sent.

use tollgate_admin::input::{
    KeyDraft, OverrideDraft, PlanDraft, QuotaDraft, QuotaLimit, StageDraft, ThrottleDraft,
};
use tollgate_api::key::StageKey;
use tollgate_api::limits::{QuotaSettings, ThrottleSettings};
use tollgate_api::plan::ApiStage;
use tollgate_api::{CreateApiKey, CreateUsagePlan, KeyOverride};

/// The draft of a new key, without its value.
pub(crate) fn key(body: CreateApiKey) -> KeyDraft {
    let own = body.tollgate.unwrap_or_default();
    let stage_keys = body.stage_keys.unwrap_or_default();
    KeyDraft {
        name: body.name,
        description: body.description,
        customer_id: body.customer_id,
        enabled: body.enabled.unwrap_or(false),
        tags: body.tags.unwrap_or_default(),
        expires_at: own.expires_at,
        restriction: own.restriction,
        stage_keys: stage_keys.into_iter().map(stage_key).collect(),
    }
}

fn stage_key(stage: StageKey) -> String {
    let api_id = stage.rest_api_id.unwrap_or_default();
    format!("{api_id}/{}", stage.stage_name.unwrap_or_default())
}

/// The draft of a new plan, without its tags.
pub(crate) fn plan(body: CreateUsagePlan) -> PlanDraft {
    PlanDraft {
        name: body.name,
        description: body.description,
        product_code: None,
        throttle: body.throttle.map(throttle),
        quota: body.quota.map(quota),
        stages: body.api_stages.into_iter().map(stage).collect(),
        methods: body.tollgate.unwrap_or_default().methods,
    }
}

fn stage(stage: ApiStage) -> StageDraft {
    let throttles = stage.throttle.into_iter();
    StageDraft {
        api_id: stage.api_id,
        stage: stage.stage,
        throttle: throttles
            .map(|(method, settings)| (method, throttle(settings)))
            .collect(),
    }
}

/// The draft of a throttle.
pub(crate) fn throttle(settings: ThrottleSettings) -> ThrottleDraft {
    ThrottleDraft {
        rate_limit: settings.rate_limit,
        burst_limit: settings.burst_limit,
    }
}

fn quota(settings: QuotaSettings) -> QuotaDraft {
    QuotaDraft {
        limit: settings.limit.map(QuotaLimit::Given),
        period: settings.period,
        offset: settings.offset,
    }
}

/// The draft of a key's own limits.
pub(crate) fn overrides(given: KeyOverride) -> OverrideDraft {
    let throttles = given.methods.into_iter().map(|(stage, methods)| {
        let methods = methods.into_iter();
        let methods = methods.map(|(method, settings)| (method, throttle(settings)));
        (stage, methods.collect())
    });
    OverrideDraft {
        methods: throttles.collect(),
        throttle: given.throttle.map(throttle),
        quota_limit: given.quota_limit,
        until: given.until,
    }
}
