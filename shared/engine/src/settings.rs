//! Settings of an engine.

use std::time::Duration;

/// How to answer a request if the store does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnStoreFailure {
    /// Refuse the request.
    #[default]
    Deny,
    /// Admit the request without charging it, if the store has confirmed its key within the last minute.
    Allow,
}

/// Settings of an engine.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Time limit for each call to the store.
    pub attempt_timeout: Duration,
    /// Time limit for a whole decision.
    pub total_timeout: Duration,
    /// How to answer if the store does not answer.
    pub on_store_failure: OnStoreFailure,
    /// Whether verdicts include what else the key may call.
    pub tells_reach: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            attempt_timeout: Duration::from_millis(300),
            total_timeout: Duration::from_millis(1500),
            on_store_failure: OnStoreFailure::Deny,
            tells_reach: false,
        }
    }
}
