//! The environment, read once.

use std::str::FromStr;
use std::time::Duration;

use tollgate_store::engine::{OnStoreFailure, Settings};

use crate::credential::KeySource;

/// How an authorizer behaves.
#[derive(Debug, Clone)]
pub struct Config {
    /// The table (`TOLLGATE_TABLE`, default `tollgate`).
    pub table: String,
    /// Where keys are looked for (`TOLLGATE_KEY_SOURCE`, default `header:x-api-key`), in this order.
    pub key_sources: Vec<KeySource>,
    /// Time limits and the failure policy (`TOLLGATE_ATTEMPT_TIMEOUT_MS`, default 300; `TOLLGATE_TOTAL_TIMEOUT_MS`,
    /// default 1500; `TOLLGATE_ON_STORE_FAILURE`, `deny` or `allow`, default `deny`).
    pub engine: Settings,
}

/// A variable that does not say what it should.
#[derive(Debug, thiserror::Error)]
#[error("{name} must be {expected}, got {value:?}")]
pub struct ConfigError {
    name: &'static str,
    expected: &'static str,
    value: String,
}

impl Config {
    /// Reads the process's environment.
    ///
    /// # Errors
    /// [`ConfigError`] names the variable and what it takes.
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::from_variables(|name| std::env::var(name).ok())
    }

    fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        let defaults = Settings::default();
        let milliseconds = |name, default| match variable(name) {
            None => Ok(default),
            Some(value) => match u64::from_str(&value) {
                Ok(number @ 1..=60_000) => Ok(Duration::from_millis(number)),
                _ => Err(ConfigError {
                    name,
                    expected: "a number of milliseconds from 1 to 60000",
                    value,
                }),
            },
        };
        Ok(Self {
            table: variable("TOLLGATE_TABLE").unwrap_or_else(|| "tollgate".to_owned()),
            key_sources: key_sources(variable("TOLLGATE_KEY_SOURCE"))?,
            engine: Settings {
                attempt_timeout: milliseconds(
                    "TOLLGATE_ATTEMPT_TIMEOUT_MS",
                    defaults.attempt_timeout,
                )?,
                total_timeout: milliseconds("TOLLGATE_TOTAL_TIMEOUT_MS", defaults.total_timeout)?,
                on_store_failure: on_store_failure(
                    variable("TOLLGATE_ON_STORE_FAILURE").as_deref(),
                )?,
            },
        })
    }
}

fn key_sources(value: Option<String>) -> Result<Vec<KeySource>, ConfigError> {
    let value = value.unwrap_or_else(|| "header:x-api-key".to_owned());
    let sources: Option<Vec<_>> = value
        .split(',')
        .map(|source| KeySource::parse(source.trim()))
        .collect();
    sources.ok_or(ConfigError {
        name: "TOLLGATE_KEY_SOURCE",
        expected: "a comma-separated list of header:<name>, bearer, query:<name>",
        value,
    })
}

fn on_store_failure(value: Option<&str>) -> Result<OnStoreFailure, ConfigError> {
    match value {
        None | Some("deny") => Ok(OnStoreFailure::Deny),
        Some("allow") => Ok(OnStoreFailure::Allow),
        Some(other) => Err(ConfigError {
            name: "TOLLGATE_ON_STORE_FAILURE",
            expected: "deny or allow",
            value: other.to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(set: &[(&str, &str)]) -> Result<Config, ConfigError> {
        Config::from_variables(|name| {
            let found = set.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn an_empty_environment_gives_the_documented_defaults() {
        let config = read(&[("TOLLGATE_TABLE", "")]).expect("valid");
        assert_eq!(config.table, "tollgate");
        assert_eq!(config.key_sources, [KeySource::Header("x-api-key".into())]);
        assert_eq!(config.engine.attempt_timeout, Duration::from_millis(300));
        assert_eq!(config.engine.total_timeout, Duration::from_millis(1500));
        assert_eq!(config.engine.on_store_failure, OnStoreFailure::Deny);
    }

    #[test]
    fn several_key_sources_are_kept_in_order() {
        let config = read(&[("TOLLGATE_KEY_SOURCE", "bearer, query:key,header:X-Key")]);
        assert_eq!(
            config.expect("valid").key_sources,
            [
                KeySource::Bearer,
                KeySource::Query("key".into()),
                KeySource::Header("x-key".into())
            ]
        );
    }

    #[test]
    fn a_variable_that_makes_no_sense_is_named_with_what_it_takes() {
        for (name, value, message) in [
            (
                "TOLLGATE_KEY_SOURCE",
                "cookie:x",
                "TOLLGATE_KEY_SOURCE must be a comma-separated list of header:<name>, bearer, query:<name>, got \"cookie:x\"",
            ),
            (
                "TOLLGATE_ON_STORE_FAILURE",
                "open",
                "TOLLGATE_ON_STORE_FAILURE must be deny or allow, got \"open\"",
            ),
            (
                "TOLLGATE_ATTEMPT_TIMEOUT_MS",
                "0",
                "TOLLGATE_ATTEMPT_TIMEOUT_MS must be a number of milliseconds from 1 to 60000, got \"0\"",
            ),
        ] {
            let error = read(&[(name, value)]).expect_err("invalid");
            assert_eq!(error.to_string(), message);
        }
    }
}
