//! The two ways to a target: the request context of payload format 2.0, and the `methodArn` of all other events. Both read paths
//! by [`tollgate_core::path`], as every front door does.

use tollgate_core::path::Path;
use tollgate_core::plan::Target;

use super::error::EventError;
use super::fields::{Fields, RequestContext};
use super::kind::Kind;
use crate::arn::MethodArn;

/// The stage whose name is not part of the path.
const DEFAULT_STAGE: &str = "$default";

pub(super) fn target(kind: Kind, fields: &Fields) -> Result<Target, EventError> {
    match kind {
        Kind::HttpV2 => by_context(fields),
        Kind::HttpV1 | Kind::Rest | Kind::Token => {
            let arn = arn(fields)?;
            Ok(by_arn(fields, &arn, arn.method, arn.path))
        }
        // A WebSocket handshake is a GET (RFC 6455, 4.1).
        Kind::WebSocket => Ok(by_arn(fields, &arn(fields)?, "GET", "/$connect")),
    }
}

fn by_context(fields: &Fields) -> Result<Target, EventError> {
    let none = RequestContext::default();
    let context = fields.request_context.as_ref().unwrap_or(&none);
    let method = context.http.as_ref().and_then(|http| http.method.as_ref());
    let stage = required(context.stage.as_ref(), "requestContext.stage")?;
    let path = Path::read(required(fields.raw_path.as_ref(), "rawPath")?);
    Ok(Target {
        api_id: required(context.api_id.as_ref(), "requestContext.apiId")?.to_owned(),
        method: required(method, "requestContext.http.method")?.to_owned(),
        route: fields.route_key.as_deref().and_then(route),
        path: if stage == DEFAULT_STAGE {
            path
        } else {
            path.without_first(stage)
        },
        stage: stage.to_owned(),
    })
}

fn by_arn(fields: &Fields, arn: &MethodArn<'_>, method: &str, path: &str) -> Target {
    Target {
        api_id: arn.api_id.to_owned(),
        stage: arn.stage.to_owned(),
        method: method.to_owned(),
        route: fields.resource.as_deref().and_then(resource),
        path: Path::read(path),
    }
}

fn arn(fields: &Fields) -> Result<MethodArn<'_>, EventError> {
    let arn = required(fields.method_arn.as_ref(), "methodArn")?;
    MethodArn::parse(arn).ok_or(EventError::Arn)
}

fn required<'a>(field: Option<&'a String>, name: &'static str) -> Result<&'a str, EventError> {
    field.map(String::as_str).ok_or(EventError::Missing(name))
}

/// The path template of a route key such as `GET /pets/{id}`; `$default` has none.
pub(super) fn route(route_key: &str) -> Option<String> {
    route_key.split_once(' ').map(|(_, path)| path.to_owned())
}

/// The template that a resource is. The `$default` route of an HTTP API has none.
pub(super) fn resource(resource: &str) -> Option<String> {
    let is_default = resource.trim_start_matches('/') == "$default";
    (!is_default).then(|| resource.to_owned())
}
