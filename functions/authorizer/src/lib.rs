//! The Lambda authorizer: an event in, a credential out of it, a verdict, an answer. It has no rules of its own.
//!
//! - [`config`]: the environment, read once.
//! - [`credential`]: where in an event the key is looked for.
//! - [`event`]: the kinds of events, and the target that each names.
//! - [`response`]: the verdict as API Gateway takes it.

use std::num::NonZeroU32;

use serde_json::Value;
use tokio::time::Instant;
use tollgate_core::verdict::{Reason, Verdict};
use tollgate_store::connection::Connection;
use tollgate_store::engine::{Engine, Request};
use tollgate_store::table::Table;

pub mod config;
pub mod credential;
pub mod event;
pub mod response;

use config::Config;
use credential::KeySource;
use event::Event;
use response::SimpleResponse;

/// Decides authorizer events.
pub struct Authorizer {
    engine: Engine,
    key_sources: Vec<KeySource>,
}

impl Authorizer {
    /// An authorizer by `config` through `connection`.
    pub fn new(config: Config, connection: Connection) -> Self {
        Self {
            engine: Engine::new(Table::new(connection, config.table), config.engine),
            key_sources: config.key_sources,
        }
    }

    /// The engine that decides.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Answers an event. One that cannot be read is denied: an error would be retried by nobody and admit nobody.
    ///
    /// `deadline` is when the function itself would be stopped.
    pub async fn handle(&self, event: Value, deadline: Option<Instant>) -> SimpleResponse {
        let verdict = match Event::read(event) {
            Ok(event) => self.decide(&event, deadline).await,
            Err(error) => {
                tracing::error!(%error, "cannot read the event");
                Verdict::because(Reason::BadEvent)
            }
        };
        tracing::debug!(
            decision = verdict.decision.as_str(),
            reason = verdict.reason.as_str(),
            key_id = verdict.key_id,
            plan_id = verdict.plan_id,
            "decided"
        );
        response::simple(&verdict)
    }

    async fn decide(&self, event: &Event, deadline: Option<Instant>) -> Verdict {
        let clock = self.engine.table().connection().clock();
        let request = Request {
            credential: event.credential(&self.key_sources),
            target: event.target(),
            cost: NonZeroU32::MIN,
            clock: &|| clock.now(),
            deadline,
        };
        self.engine.decide(&request).await
    }
}
