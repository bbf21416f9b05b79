//! Decides requests: finds the key that a request carries and the plan to charge, and makes the write that charges it.
//!
//! The way of a request, a module for each part:
//! 1. [`Engine::decide`] makes an `attempt` of it: the request, its time limit, and what is known of whom it is about.
//! 2. `principal`: the credential says whose request it is: a key, by the hash of its value.
//! 3. `accounts`: the key with its meters, an `account`, cached by key id; `plans`: its plans. `memory` is all that is cached.
//! 4. `decider`: which of them covers the stage, by `plan_match`, and the limits that the request has to meet.
//! 5. `combine`: it joins the requests of this process that are charged by the same write.
//! 6. `charging`: drives [`Flow`](tollgate_core::flow::Flow), which names each call to the store, until all are decided.
//!    `cached_meter` is what they know of the meter, `lanes` mark their writes.
//! 7. [`report`] counts the verdict. If the store did not answer, `outage` says what the verdict is.
//!
//! [`Engine::inspect`] reports what remains of a key's limits, without charging it. [`Config`] reads the environment.
//!
//! The caches only determine which write to attempt, and how long a refusal may be repeated without calling the store
//! ([`age`](tollgate_core::age)). A request is admitted only if the store confirms its charge.

use std::sync::Arc;

use tollgate_core::key::KeyValue;
use tollgate_core::reason::Reason;
use tollgate_core::verdict::Verdict;
use tollgate_dynamo::connection::Connection;
use tollgate_dynamo::table::Table;

mod account;
mod accounts;
mod attempt;
mod cache;
mod cached_meter;
mod charging;
mod combine;
pub mod config;
mod decider;
pub mod inspect;
mod lanes;
mod memory;
mod outage;
mod plan_match;
mod plans;
mod principal;
pub mod report;
mod request;
mod settings;
mod weight;

use config::Config;
use decider::Decider;
pub use request::{Request, TimeSource};
pub use settings::{OnStoreFailure, Settings};

/// Decides requests against one table. Clones are the same engine.
#[derive(Clone)]
pub struct Engine {
    decider: Arc<Decider>,
}

impl Engine {
    /// Creates an engine on `table`.
    pub fn new(table: Table, settings: Settings) -> Self {
        Self {
            decider: Arc::new(Decider::new(table, settings)),
        }
    }

    /// Creates an engine on the table that `config` names.
    pub fn from_config(config: &Config, connection: Connection) -> Self {
        let table = Table::new(connection, config.table.clone());
        Self::new(table, config.engine)
    }

    /// The table that the engine decides against.
    pub fn table(&self) -> &Table {
        &self.decider.memory.table
    }

    /// The clock of the engine's connection, corrected by the store's clock.
    pub fn time(&self) -> TimeSource {
        let clock = Arc::clone(self.table().connection().clock());
        Arc::new(move || clock.now())
    }

    /// Decides a request and counts the decision. It always returns within the time limit of a decision and never fails: if
    /// something goes wrong, the verdict is a refusal.
    pub async fn decide(&self, request: &Request<'_>) -> Verdict {
        let verdict = self.verdict(request).await;
        report::count(&verdict);
        verdict
    }

    async fn verdict(&self, request: &Request<'_>) -> Verdict {
        let Some(credential) = request.credential else {
            return Verdict::because(Reason::MissingKey);
        };
        let Ok(value) = KeyValue::parse(credential) else {
            return Verdict::because(Reason::MalformedKey);
        };
        let mut attempt = self.decider.attempt(request, value.hash());
        let verdict = match self.decider.decide(&mut attempt).await {
            Ok(verdict) => verdict,
            Err(failure) => self.decider.outage_verdict(&attempt, &failure),
        };
        let verdict = attempt.about.complete(verdict);
        if let reason @ (Reason::Contended | Reason::Uncertain) = verdict.reason {
            let (key_id, plan_id) = (verdict.key_id.as_deref(), verdict.plan_id.as_deref());
            tracing::warn!(%reason, key_id, plan_id, "a request was refused");
        }
        verdict
    }
}
