//! Decisions made here.

use std::collections::HashMap;
use std::num::NonZeroU32;

use http::HeaderMap;
use http::request::Parts;
use tollgate_core::path::Path;
use tollgate_core::plan::Target;
use tollgate_dynamo::connection::{Connection, sdk_config};
use tollgate_engine::config::{Config, ConfigError};
use tollgate_engine::{Engine, Request};
use tollgate_protocol::credential::{self, Carrier};

use crate::Context;

/// The variable that names the API and the stage.
const API_STAGE: &str = "TOLLGATE_API_STAGE";

/// Decides requests: the same engine as the authorizer's.
///
/// There are no routes to go by: method throttles of the plan are matched by the request's path, as those of a `$default`
/// route are.
pub struct Gate {
    engine: Engine,
    config: Config,
    api_id: String,
    stage: String,
}

/// An environment that a gate cannot be made from.
#[derive(Debug)]
pub enum GateError {
    /// A variable does not say what it should.
    Config(ConfigError),
    /// Nothing says which of a plan's API stages is guarded.
    ApiStage,
}

impl std::fmt::Display for GateError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Config(error) => error.fmt(f),
            Self::ApiStage => write!(
                f,
                "{API_STAGE} must be apiId:stage, as plans have it in their API stages"
            ),
        }
    }
}

impl std::error::Error for GateError {}

impl From<ConfigError> for GateError {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}

impl Gate {
    /// A gate to the stage of an API, by the names that plans have it under. They are free to choose: there is no API
    /// Gateway that would know them.
    pub fn new(config: Config, connection: Connection, api_id: String, stage: String) -> Self {
        Self {
            engine: Engine::from_config(&config, connection),
            config,
            api_id,
            stage,
        }
    }

    /// A gate by the process's environment: the authorizer's variables, the SDK's own, and `TOLLGATE_API_STAGE`.
    ///
    /// # Errors
    /// [`GateError`] names the variable and what it takes.
    pub async fn from_env() -> Result<Self, GateError> {
        let config = Config::from_env()?;
        let stage = std::env::var(API_STAGE).map_err(|_| GateError::ApiStage)?;
        let (api_id, stage) = stage.split_once(':').ok_or(GateError::ApiStage)?;
        if api_id.is_empty() || stage.is_empty() {
            return Err(GateError::ApiStage);
        }
        let connection = Connection::deciding(&sdk_config().await);
        Ok(Self::new(
            config,
            connection,
            api_id.to_owned(),
            stage.to_owned(),
        ))
    }

    /// Decides a request.
    pub(crate) async fn decide(&self, parts: &Parts) -> Context {
        let carried = Carried::by(parts);
        let target = Target {
            api_id: self.api_id.clone(),
            stage: self.stage.clone(),
            method: parts.method.as_str().to_owned(),
            route: None,
            path: Path::read(parts.uri.path()),
        };
        let request = Request {
            credential: credential::find(&carried, &self.config.key_sources),
            target: &target,
            cost: NonZeroU32::MIN,
            clock: self.engine.time(),
            deadline: None,
        };
        Context::of(&self.engine.decide(&request).await)
    }
}

/// What stands for several values, or one that is no text: none is taken before the others, and this is no key.
const SEVERAL: &str = ",";

/// What a request carries.
struct Carried<'a> {
    headers: &'a HeaderMap,
    query: HashMap<String, String>,
}

impl<'a> Carried<'a> {
    fn by(parts: &'a Parts) -> Self {
        let query = parts.uri.query().unwrap_or_default();
        let mut parameters = HashMap::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()).into_owned() {
            let known = parameters.entry(name);
            known
                .and_modify(|known| SEVERAL.clone_into(known))
                .or_insert(value);
        }
        Self {
            headers: &parts.headers,
            query: parameters,
        }
    }
}

impl Carrier for Carried<'_> {
    fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next()?.to_str().unwrap_or(SEVERAL);
        Some(values.next().map_or(value, |_| SEVERAL))
    }

    fn query(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str)
    }
}
