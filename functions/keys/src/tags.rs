//! Tags of keys and plans, by ARN.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use tollgate_admin::Admin;
use tollgate_admin::input::tags::tags;
use tollgate_api::Tags;
use tollgate_api::tags::TagsBody;
use tollgate_core::id::{KeyId, PlanId};
use tollgate_dynamo::item::key::KeyRecord;
use tollgate_dynamo::item::plan::PlanRecord;

use crate::error::ApiError;
use crate::request::{Body, Ids};

/// The resource that an ARN names: `arn:{partition}:apigateway:{region}::/apikeys/{id}`, or `/usageplans/{id}`.
enum Resource {
    Key(KeyId),
    Plan(PlanId),
}

impl Resource {
    fn parse(arn: &str) -> Result<Self, ApiError> {
        let invalid = || {
            ApiError::BadRequest(format!(
                "Invalid ARN specified: expected arn:aws:apigateway:region::/apikeys/id or .../usageplans/id, got {arn:?}"
            ))
        };
        let mut fields = arn.splitn(6, ':');
        let (prefix, service) = (fields.next(), fields.nth(1));
        let path = fields
            .nth(2)
            .filter(|_| prefix == Some("arn") && service == Some("apigateway"));
        let path = path.ok_or_else(invalid)?.trim_start_matches('/');
        match path.split_once('/') {
            Some(("apikeys", id)) if !id.is_empty() => Ok(Self::Key(id.into())),
            Some(("usageplans", id)) if !id.is_empty() => Ok(Self::Plan(id.into())),
            _ => Err(invalid()),
        }
    }

    /// Changes the tags, all or none.
    async fn change(
        &self,
        admin: &Admin,
        change: impl Fn(&Tags) -> Result<Tags, ApiError>,
    ) -> Result<(), ApiError> {
        match self {
            Self::Key(id) => {
                let change = |record: &mut KeyRecord| {
                    record.tags = change(&record.tags)?;
                    Ok::<_, ApiError>(())
                };
                admin.update_key(id, change).await?;
            }
            Self::Plan(id) => {
                let change = |record: &mut PlanRecord| {
                    record.tags = change(&record.tags)?;
                    Ok::<_, ApiError>(())
                };
                admin.update_plan(id, change).await?;
            }
        }
        Ok(())
    }
}

/// Shows the tags of a resource.
///
/// # Errors
/// 400 for an ARN that cannot be, 404 if there is no such resource.
pub async fn show(
    State(admin): State<Arc<Admin>>,
    Ids(arn): Ids<String>,
) -> Result<Json<TagsBody>, ApiError> {
    let tags = match Resource::parse(&arn)? {
        Resource::Key(id) => admin.key(&id).await?.tags,
        Resource::Plan(id) => admin.plan(&id).await?.tags,
    };
    Ok(Json(TagsBody {
        tags: Some(tags),
        ..TagsBody::default()
    }))
}

/// Adds tags to a resource. A new tag replaces the one with the same key.
///
/// # Errors
/// As for [`show`], and 400 for tags that cannot be.
pub async fn add(
    State(admin): State<Arc<Admin>>,
    Ids(arn): Ids<String>,
    Body(body): Body<TagsBody>,
) -> Result<StatusCode, ApiError> {
    let resource = Resource::parse(&arn)?;
    let added = body.tags.ok_or_else(|| {
        ApiError::BadRequest("tags is required: expected a map of strings".to_owned())
    })?;
    let change = |before: &Tags| {
        let mut after = before.clone();
        after.extend(added.clone());
        Ok(tags(after)?)
    };
    resource.change(&admin, change).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Removes tags from a resource. A key that no tag has is not an error.
///
/// # Errors
/// As for [`show`], and 400 without `tagKeys`.
pub async fn remove(
    State(admin): State<Arc<Admin>>,
    Ids(arn): Ids<String>,
    RawQuery(query): RawQuery,
) -> Result<StatusCode, ApiError> {
    let resource = Resource::parse(&arn)?;
    let query = query.unwrap_or_default();
    // Clients repeat the parameter, once for each key.
    let parameters = form_urlencoded::parse(query.as_bytes());
    let removed: BTreeSet<_> = parameters
        .filter(|(name, _)| name == "tagKeys")
        .map(|(_, key)| key.into_owned())
        .collect();
    if removed.is_empty() {
        return Err(ApiError::BadRequest("tagKeys is required".to_owned()));
    }
    let change = |before: &Tags| {
        let mut after = before.clone();
        after.retain(|key, _| !removed.contains(key));
        Ok(after)
    };
    resource.change(&admin, change).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arn_names_a_key_or_a_plan_and_nothing_else() {
        let key = "arn:aws:apigateway:us-east-1::/apikeys/abc";
        assert!(matches!(Resource::parse(key), Ok(Resource::Key(id)) if id == "abc"));
        let plan = "arn:aws-cn:apigateway:cn-north-1::/usageplans/abc";
        assert!(matches!(Resource::parse(plan), Ok(Resource::Plan(id)) if id == "abc"));
        for arn in [
            "",
            "abc",
            "arn:aws:lambda:us-east-1::/apikeys/abc",
            "arn:aws:apigateway:us-east-1::/restapis/abc",
            "arn:aws:apigateway:us-east-1::/apikeys/",
            "arn:aws:apigateway:us-east-1::",
        ] {
            assert!(Resource::parse(arn).is_err(), "{arn}");
        }
    }
}
