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
    /// How HTTP APIs with payload format 2.0 are answered (`TOLLGATE_HTTP_RESPONSE`, `simple` or `policy`, default
    /// `simple`).
    pub http_response: HttpResponse,
    /// Whether APIs cache results (`TOLLGATE_RESULT_CACHING`, `off` or `on`, default `off`): then a policy covers the
    /// whole stage, because the next request that it is used for may be another one.
    pub result_caching: bool,
    /// Whether REST APIs with `apiKeySource: AUTHORIZER` are told to go on with the native API key of the caller's value
    /// (`TOLLGATE_USAGE_IDENTIFIER_KEY`, `off` or `presented`, default `off`).
    pub names_native_key: bool,
    /// What is logged and counted.
    pub report: Reporting,
}

/// How an HTTP API takes its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HttpResponse {
    /// `{"isAuthorized": ...}`.
    #[default]
    Simple,
    /// An IAM policy.
    Policy,
}

/// What is logged and counted.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Reporting {
    /// The share of decisions that are logged (`TOLLGATE_LOG_SAMPLE`, 0 to 1, default 0).
    pub log_sample: f64,
    /// Whether decisions are counted per plan as well (`TOLLGATE_METRICS_BY_PLAN`, `off` or `on`, default `off`).
    pub by_plan: bool,
}

/// A variable that does not say what it should.
#[derive(Debug, thiserror::Error)]
#[error("{name} must be {expected}, got {value:?}")]
pub struct ConfigError {
    name: &'static str,
    expected: String,
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
                    expected: "a number of milliseconds from 1 to 60000".to_owned(),
                    value,
                }),
            },
        };
        let switch = |name| one_of(name, variable(name), &[("off", false), ("on", true)]);
        Ok(Self {
            table: variable("TOLLGATE_TABLE").unwrap_or_else(|| "tollgate".to_owned()),
            key_sources: key_sources(variable("TOLLGATE_KEY_SOURCE"))?,
            engine: Settings {
                attempt_timeout: milliseconds(
                    "TOLLGATE_ATTEMPT_TIMEOUT_MS",
                    defaults.attempt_timeout,
                )?,
                total_timeout: milliseconds("TOLLGATE_TOTAL_TIMEOUT_MS", defaults.total_timeout)?,
                on_store_failure: one_of(
                    "TOLLGATE_ON_STORE_FAILURE",
                    variable("TOLLGATE_ON_STORE_FAILURE"),
                    &[
                        ("deny", OnStoreFailure::Deny),
                        ("allow", OnStoreFailure::Allow),
                    ],
                )?,
            },
            http_response: one_of(
                "TOLLGATE_HTTP_RESPONSE",
                variable("TOLLGATE_HTTP_RESPONSE"),
                &[
                    ("simple", HttpResponse::Simple),
                    ("policy", HttpResponse::Policy),
                ],
            )?,
            result_caching: switch("TOLLGATE_RESULT_CACHING")?,
            names_native_key: one_of(
                "TOLLGATE_USAGE_IDENTIFIER_KEY",
                variable("TOLLGATE_USAGE_IDENTIFIER_KEY"),
                &[("off", false), ("presented", true)],
            )?,
            report: Reporting {
                log_sample: share("TOLLGATE_LOG_SAMPLE", variable("TOLLGATE_LOG_SAMPLE"))?,
                by_plan: switch("TOLLGATE_METRICS_BY_PLAN")?,
            },
        })
    }
}

/// The value that a word stands for; without a word, the first.
fn one_of<T: Copy, const N: usize>(
    name: &'static str,
    value: Option<String>,
    words: &[(&'static str, T); N],
) -> Result<T, ConfigError> {
    let Some(value) = value else {
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

fn share(name: &'static str, value: Option<String>) -> Result<f64, ConfigError> {
    let Some(value) = value else { return Ok(0.0) };
    match f64::from_str(&value) {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err(ConfigError {
            name,
            expected: "a number from 0 to 1".to_owned(),
            value,
        }),
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
        expected: "a comma-separated list of header:<name>, bearer, query:<name>".to_owned(),
        value,
    })
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
        assert_eq!(config.http_response, HttpResponse::Simple);
        assert!(!config.result_caching);
        assert!(!config.names_native_key);
        assert_eq!(config.report, Reporting::default());
    }

    #[test]
    fn what_is_set_is_taken() {
        let config = read(&[
            ("TOLLGATE_HTTP_RESPONSE", "policy"),
            ("TOLLGATE_RESULT_CACHING", "on"),
            ("TOLLGATE_USAGE_IDENTIFIER_KEY", "presented"),
            ("TOLLGATE_LOG_SAMPLE", "0.25"),
            ("TOLLGATE_METRICS_BY_PLAN", "on"),
        ])
        .expect("valid");
        assert_eq!(config.http_response, HttpResponse::Policy);
        assert!(config.result_caching && config.report.by_plan);
        assert!((config.report.log_sample - 0.25).abs() < f64::EPSILON);
        assert!(config.names_native_key);
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
                "TOLLGATE_RESULT_CACHING",
                "300",
                "TOLLGATE_RESULT_CACHING must be off or on, got \"300\"",
            ),
            (
                "TOLLGATE_LOG_SAMPLE",
                "1.5",
                "TOLLGATE_LOG_SAMPLE must be a number from 0 to 1, got \"1.5\"",
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
