//! Decisions made in this process, by the authorizer's engine.

use std::num::NonZeroU32;

use http::request::Parts;
use tollgate_core::id::StageId;
use tollgate_core::path::Path;
use tollgate_core::plan::Target;
use tollgate_dynamo::connection::{Connection, sdk_config};
use tollgate_engine::config::{Config, ConfigError};
use tollgate_engine::{Engine, Request};
use tollgate_protocol::credential;

use crate::Context;
use crate::fields::Fields;

/// The variable that names the API and the stage.
const API_STAGE: &str = "TOLLGATE_API_STAGE";

/// Decides requests with the authorizer's engine.
///
/// A server has no API Gateway routes, so a plan's method throttles are matched by the request's path, as for a `$default`
/// route.
pub struct Gate {
    engine: Engine,
    config: Config,
    stage: StageId,
}

/// The environment does not configure a gate.
#[derive(Debug)]
#[non_exhaustive]
pub enum GateError {
    /// A variable has a value that it does not accept.
    Config(ConfigError),
    /// `TOLLGATE_API_STAGE` does not say which API stage is guarded.
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
    /// A gate to one API stage. The names are free to choose, because no API Gateway is involved; plans list the stage under the
    /// same names.
    pub fn new(config: Config, connection: Connection, stage: StageId) -> Self {
        Self {
            engine: Engine::from_config(&config, connection),
            config,
            stage,
        }
    }

    /// A gate configured by the environment: the authorizer's variables, the SDK's own, and `TOLLGATE_API_STAGE`.
    ///
    /// # Errors
    /// [`GateError`] names the variable and the values that it accepts.
    pub async fn from_env() -> Result<Self, GateError> {
        let config = Config::from_env()?;
        let stage = std::env::var(API_STAGE).map_err(|_| GateError::ApiStage)?;
        let stage: StageId = stage.parse().map_err(|_| GateError::ApiStage)?;
        let connection = Connection::deciding(&sdk_config().await);
        Ok(Self::new(config, connection, stage))
    }

    /// Decides a request.
    pub(crate) async fn decide(&self, parts: &Parts) -> Context {
        let fields = Fields::of(parts);
        let target = Target {
            api_id: self.stage.api_id().to_owned(),
            stage: self.stage.stage().to_owned(),
            method: parts.method.as_str().to_owned(),
            route: None,
            path: Path::read(parts.uri.path()),
        };
        let request = Request {
            credential: credential::find(&fields, &self.config.key_sources),
            target: &target,
            cost: NonZeroU32::MIN,
            clock: self.engine.time(),
            deadline: None,
        };
        Context::of(&self.engine.decide(&request).await)
    }
}
