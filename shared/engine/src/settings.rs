//! How an engine behaves.

use std::time::Duration;

/// The answer if the store does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnStoreFailure {
    /// Refuse.
    #[default]
    Deny,
    /// Admit, unmetered, keys that the store has confirmed in the last minute.
    Allow,
}

/// How an engine behaves.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// The time limit of each call to the store.
    pub attempt_timeout: Duration,
    /// The time limit of a whole decision.
    pub total_timeout: Duration,
    /// The answer if the store does not answer.
    pub on_store_failure: OnStoreFailure,
    /// Whether verdicts say what else the key may call.
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
