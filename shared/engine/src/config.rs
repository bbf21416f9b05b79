//! Configuration from environment variables, read once at start. Shared by every program that decides requests.

use std::str::FromStr;
use std::time::Duration;

use tollgate_protocol::credential::KeySource;

use crate::{OnStoreFailure, Settings};

/// The configuration of a program that decides requests.
#[derive(Debug, Clone)]
pub struct Config {
    /// The table's name (`TOLLGATE_TABLE`, default `tollgate`).
    pub table: String,
    /// Where to look for the key, in order (`TOLLGATE_KEY_SOURCE`, default `header:x-api-key`).
    pub key_sources: Vec<KeySource>,
    /// Time limits in milliseconds and the failure policy (`TOLLGATE_ATTEMPT_TIMEOUT_MS`, default 300;
    /// `TOLLGATE_TOTAL_TIMEOUT_MS`, default 1500; `TOLLGATE_ON_STORE_FAILURE`, `deny` or `allow`, default `deny`).
    pub engine: Settings,
}

/// An environment variable with an invalid value.
#[derive(Debug, thiserror::Error)]
#[error("{name} must be {expected}, got {value:?}")]
pub struct ConfigError {
    name: &'static str,
    expected: String,
    value: String,
}

/// Access to variables by name. An empty variable counts as unset, because a template sets variables to the empty string if it
/// has no value for them.
#[derive(Clone, Copy)]
pub struct Variables<'a>(&'a dyn Fn(&str) -> Option<String>);

impl<'a> Variables<'a> {
    /// Variables that `read` looks up.
    pub fn new(read: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self(read)
    }

    /// The variables of this process.
    pub fn of_process() -> Self {
        Self(&|name| std::env::var(name).ok())
    }

    /// The value of a variable; `None` if it is unset or empty.
    pub fn text(&self, name: &str) -> Option<String> {
        (self.0)(name).filter(|value| !value.is_empty())
    }

    /// Maps a variable's word to a value. The first entry of `words` is the default.
    ///
    /// # Errors
    /// [`ConfigError`] if the variable is set to any other word.
    pub fn one_of<T: Copy, const N: usize>(
        &self,
        name: &'static str,
        words: &[(&'static str, T); N],
    ) -> Result<T, ConfigError> {
        let Some(value) = self.text(name) else {
            return Ok(words[0].1);
        };
        let found = words.iter().find(|(word, _)| *word == value);
        found
            .map(|(_, meaning)| *meaning)
            .ok_or_else(|| ConfigError {
                name,
                expected: words.map(|(word, _)| word).join(" or "),
                value,
            })
    }

    /// Reads a switch, `off` or `on`. The default is `off`.
    ///
    /// # Errors
    /// [`ConfigError`] if the variable is set to any other word.
    pub fn switch(&self, name: &'static str) -> Result<bool, ConfigError> {
        self.one_of(name, &[("off", false), ("on", true)])
    }

    /// Reads a number from 0 to 1. The default is 0.
    ///
    /// # Errors
    /// [`ConfigError`] if the variable is set to anything else.
    pub fn share(&self, name: &'static str) -> Result<f64, ConfigError> {
        self.parsed(name, 0.0, "a number from 0 to 1", |value| {
            let share = f64::from_str(value).ok()?;
            (0.0..=1.0).contains(&share).then_some(share)
        })
    }

    fn milliseconds(&self, name: &'static str, default: Duration) -> Result<Duration, ConfigError> {
        let expected = "a number of milliseconds from 1 to 60000";
        self.parsed(name, default, expected, |value| {
            let number = u64::from_str(value).ok()?;
            (1..=60_000)
                .contains(&number)
                .then(|| Duration::from_millis(number))
        })
    }

    fn parsed<T>(
        &self,
        name: &'static str,
        default: T,
        expected: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<T, ConfigError> {
        match self.text(name) {
            None => Ok(default),
            Some(value) => parse(&value).ok_or_else(|| ConfigError {
                name,
                expected: expected.to_owned(),
                value,
            }),
        }
    }
}

impl Config {
    /// Reads the configuration from this process's environment.
    ///
    /// # Errors
    /// [`ConfigError`] names the variable and the values it accepts.
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::read(Variables::of_process())
    }

    /// Reads the configuration from `variables`.
    ///
    /// # Errors
    /// [`ConfigError`] names the variable and the values it accepts.
    pub fn read(variables: Variables<'_>) -> Result<Self, ConfigError> {
        let defaults = Settings::default();
        Ok(Self {
            table: variables
                .text("TOLLGATE_TABLE")
                .unwrap_or_else(|| "tollgate".to_owned()),
            key_sources: variables.parsed(
                "TOLLGATE_KEY_SOURCE",
                vec![KeySource::Header("x-api-key".to_owned())],
                "a comma-separated list of header:<name>, bearer, query:<name>",
                key_sources,
            )?,
            engine: Settings {
                attempt_timeout: variables
                    .milliseconds("TOLLGATE_ATTEMPT_TIMEOUT_MS", defaults.attempt_timeout)?,
                total_timeout: variables
                    .milliseconds("TOLLGATE_TOTAL_TIMEOUT_MS", defaults.total_timeout)?,
                on_store_failure: variables.one_of(
                    "TOLLGATE_ON_STORE_FAILURE",
                    &[
                        ("deny", OnStoreFailure::Deny),
                        ("allow", OnStoreFailure::Allow),
                    ],
                )?,
                ..defaults
            },
        })
    }
}

fn key_sources(value: &str) -> Option<Vec<KeySource>> {
    let sources = value.split(',');
    sources
        .map(|source| KeySource::parse(source.trim()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(set: &[(&str, &str)]) -> Result<Config, ConfigError> {
        Config::read(Variables::new(&|name| {
            let found = set.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        }))
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
        let config = read(&[("TOLLGATE_KEY_SOURCE", "bearer, query:key,header: X-Key")]);
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
                "TOLLGATE_KEY_SOURCE",
                "header:x api key",
                "TOLLGATE_KEY_SOURCE must be a comma-separated list of header:<name>, bearer, query:<name>, got \"header:x api key\"",
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
