//! The environment, read once.

use tollgate_engine::config::{Config as Deciding, ConfigError, Variables};

/// How an authorizer behaves.
#[derive(Debug, Clone)]
pub struct Config {
    /// How requests are decided.
    pub deciding: Deciding,
    /// The form of answers to HTTP APIs with payload format 2.0 (`TOLLGATE_HTTP_RESPONSE`, `simple` or `policy`, default
    /// `simple`).
    pub http_response: HttpResponse,
    /// The answer to HTTP APIs if a limit refuses the request (`TOLLGATE_ON_LIMIT`, `deny` or `pass`, default `deny`).
    pub on_limit: OnLimit,
    /// The answer to REST APIs if something other than a limit refuses the request (`TOLLGATE_REST_RESPONSE`, `policy` or
    /// `errors`, default `policy`).
    pub rest_response: RestResponse,
    /// Whether APIs cache results (`TOLLGATE_RESULT_CACHING`, `off` or `on`, default `off`). A policy then covers the
    /// whole stage, because API Gateway may apply it to a request for another method.
    pub result_caching: bool,
    /// Whether the answer to REST APIs with `apiKeySource: AUTHORIZER` names the native API key that has the caller's value
    /// (`TOLLGATE_USAGE_IDENTIFIER_KEY`, `off` or `presented`, default `off`).
    pub names_native_key: bool,
    /// Which decisions are logged and counted.
    pub report: Reporting,
}

/// The form of an answer to an HTTP API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HttpResponse {
    /// `{"isAuthorized": ...}`.
    #[default]
    Simple,
    /// An IAM policy.
    Policy,
}

/// What happens to a request to an HTTP API that a limit refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnLimit {
    /// The API answers it with 403, its only status for refusals.
    #[default]
    Deny,
    /// It goes on to the backend, which has to refuse it because of the decision in its context.
    Pass,
}

/// The form of a refusal to a REST API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RestResponse {
    /// Always a policy. The API has one answer to all refusals.
    #[default]
    Policy,
    /// A policy if a limit refuses. If the key is not valid the function fails with `Unauthorized`, which REST APIs answer
    /// with 401; if the store could not decide, with another error, which they answer with 500.
    Errors,
}

/// Which decisions are logged and counted.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Reporting {
    /// The share of decisions that are logged (`TOLLGATE_LOG_SAMPLE`, 0 to 1, default 0).
    pub log_sample: f64,
    /// Whether decisions are counted per plan as well (`TOLLGATE_METRICS_BY_PLAN`, `off` or `on`, default `off`).
    pub by_plan: bool,
}

impl Config {
    /// Reads the process's environment.
    ///
    /// # Errors
    /// [`ConfigError`] names the variable and the values that it accepts.
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::read(Variables::of_process())
    }

    fn read(variables: Variables<'_>) -> Result<Self, ConfigError> {
        Ok(Self {
            deciding: Deciding::read(variables)?,
            http_response: variables.one_of(
                "TOLLGATE_HTTP_RESPONSE",
                &[
                    ("simple", HttpResponse::Simple),
                    ("policy", HttpResponse::Policy),
                ],
            )?,
            on_limit: variables.one_of(
                "TOLLGATE_ON_LIMIT",
                &[("deny", OnLimit::Deny), ("pass", OnLimit::Pass)],
            )?,
            rest_response: variables.one_of(
                "TOLLGATE_REST_RESPONSE",
                &[
                    ("policy", RestResponse::Policy),
                    ("errors", RestResponse::Errors),
                ],
            )?,
            result_caching: variables.switch("TOLLGATE_RESULT_CACHING")?,
            names_native_key: variables.one_of(
                "TOLLGATE_USAGE_IDENTIFIER_KEY",
                &[("off", false), ("presented", true)],
            )?,
            report: Reporting {
                log_sample: variables.share("TOLLGATE_LOG_SAMPLE")?,
                by_plan: variables.switch("TOLLGATE_METRICS_BY_PLAN")?,
            },
        })
    }
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
        let config = read(&[("TOLLGATE_ON_LIMIT", "")]).expect("valid");
        assert_eq!(config.deciding.table, "tollgate");
        assert_eq!(config.http_response, HttpResponse::Simple);
        assert_eq!(config.on_limit, OnLimit::Deny);
        assert_eq!(config.rest_response, RestResponse::Policy);
        assert!(!config.result_caching);
        assert!(!config.names_native_key);
        assert_eq!(config.report, Reporting::default());
    }

    #[test]
    fn a_variable_that_is_set_is_used() {
        let config = read(&[
            ("TOLLGATE_HTTP_RESPONSE", "policy"),
            ("TOLLGATE_ON_LIMIT", "pass"),
            ("TOLLGATE_REST_RESPONSE", "errors"),
            ("TOLLGATE_RESULT_CACHING", "on"),
            ("TOLLGATE_USAGE_IDENTIFIER_KEY", "presented"),
            ("TOLLGATE_LOG_SAMPLE", "0.25"),
            ("TOLLGATE_METRICS_BY_PLAN", "on"),
        ])
        .expect("valid");
        assert_eq!(config.http_response, HttpResponse::Policy);
        assert_eq!(config.on_limit, OnLimit::Pass);
        assert_eq!(config.rest_response, RestResponse::Errors);
        assert!(config.result_caching && config.report.by_plan);
        assert!((config.report.log_sample - 0.25).abs() < f64::EPSILON);
        assert!(config.names_native_key);
    }

    #[test]
    fn a_variable_that_makes_no_sense_is_named_with_what_it_takes() {
        for (name, value, message) in [
            (
                "TOLLGATE_ON_LIMIT",
                "admit",
                "TOLLGATE_ON_LIMIT must be deny or pass, got \"admit\"",
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
        ] {
            let error = read(&[(name, value)]).expect_err("invalid");
            assert_eq!(error.to_string(), message);
        }
    }
}
