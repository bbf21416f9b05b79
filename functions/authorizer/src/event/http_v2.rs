//! Targets of HTTP APIs with payload format 2.0, from the request context.

use tollgate_core::path::Path;
use tollgate_core::plan::Target;

use super::error::EventError;
use super::fields::{Fields, RequestContext};

/// The stage whose name is not part of the path.
const DEFAULT_STAGE: &str = "$default";

pub(super) fn target(fields: &Fields) -> Result<Target, EventError> {
    let none = RequestContext::default();
    let context = fields.request_context.as_ref().unwrap_or(&none);
    let method = context.http.as_ref().and_then(|http| http.method.as_ref());
    let stage = required(context.stage.as_ref(), "requestContext.stage")?;
    let path = Path::read(&required(fields.raw_path.as_ref(), "rawPath")?);
    Ok(Target {
        api_id: required(context.api_id.as_ref(), "requestContext.apiId")?,
        method: required(method, "requestContext.http.method")?,
        route: fields.route_key.as_deref().and_then(route),
        path: if stage == DEFAULT_STAGE {
            path
        } else {
            path.without_first(&stage)
        },
        stage,
    })
}

fn required(field: Option<&String>, name: &'static str) -> Result<String, EventError> {
    field.cloned().ok_or(EventError::Missing(name))
}

/// The path template of a route key such as `GET /pets/{id}`; `$default` has none.
pub(super) fn route(route_key: &str) -> Option<String> {
    route_key.split_once(' ').map(|(_, path)| path.to_owned())
}
