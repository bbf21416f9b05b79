//! The fields of an event that decide anything, of every kind in one type. Only used fields are required, and null counts as
//! absent.

use std::collections::BTreeMap;

use serde::Deserialize;
use tollgate_protocol::credential::Carrier;

use super::error::EventError;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Fields {
    pub(super) version: Option<String>,
    pub(super) r#type: Option<String>,
    pub(super) route_arn: Option<String>,
    pub(super) method_arn: Option<String>,
    pub(super) authorization_token: Option<String>,
    pub(super) route_key: Option<String>,
    pub(super) raw_path: Option<String>,
    pub(super) resource: Option<String>,
    headers: Option<BTreeMap<String, Option<String>>>,
    query_string_parameters: Option<BTreeMap<String, Option<String>>>,
    pub(super) request_context: Option<RequestContext>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct RequestContext {
    pub(super) api_id: Option<String>,
    pub(super) stage: Option<String>,
    pub(super) route_key: Option<String>,
    pub(super) http: Option<Http>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Http {
    pub(super) method: Option<String>,
}

impl Fields {
    pub(super) fn read(json: &str) -> Result<Self, EventError> {
        serde_json::from_str(json).map_err(|_| error_with_field(json))
    }
}

/// Reads an event once more to name the field that kept it from being read.
fn error_with_field(json: &str) -> EventError {
    let mut json = serde_json::Deserializer::from_str(json);
    match serde_path_to_error::deserialize::<_, Fields>(&mut json) {
        Err(error) if error.path().iter().next().is_some() => {
            EventError::Shape(error.path().to_string())
        }
        _ => EventError::Kind,
    }
}

impl Carrier for Fields {
    fn header(&self, name: &str) -> Option<&str> {
        // REST and WebSocket APIs pass on names as clients have written them.
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
