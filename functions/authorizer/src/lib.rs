//! The Lambda authorizer. It reads an event, lets the engine decide about the credential and the target in it, and answers in the
//! form that the API expects. It has no rules of its own.
//!
//! - [`config`]: the environment, read once.
//! - [`event`], [`arn`]: the kinds of events, and the target that each names.
//! - [`response`]: answers to API Gateway; [`policy`]: which methods an IAM policy opens and closes.
//! - [`report`]: logs and counts of decisions.

use std::num::NonZeroU32;

use tokio::time::Instant;
use tollgate_core::verdict::{Reason, Verdict};
use tollgate_dynamo::connection::Connection;
use tollgate_engine::{Engine, Request};

pub mod arn;
pub mod config;
pub mod event;
pub mod policy;
pub mod report;
pub mod response;

use config::{Config, HttpResponse, OnLimit, RestResponse};
use event::{Event, Format};
use response::{Answer, Failed};

/// Decides authorizer events.
pub struct Authorizer {
    engine: Engine,
    config: Config,
}

impl Authorizer {
    /// An authorizer that reads its keys and plans through `connection`.
    pub fn new(config: Config, connection: Connection) -> Self {
        let mut deciding = config.deciding.clone();
        deciding.engine.tells_reach = config.result_caching;
        Self {
            engine: Engine::from_config(&deciding, connection),
            config,
        }
    }

    /// The engine that decides.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Answers an event, given as JSON. An event that cannot be read is denied, and not answered with an error, which no API
    /// retries.
    ///
    /// `deadline` is the moment at which Lambda would stop the function.
    ///
    /// # Errors
    /// [`Failed`] if a REST API is configured to get errors ([`RestResponse::Errors`]) and no limit refuses the request.
    pub async fn handle(&self, json: &str, deadline: Option<Instant>) -> Result<Answer, Failed> {
        match Event::read(json) {
            Ok(event) => {
                let key = event.credential(&self.config.deciding.key_sources);
                let verdict = self.decide(&event, key, deadline).await;
                report::decision(&self.config.report, &verdict, Some(event.target()));
                self.answer(event.format(), &verdict, event.arn(), key)
            }
            Err(error) => {
                tracing::error!(%error, "cannot read the event");
                let verdict = Verdict::because(Reason::BadEvent);
                tollgate_engine::report::count(&verdict);
                report::decision(&self.config.report, &verdict, None);
                self.answer(event::format_of_unreadable(json), &verdict, None, None)
            }
        }
    }

    async fn decide(&self, event: &Event, key: Option<&str>, deadline: Option<Instant>) -> Verdict {
        let request = Request {
            credential: key,
            target: event.target(),
            cost: NonZeroU32::MIN,
            clock: self.engine.time(),
            deadline,
        };
        self.engine.decide(&request).await
    }

    fn answer(
        &self,
        format: Format,
        verdict: &Verdict,
        arn: Option<&str>,
        key: Option<&str>,
    ) -> Result<Answer, Failed> {
        if format == Format::Rest && self.config.rest_response == RestResponse::Errors {
            Failed::of(verdict)?;
        }
        let is_http = matches!(format, Format::Http2 | Format::Http1);
        let passes = is_http && self.config.on_limit == OnLimit::Pass && verdict.is_by_limit();
        let allowed = verdict.is_allowed() || passes;
        if format == Format::Http2 && self.config.http_response == HttpResponse::Simple {
            return Ok(response::simple(verdict, allowed));
        }
        let statements = policy::statements(verdict, allowed, arn, self.config.result_caching);
        let named = self.config.names_native_key && format == Format::Rest && allowed;
        let key = key.filter(|_| named);
        Ok(response::policy(verdict, allowed, statements, key))
    }
}
