//! The kinds of authorizer events, told apart by their fields, and the target that each names.
//!
//! | kind | told by | target |
//! |---|---|---|
//! | HTTP API, payload 2.0 | `version: "2.0"` | `requestContext`, `routeKey`, `rawPath` |
//! | HTTP API, payload 1.0; REST API, REQUEST | `type: "REQUEST"` | `methodArn`, `resource` |
//! | REST API, TOKEN | `type: "TOKEN"` | `methodArn` |
//! | WebSocket API | `requestContext.routeKey: "$connect"` | `methodArn`; the path is `/$connect`, the method GET |
//!
//! One lean type reads them all: nothing is required that is not used, and null is as good as absent.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use tollgate_core::path::Path;
use tollgate_core::plan::Target;
use tollgate_protocol::credential::{self, Carrier, KeySource};

use crate::arn::MethodArn;

/// An event that names a request to decide.
#[derive(Debug)]
pub struct Event {
    kind: Kind,
    fields: Fields,
    target: Target,
}

/// An event that names none.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    /// Not of a kind that we answer.
    #[error(
        "expected an authorizer event of an HTTP API (version \"2.0\" or \"1.0\"), a REST API (type \"REQUEST\" or \
         \"TOKEN\") or a WebSocket API"
    )]
    Kind,
    /// With a field that is not what it has to be.
    #[error("the event's field {0} is not of the type it has to be")]
    Shape(String),
    /// Without a field that it must have.
    #[error("the event has no {0}")]
    Missing(&'static str),
    /// With an ARN of another form.
    #[error(
        "expected a methodArn of the form arn:aws:execute-api:region:account:api/stage/METHOD/path"
    )]
    Arn,
}

/// How the API that sent an event takes its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// HTTP API with payload format 2.0: simple or a policy, as its authorizer is configured.
    Http2,
    /// HTTP API with payload format 1.0: a policy.
    Http1,
    /// REST API: a policy, which may name a native API key, or an error.
    Rest,
    /// All others: a policy.
    Policy,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Fields {
    version: Option<String>,
    r#type: Option<String>,
    route_arn: Option<String>,
    method_arn: Option<String>,
    authorization_token: Option<String>,
    route_key: Option<String>,
    raw_path: Option<String>,
    resource: Option<String>,
    headers: Option<BTreeMap<String, Option<String>>>,
    query_string_parameters: Option<BTreeMap<String, Option<String>>>,
    request_context: Option<RequestContext>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RequestContext {
    api_id: Option<String>,
    stage: Option<String>,
    route_key: Option<String>,
    http: Option<Http>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Http {
    method: Option<String>,
}

impl Event {
    /// Reads an event.
    ///
    /// # Errors
    /// [`EventError`] says what was expected. It never quotes the event, which may carry a key.
    pub fn read(json: &str) -> Result<Self, EventError> {
        let fields: Fields = serde_json::from_str(json).map_err(|_| shape(json))?;
        let kind = fields.kind()?;
        let target = match kind {
            Kind::HttpV2 => fields.http_v2_target(),
            Kind::HttpV1 | Kind::Rest | Kind::Token | Kind::WebSocket => fields.target_by_arn(kind),
        }?;
        Ok(Self {
            kind,
            fields,
            target,
        })
    }

    /// Where the request goes.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// How it is answered.
    pub fn format(&self) -> Format {
        match self.kind {
            Kind::HttpV2 => Format::Http2,
            Kind::Rest | Kind::Token => Format::Rest,
            Kind::HttpV1 => Format::Http1,
            Kind::WebSocket => Format::Policy,
        }
    }

    /// The ARN of what is asked for.
    pub fn arn(&self) -> Option<&str> {
        let Fields {
            method_arn: method,
            route_arn: route,
            ..
        } = &self.fields;
        method.as_deref().or(route.as_deref())
    }

    /// The key that the request carries. A TOKEN event is one: the API has said where it is found.
    pub fn credential(&self, sources: &[KeySource]) -> Option<&str> {
        if self.kind == Kind::Token {
            credential::in_token(self.fields.authorization_token.as_deref()?)
        } else {
            credential::find(&self.fields, sources)
        }
    }
}

/// How an event is answered that cannot be read, as far as its fields tell. Only events that are answered by a policy
/// have a `methodArn`, and a token.
pub fn format_of_unreadable(json: &str) -> Format {
    let event: Value = serde_json::from_str(json).unwrap_or_default();
    if event.get("methodArn").is_some() || event["type"] == "TOKEN" {
        Format::Policy
    } else {
        Format::Http2
    }
}

/// Names the field that kept an event from being read.
fn shape(json: &str) -> EventError {
    let mut json = serde_json::Deserializer::from_str(json);
    match serde_path_to_error::deserialize::<_, Fields>(&mut json) {
        Err(error) if error.path().iter().next().is_some() => {
            EventError::Shape(error.path().to_string())
        }
        _ => EventError::Kind,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    HttpV2,
    HttpV1,
    Rest,
    Token,
    WebSocket,
}

impl Fields {
    fn kind(&self) -> Result<Kind, EventError> {
        match (self.r#type.as_deref(), self.version.as_deref()) {
            (Some("REQUEST"), Some("2.0")) => Ok(Kind::HttpV2),
            (Some("TOKEN"), _) => Ok(Kind::Token),
            (Some("REQUEST"), _) if self.connects() => Ok(Kind::WebSocket),
            (Some("REQUEST"), Some("1.0")) => Ok(Kind::HttpV1),
            (Some("REQUEST"), None) => Ok(Kind::Rest),
            _ => Err(EventError::Kind),
        }
    }

    fn connects(&self) -> bool {
        let context = self.request_context.as_ref();
        context.and_then(|context| context.route_key.as_deref()) == Some("$connect")
    }

    fn target_by_arn(&self, kind: Kind) -> Result<Target, EventError> {
        let arn = self.method_arn.as_deref();
        let arn = arn.ok_or(EventError::Missing("methodArn"))?;
        let arn = MethodArn::parse(arn).ok_or(EventError::Arn)?;
        let (method, path) = match kind {
            // The handshake is a GET (RFC 6455, 4.1).
            Kind::WebSocket => ("GET", Path::read("/$connect")),
            _ => (arn.method, Path::read(arn.path)),
        };
        Ok(Target {
            api_id: arn.api_id.to_owned(),
            stage: arn.stage.to_owned(),
            method: method.to_owned(),
            route: self.resource.as_deref().and_then(resource),
            path,
        })
    }

    fn http_v2_target(&self) -> Result<Target, EventError> {
        let none = RequestContext::default();
        let context = self.request_context.as_ref().unwrap_or(&none);
        let http = context.http.as_ref();
        let required =
            |value: &Option<String>, name| value.clone().ok_or(EventError::Missing(name));
        let stage = required(&context.stage, "requestContext.stage")?;
        let raw_path = required(&self.raw_path, "rawPath")?;
        Ok(Target {
            api_id: required(&context.api_id, "requestContext.apiId")?,
            method: required(
                &http.and_then(|http| http.method.clone()),
                "requestContext.http.method",
            )?,
            route: self.route_key.as_deref().and_then(route),
            path: match &*stage {
                "$default" => Path::read(&raw_path),
                // `rawPath` has any other stage in front.
                stage => Path::read(&raw_path).without_first(stage),
            },
            stage,
        })
    }
}

impl Carrier for Fields {
    fn header(&self, name: &str) -> Option<&str> {
        // REST and WebSocket APIs hand names on as clients have written them.
        let mut headers = self.headers.iter().flatten();
        let (_, value) = headers.find(|(known, _)| known.eq_ignore_ascii_case(name))?;
        value.as_deref()
    }

    fn query(&self, name: &str) -> Option<&str> {
        self.query_string_parameters
            .as_ref()?
            .get(name)
            .and_then(Option::as_deref)
    }
}

/// The path template of a route key such as `GET /pets/{id}`; `$default` has none.
fn route(route_key: &str) -> Option<String> {
    route_key.split_once(' ').map(|(_, path)| path.to_owned())
}

/// A resource is a template, but for the `$default` route of an HTTP API.
fn resource(resource: &str) -> Option<String> {
    let is_default = resource.trim_start_matches('/') == "$default";
    (!is_default).then(|| resource.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(event: &Value) -> Result<Event, EventError> {
        Event::read(&event.to_string())
    }

    #[test]
    fn a_named_stage_is_taken_off_the_path_and_default_is_not() {
        for (raw, stage, expected) in [
            ("/prod/pets", "prod", "/pets"),
            ("/prod", "prod", "/"),
            ("/product/7", "prod", "/product/7"),
            ("/pets", "$default", "/pets"),
            ("/$default/pets", "$default", "/$default/pets"),
            ("/p%65ts/a%20b", "$default", "/pets/a b"),
        ] {
            let event = json!({
                "version": "2.0", "type": "REQUEST", "rawPath": raw,
                "requestContext": { "apiId": "a", "stage": stage, "http": { "method": "GET" } },
            });
            let event = read(&event).expect("an event");
            let path = event.target().path.segments().collect::<Vec<_>>();
            assert_eq!(format!("/{}", path.join("/")), expected, "{raw}");
        }
    }

    #[test]
    fn a_route_key_gives_its_template() {
        assert_eq!(route("GET /pets/{id}").as_deref(), Some("/pets/{id}"));
        assert_eq!(route("$default"), None);
        assert_eq!(resource("/pets/{id}").as_deref(), Some("/pets/{id}"));
        assert_eq!(resource("/$default"), None);
    }

    #[test]
    fn an_event_needs_no_more_than_its_target() {
        let sources = [KeySource::Header("x-api-key".into())];
        let http = json!({
            "version": "2.0", "type": "REQUEST", "rawPath": "/pets",
            "requestContext": { "apiId": "a", "stage": "$default", "http": { "method": "GET" } },
        });
        let rest =
            json!({ "type": "REQUEST", "methodArn": "arn:aws:execute-api:r:1:a/prod/GET/pets" });
        for minimal in [http, rest] {
            let event = read(&minimal).expect("an event");
            assert_eq!(event.target().path, Path::read("/pets"));
            assert_eq!(event.credential(&sources), None);
            for field in [
                "headers",
                "cookies",
                "queryStringParameters",
                "identitySource",
                "routeKey",
                "pathParameters",
                "resource",
            ] {
                let mut event = minimal.clone();
                event[field] = Value::Null;
                assert!(read(&event).is_ok(), "{field}: null");
            }
            let mut event = minimal;
            event["headers"] = json!({ "X-Api-Key": "k", "x-other": null });
            let event = read(&event).expect("an event");
            assert_eq!(event.credential(&sources), Some("k"));
        }
    }

    #[test]
    fn a_token_is_the_key_with_or_without_its_scheme() {
        for (token, key) in [
            ("tg_1", Some("tg_1")),
            ("Bearer tg_1", Some("tg_1")),
            ("bearer  tg_1 ", Some("tg_1")),
            ("", None),
            ("Bearer ", None),
        ] {
            let event = json!({
                "type": "TOKEN", "authorizationToken": token,
                "methodArn": "arn:aws:execute-api:r:1:a/prod/GET/p%65ts",
                "headers": { "x-api-key": "another" },
            });
            let event = read(&event).expect("an event");
            assert_eq!(event.credential(&[]), key, "{token:?}");
            assert_eq!(event.target().path, Path::read("/pets"));
            assert_eq!(event.target().route, None);
        }
    }

    #[test]
    fn an_event_of_no_known_kind_or_without_its_fields_is_an_error_that_quotes_nothing() {
        let secret = "tg_secret";
        for event in [
            json!({ "headers": { "x-api-key": secret } }),
            json!({ "version": "1.0", "type": "REQUEST", "headers": { "x-api-key": secret } }),
            json!({ "version": "3.0", "type": "REQUEST", "headers": { "x-api-key": secret },
                    "methodArn": "arn:aws:execute-api:r:1:a/prod/GET/" }),
            json!({ "version": "2.0", "type": "REQUEST", "headers": { "x-api-key": [secret] } }),
            json!({ "version": "2.0", "type": "REQUEST", "headers": secret }),
            json!({ "version": "2.0", "type": "REQUEST", "headers": { "x-api-key": secret },
                    "requestContext": { "http": { "method": "GET" } } }),
            json!({ "type": "TOKEN", "authorizationToken": secret, "methodArn": secret }),
            json!({ "type": "TOKEN", "authorizationToken": secret }),
            json!(null),
            json!([secret]),
            json!(secret),
        ] {
            let error = read(&event).expect_err("no event").to_string();
            assert!(!error.contains(secret), "{error}");
        }
    }

    #[test]
    fn a_field_of_another_type_is_named() {
        let event = json!({ "version": "2.0", "type": "REQUEST", "headers": { "x-api-key": [] } });
        assert_eq!(
            read(&event).expect_err("no event").to_string(),
            "the event's field headers.x-api-key is not of the type it has to be"
        );
    }
}
