//! The messages of errors, as callers have always seen them: API Gateway's own where it has one, so that tools which match on
//! them keep working. The domain's errors state facts; only this file knows how the wire names them.

use tollgate_admin::Error as AdminError;
use tollgate_admin::input::limits::Number;
use tollgate_admin::input::{
    Invalid, InvalidEdit, InvalidMethods, InvalidOverride, InvalidPlan, InvalidRemaining,
    InvalidSetting, InvalidStageKeys, InvalidTags, InvalidText, InvalidTime, Location, Resource,
};
use tollgate_dynamo::failure::Failure;

use crate::patch::paths::InvalidPatch;

/// KMS cannot encrypt or decrypt a value now.
pub(crate) const VAULT_UNAVAILABLE: &str = "values of keys cannot be kept or shown now, because KMS is unavailable; try again, or see the log";

/// The message for a patch operation that cannot be.
pub(crate) fn of_patch(invalid: &InvalidPatch) -> String {
    match invalid {
        InvalidPatch::TooMany { max, got } => {
            format!("patchOperations: expected at most {max} operations, got {got}")
        }
        InvalidPatch::Op(op) => format!(
            "Invalid patch operation '{op}' specified. Must be one of: [add, replace, remove]"
        ),
        InvalidPatch::Path { op, path, allowed } => format!(
            "Invalid patch path  '{path}' specified for op '{}'. Must be one of: [{}]",
            op.as_str(),
            allowed.join(", ")
        ),
    }
}

/// The message for input that breaks a rule.
pub(crate) fn of_input(invalid: &Invalid) -> String {
    match invalid {
        Invalid::Text(invalid) => text(*invalid),
        Invalid::Tags(invalid) => tags(*invalid),
        Invalid::Value(malformed) => malformed.to_string(),
        Invalid::Time(invalid) => time(*invalid),
        Invalid::StageKeys(invalid) => stage_keys(invalid),
        Invalid::Methods(invalid) => methods(invalid),
        Invalid::Setting(invalid) => setting(invalid),
        Invalid::Plan(invalid) => plan(invalid),
        Invalid::Edit(invalid) => edit(invalid),
        Invalid::Override(invalid) => overrides(invalid),
        Invalid::Remaining(InvalidRemaining { max, got }) => format!(
            "Invalid value for /remaining: expected a whole number from 0 to {max}, got {got:?}"
        ),
    }
}

fn resource(resource: Resource) -> &'static str {
    match resource {
        Resource::ApiKey => "API Key",
        Resource::UsagePlan => "Usage Plan",
    }
}

/// The path of a value in a body, as a client writes it.
fn path(location: &Location) -> String {
    match location {
        Location::PlanThrottle => "throttle".to_owned(),
        Location::StageMethod { stage, method } => {
            format!("apiStages[{stage}].throttle[{method}]")
        }
        Location::OpenMethods { stage } => format!("tollgate.methods[{stage}]"),
        Location::Restriction { stage } => format!("restriction[{stage}]"),
        Location::OverrideThrottle { plan } => format!("overrides[{plan}].throttle"),
        Location::OverrideMethod {
            plan,
            stage,
            method,
        } => format!("overrides[{plan}].methods[{stage}][{method}]"),
    }
}

fn text(invalid: InvalidText) -> String {
    match invalid {
        InvalidText::Name { resource: of, max } => {
            format!(
                "Invalid {} name, can be at most {max} characters.",
                resource(of)
            )
        }
        InvalidText::Description { resource: of, .. } => {
            format!("Invalid {} description specified.", resource(of))
        }
        InvalidText::CustomerId { max } => {
            format!("Invalid customerId, can be at most {max} characters.")
        }
        InvalidText::NameMissing => "Usage Plan name is required and must not be empty".to_owned(),
    }
}

fn tags(invalid: InvalidTags) -> String {
    match invalid {
        InvalidTags::TooMany { max, got } => {
            format!("Invalid tags: expected at most {max}, got {got}")
        }
        InvalidTags::Length { max_key, max_value } => format!(
            "Invalid tags: expected keys of 1 to {max_key} characters and values of at most {max_value}"
        ),
    }
}

fn time(invalid: InvalidTime) -> String {
    match invalid {
        InvalidTime::Expiry { first, last, got } => format!(
            "Invalid expiresAt: expected epoch seconds in the future, from {first} to {last}, got {got}"
        ),
        InvalidTime::Overlap { max } => format!(
            "Invalid overlapSeconds: expected a whole number from 0 to {max}, for how long the value before stays good"
        ),
        InvalidTime::Days { max, start, end } => format!(
            "Invalid date range: expected endDate on or after startDate and at most {max} days, got {start} to {end}"
        ),
    }
}

fn stage_keys(invalid: &InvalidStageKeys) -> String {
    match invalid {
        InvalidStageKeys::Stage(stage) => format!(
            "Invalid stage key specified: expected a restApiId and a stageName of ASCII letters, digits and -_.$, got {stage:?}"
        ),
        InvalidStageKeys::TooMany { max, got } => {
            format!("Invalid stageKeys: expected at most {max}, got {got}")
        }
        InvalidStageKeys::NotNamed(stage) => {
            format!("Invalid stage key specified: the API key does not name {stage}")
        }
    }
}

fn methods(invalid: &InvalidMethods) -> String {
    match invalid {
        InvalidMethods::TooMany { location, max, got } => {
            format!(
                "{}: expected at most {max} methods, got {got}",
                path(location)
            )
        }
        InvalidMethods::Template { location, source } => format!("{}: {source}", path(location)),
        InvalidMethods::Every { location } => format!(
            "{}: expected /path/METHOD, got \"*/*\": for all methods, say no list, or /{{proxy+}}/ANY and //ANY",
            path(location)
        ),
        InvalidMethods::EmptyRestriction => {
            "restriction: expected a map from apiId:stage to a list of /path/METHOD with one stage at least".to_owned()
        }
        InvalidMethods::Stage { got, source } => format!("restriction: {source}, got {got:?}"),
    }
}

fn setting(invalid: &InvalidSetting) -> String {
    match invalid {
        InvalidSetting::Number { number, max, got } => {
            let path = match number {
                Number::Burst(location) => format!("{}.burstLimit", path(location)),
                Number::Quota => "quota.limit".to_owned(),
                Number::OverrideQuota(plan) => format!("overrides[{plan}].quotaLimit"),
            };
            format!("{path} must be a whole number from 0 to {max}, got {got}")
        }
        InvalidSetting::Throttle { location, source } => format!("{}: {source}", path(location)),
        InvalidSetting::QuotaLimitMissing => "quota.limit is required".to_owned(),
        InvalidSetting::PeriodMissing => {
            "quota.period: expected DAY, WEEK or MONTH; it is required".to_owned()
        }
        InvalidSetting::Period(unknown) => format!("quota.period: {unknown}"),
        InvalidSetting::Offset(invalid) => invalid.to_string(),
    }
}

fn plan(invalid: &InvalidPlan) -> String {
    let missing = |member: &str| {
        format!(
            "Invalid API Stage specified: each of apiStages needs {member}, which must not be empty"
        )
    };
    match invalid {
        InvalidPlan::TooManyStages { max, got } => {
            format!("apiStages: expected at most {max} API stages in a usage plan, got {got}")
        }
        InvalidPlan::TooManyMethodThrottles { max, got } => {
            format!("apiStages: expected at most {max} method throttles in a usage plan, got {got}")
        }
        InvalidPlan::ApiIdMissing => missing("apiId"),
        InvalidPlan::StageNameMissing => missing("stage"),
        InvalidPlan::Stage(stage) => format!(
            "Invalid API Stage specified: expected an apiId and a stage of ASCII letters, digits and -_.$, got {stage:?}"
        ),
        InvalidPlan::StageTwice(stage) => format!("apiStages names {stage} twice"),
        InvalidPlan::MethodsWithoutStage(stage) => format!(
            "tollgate.methods[{stage}]: expected one of the plan's apiStages, as apiId:stage"
        ),
        InvalidPlan::NoMethods(stage) => format!(
            "tollgate.methods[{stage}]: expected a list of /path/METHOD with one method at least; without a list all are open"
        ),
    }
}

fn edit(invalid: &InvalidEdit) -> String {
    match invalid {
        InvalidEdit::Stage => "Invalid API Stage specified".to_owned(),
        InvalidEdit::NotThere {
            plan,
            api_id,
            stage,
        } => format!(
            "Invalid API Stage {{api: {api_id}, stage: {stage}}} specified for usageplan {plan}"
        ),
        InvalidEdit::ThrottleWithoutStage(stage) => {
            format!("Invalid API Stage specified: {stage} is not in this usage plan")
        }
        InvalidEdit::NoThrottle(method) => {
            format!("Invalid method specified: {method} has no throttle to remove")
        }
    }
}

fn overrides(invalid: &InvalidOverride) -> String {
    match invalid {
        InvalidOverride::Empty(plan) => format!(
            "overrides[{plan}]: expected throttle, quotaLimit or methods, in place of the plan's"
        ),
        InvalidOverride::RateMissing(location) => {
            format!("{}.rateLimit is required", path(location))
        }
        InvalidOverride::NoQuota(plan) => format!(
            "overrides[{plan}].quotaLimit: the usage plan has no quota, whose limit it could be"
        ),
        InvalidOverride::StageNotOpen { plan, stage } => {
            format!("overrides[{plan}].methods[{stage}]: the usage plan does not open this stage")
        }
        InvalidOverride::MethodNotOpen(location) => {
            format!(
                "{}: the usage plan does not open this method",
                path(location)
            )
        }
        InvalidOverride::Until { plan, today, got } => format!(
            "overrides[{plan}].until: expected the last day, YYYY-MM-DD, from {today} on, got {got:?}"
        ),
        InvalidOverride::NoSuchPlan(plan) => {
            format!("Overrides: there is no usage plan {plan}, whose limits they would replace")
        }
    }
}

/// The message for a call that management refused, or that failed.
pub(crate) fn of_admin(error: &AdminError) -> String {
    match error {
        AdminError::StageTaken { key, plan, stage } => format!(
            "API key {key} is already in usage plan {plan}, which covers API stage {stage} too; a key can be in one plan per \
             API stage"
        ),
        AdminError::PlanHasStages { plan, stage } => format!(
            "Cannot delete Usage Plan {plan} because there are API Stages associated with it, including {stage}"
        ),
        AdminError::RotationInProgress(key) => format!(
            "API key {key} has an earlier value that is still good; wait for its end, or end that first: DELETE \
             /apikeys/{key}/rotations"
        ),
        AdminError::Warnings(warnings) => {
            format!("Nothing was imported: {}", warnings.join("; "))
        }
        AdminError::Unfinished { finished, of } => format!(
            "Imported {finished} of {of} rows in the time that one call has; send the same file again to go on: what is done \
             is not done again"
        ),
        other => fixed(other).to_owned(),
    }
}

/// The messages that name nothing.
fn fixed(error: &AdminError) -> &'static str {
    use AdminError as E;
    match error {
        E::NoSuchKey => "Invalid API Key identifier specified",
        E::NoSuchPlan => "Invalid Usage Plan ID specified",
        E::NotLinked => "Invalid Usage Plan Key identifier specified",
        E::ValueExists => "API Key already exists",
        E::AlreadyLinked => {
            "Usage Plan Key already exists: the API key is already in this usage plan"
        }
        E::KeyNotActive => {
            "Invalid rotation: the API key is disabled or expired; change that first"
        }
        E::NoRotation => "Invalid rotation specified: no earlier value of the API key is kept",
        E::MoveCalledOff => {
            "the move was called off by another call: the API key was taken out of one of the two plans, put back, or moved \
             elsewhere"
        }
        E::NoQuota => "Invalid Usage Plan specified: it has no quota, so nothing can be left of it",
        E::BadPosition => {
            "Invalid position specified: expected the position of an earlier page of the same list"
        }
        E::TooLarge => {
            "the resource is too large to be stored: 400 KB at most, with name, description and tags"
        }
        E::Contended => "the resource is being changed by others; try again",
        E::Store(Failure::Corrupt(_)) => "the stored item is damaged; see the log",
        _ => "the store is not available; try again",
    }
}
