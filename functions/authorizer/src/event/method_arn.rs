//! Targets of all other APIs, from `methodArn`.

use tollgate_core::path::Path;
use tollgate_core::plan::Target;

use super::error::EventError;
use super::fields::Fields;
use crate::arn::MethodArn;

pub(super) fn target(fields: &Fields) -> Result<Target, EventError> {
    let arn = arn(fields)?;
    Ok(target_of(fields, &arn, arn.method, arn.path))
}

/// The target of a WebSocket handshake, which is a GET (RFC 6455, 4.1).
pub(super) fn handshake(fields: &Fields) -> Result<Target, EventError> {
    Ok(target_of(fields, &arn(fields)?, "GET", "/$connect"))
}

fn arn(fields: &Fields) -> Result<MethodArn<'_>, EventError> {
    let arn = fields.method_arn.as_deref();
    let arn = arn.ok_or(EventError::Missing("methodArn"))?;
    MethodArn::parse(arn).ok_or(EventError::Arn)
}

fn target_of(fields: &Fields, arn: &MethodArn<'_>, method: &str, path: &str) -> Target {
    Target {
        api_id: arn.api_id.to_owned(),
        stage: arn.stage.to_owned(),
        method: method.to_owned(),
        route: fields.resource.as_deref().and_then(resource),
        path: Path::read(path),
    }
}

/// The template that a resource is. The `$default` route of an HTTP API has none.
pub(super) fn resource(resource: &str) -> Option<String> {
    let is_default = resource.trim_start_matches('/') == "$default";
    (!is_default).then(|| resource.to_owned())
}
