//! Rates and bursts, of plans and of methods.

use std::str::FromStr;

use serde_json::{Value, json};

use super::method::Method;

/// The throttle of one method: `apiId:stage/path/METHOD=rate[:burst]`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct MethodThrottle {
    pub(crate) method: Method,
    /// Requests per second.
    pub(crate) rate: f64,
    pub(crate) burst: Option<u32>,
}

impl FromStr for MethodThrottle {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const EXPECTED: &str =
            "expected a rate and perhaps a burst after =, such as abc123:prod/pets/{id}/GET=5:10";
        let (method, throttle) = text.rsplit_once('=').ok_or(EXPECTED)?;
        let (rate, burst) = match throttle.split_once(':') {
            Some((rate, burst)) => (rate, Some(burst.parse().map_err(|_| EXPECTED)?)),
            None => (throttle, None),
        };
        Ok(Self {
            method: method.parse()?,
            rate: self::rate(rate).map_err(|_| EXPECTED)?,
            burst,
        })
    }
}

impl MethodThrottle {
    /// The throttle in a body of the API.
    pub(crate) fn body(&self) -> Value {
        body(Some(self.rate), self.burst)
    }
}

/// A throttle in a body of the API.
pub(crate) fn body(rate: Option<f64>, burst: Option<u32>) -> Value {
    let mut throttle = json!({});
    if let Some(rate) = rate {
        throttle["rateLimit"] = json!(rate);
    }
    if let Some(burst) = burst {
        throttle["burstLimit"] = json!(burst);
    }
    throttle
}

/// Requests per second. Infinity and NaN are numbers to Rust, but JSON cannot express them.
pub(crate) fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate: &f64| rate.is_finite());
    rate.ok_or_else(|| "expected requests per second, such as 10 or 0.5".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_methods_throttle_has_a_finite_rate_and_perhaps_a_burst() {
        let throttle: MethodThrottle = "abc:prod/a/GET=0.5:3".parse().expect("a throttle");
        assert_eq!(throttle.burst, Some(3));
        for wrong in [
            "abc:prod/a/GET",
            "abc:prod/a/GET=x",
            "abc:prod/a/GET=1:x",
            "abc/a/GET=1",
            "abc:prod=1",
            "abc:prod/a/GET=NaN:4",
            "abc:prod/a/GET=inf",
        ] {
            assert!(wrong.parse::<MethodThrottle>().is_err(), "{wrong}");
        }
    }
}
