//! The kinds of events, told apart by their fields, and the target that each names.
//!
//! So far there is one: HTTP API with payload format 2.0. Another kind becomes another variant here.

use aws_lambda_events::apigw::ApiGatewayV2CustomAuthorizerV2Request;
use percent_encoding::percent_decode_str;
use serde_json::Value;
use tollgate_core::plan::Target;

use crate::credential::{self, Carrier, KeySource};

/// An event that names a request to decide.
#[derive(Debug)]
pub struct Event {
    request: Box<ApiGatewayV2CustomAuthorizerV2Request>,
    target: Target,
}

/// An event that names none.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    /// Not of a kind that we answer.
    #[error(
        "expected an HTTP API authorizer event, payload format 2.0 (version \"2.0\", type \"REQUEST\")"
    )]
    Kind,
    /// Of a kind that we answer, with a field that is not what it has to be.
    #[error("the event's field {0} is not of the type it has to be")]
    Shape(String),
    /// Without a field that it must have.
    #[error("the event has no {0}")]
    Missing(&'static str),
}

impl Event {
    /// Reads an event.
    ///
    /// # Errors
    /// [`EventError`] says what was expected. It never quotes the event, which may carry a key.
    pub fn read(mut event: Value) -> Result<Self, EventError> {
        let is = |field: &str, expected: &str| {
            event.get(field).and_then(Value::as_str) == Some(expected)
        };
        if !is("version", "2.0") || !is("type", "REQUEST") {
            return Err(EventError::Kind);
        }
        if let Some(fields) = event.as_object_mut() {
            // The platform writes null for what is not there; the type takes that for some fields only.
            fields.retain(|_, value| !value.is_null());
        }
        let request: Box<ApiGatewayV2CustomAuthorizerV2Request> =
            serde_path_to_error::deserialize(event)
                .map_err(|error| EventError::Shape(error.path().to_string()))?;
        let target = target(&request)?;
        Ok(Self { request, target })
    }

    /// Where the request goes.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The key that the request carries.
    pub fn credential(&self, sources: &[KeySource]) -> Option<&str> {
        credential::find(self.request.as_ref(), sources)
    }
}

impl Carrier for ApiGatewayV2CustomAuthorizerV2Request {
    fn header(&self, name: &str) -> Option<&str> {
        let value = self.headers.get(name)?;
        // What is no text is still something that was sent: a malformed key, not a missing one.
        Some(std::str::from_utf8(value.as_bytes()).unwrap_or("\u{fffd}"))
    }

    fn query(&self, name: &str) -> Option<&str> {
        self.query_string_parameters.get(name).map(String::as_str)
    }
}

fn target(request: &ApiGatewayV2CustomAuthorizerV2Request) -> Result<Target, EventError> {
    let context = &request.request_context;
    let required = |value: &Option<String>, name| value.clone().ok_or(EventError::Missing(name));
    let stage = required(&context.stage, "requestContext.stage")?;
    let raw_path = required(&request.raw_path, "rawPath")?;
    Ok(Target {
        api_id: required(&context.apiid, "requestContext.apiId")?,
        method: context.http.method.to_string(),
        route: request.route_key.as_deref().and_then(route),
        path: path(&raw_path, &stage),
        stage,
    })
}

/// The path template of a route key such as `GET /pets/{id}`; `$default` has none.
fn route(route_key: &str) -> Option<String> {
    route_key.split_once(' ').map(|(_, path)| path.to_owned())
}

/// The path without the stage, which `rawPath` carries in front unless it is `$default`, and decoded: `/p%65ts` reaches
/// the same backend as `/pets`.
fn path(raw_path: &str, stage: &str) -> String {
    let path = raw_path
        .strip_prefix('/')
        .and_then(|path| path.strip_prefix(stage))
        .filter(|rest| stage != "$default" && (rest.is_empty() || rest.starts_with('/')))
        .unwrap_or(raw_path);
    percent_decode_str(path).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_named_stage_is_taken_off_the_path_and_default_is_not() {
        assert_eq!(path("/prod/pets", "prod"), "/pets");
        assert_eq!(path("/prod", "prod"), "");
        assert_eq!(path("/product/7", "prod"), "/product/7");
        assert_eq!(path("/pets", "$default"), "/pets");
        assert_eq!(path("/p%65ts/a%20b", "$default"), "/pets/a b");
    }

    #[test]
    fn a_route_key_gives_its_template() {
        assert_eq!(route("GET /pets/{id}").as_deref(), Some("/pets/{id}"));
        assert_eq!(route("$default"), None);
    }

    #[test]
    fn an_event_needs_no_more_than_its_target() {
        let minimal = json!({
            "version": "2.0", "type": "REQUEST", "rawPath": "/pets",
            "requestContext": { "apiId": "a", "stage": "$default", "http": { "method": "GET" } },
        });
        let event = Event::read(minimal.clone()).expect("an event");
        assert_eq!(event.target().path, "/pets");
        assert_eq!(
            event.credential(&[KeySource::Header("x-api-key".into())]),
            None
        );
        for field in [
            "headers",
            "cookies",
            "queryStringParameters",
            "identitySource",
            "routeKey",
            "pathParameters",
        ] {
            let mut event = minimal.clone();
            event[field] = Value::Null;
            assert!(Event::read(event).is_ok(), "{field}: null");
        }
        let mut event = minimal;
        event["headers"] = json!({ "X-Api-Key": "k" });
        let event = Event::read(event).expect("an event");
        assert_eq!(
            event.credential(&[KeySource::Header("x-api-key".into())]),
            Some("k")
        );
    }

    #[test]
    fn an_event_of_no_known_kind_or_without_its_fields_is_an_error_that_quotes_nothing() {
        let secret = "tg_secret";
        for event in [
            json!({ "headers": { "x-api-key": secret } }),
            json!({ "version": "1.0", "type": "REQUEST", "headers": { "x-api-key": secret } }),
            json!({ "version": "2.0", "type": "REQUEST", "headers": { "x-api-key": [secret] } }),
            json!({ "version": "2.0", "type": "REQUEST", "headers": secret }),
            json!({ "version": "2.0", "type": "REQUEST", "headers": { "x-api-key": secret },
                    "requestContext": { "http": { "method": "GET" } } }),
            json!(null),
            json!([secret]),
        ] {
            let error = Event::read(event.clone())
                .expect_err("no event")
                .to_string();
            assert!(!error.contains(secret), "{error}");
        }
    }
}
