//! What the command line says of plans: stages, methods, limits.

use std::str::FromStr;

use clap::{Args, ValueEnum};

#[derive(Debug, Args)]
pub(crate) struct Limits {
    /// Requests per second of each key
    #[arg(long, value_name = "N", value_parser = rate)]
    pub(crate) rate: Option<f64>,
    /// Requests that may come at once
    #[arg(long, value_name = "N")]
    pub(crate) burst: Option<u32>,
    /// Requests per period of each key
    #[arg(long, value_name = "N")]
    pub(crate) quota: Option<u64>,
    /// When the quota begins anew
    #[arg(long, value_enum)]
    pub(crate) period: Option<Period>,
    /// The day on which a period begins: 0 to 6 from Sunday on, or 0 to 27 from the 1st on
    #[arg(long, value_name = "DAYS")]
    pub(crate) offset: Option<u32>,
    /// A limit of each key on one method, such as abc123:prod/pets/{id}/GET=5:10
    #[arg(long, value_name = "API:STAGE/PATH/METHOD=RATE[:BURST]")]
    pub(crate) method_throttle: Vec<MethodThrottle>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Period {
    Day,
    Week,
    Month,
}

impl Period {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Day => "DAY",
            Self::Week => "WEEK",
            Self::Month => "MONTH",
        }
    }
}

/// `apiId:stage`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stage {
    pub(crate) api: String,
    pub(crate) stage: String,
}

impl FromStr for Stage {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some((api, stage)) if !api.is_empty() && !stage.is_empty() => Ok(Self {
                api: api.to_owned(),
                stage: stage.to_owned(),
            }),
            _ => Err("expected the API's id and its stage, such as abc123:prod".to_owned()),
        }
    }
}

impl std::fmt::Display for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.api, self.stage)
    }
}

/// A method of a stage: `apiId:stage/path/METHOD`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Method {
    pub(crate) stage: Stage,
    /// `/path/METHOD`, as plans name it.
    pub(crate) template: String,
}

impl FromStr for Method {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let slash = text
            .find('/')
            .filter(|slash| text[slash + 1..].contains('/'));
        let (stage, template) = text.split_at(slash.ok_or(
            "expected API:STAGE/PATH/METHOD, such as abc123:prod/pets/{id}/GET, or abc123:prod//GET for the root",
        )?);
        Ok(Self {
            stage: stage.parse()?,
            template: template.to_owned(),
        })
    }
}

impl Method {
    /// The PATCH path of its throttle; the path in it is escaped as JSON Pointer does.
    pub(crate) fn patch_path(&self) -> String {
        let (path, method) = self.template.rsplit_once('/').unwrap_or_default();
        let path = if path.is_empty() { "/" } else { path };
        let path = path.replace('~', "~0").replace('/', "~1");
        format!("/apiStages/{}/throttle/{path}/{method}", self.stage)
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct MethodThrottle {
    pub(crate) method: Method,
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

/// JSON has no word for infinity, nor for what is no number.
pub(crate) fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate: &f64| rate.is_finite());
    rate.ok_or_else(|| "expected requests per second, such as 10 or 0.5".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_is_named_as_plans_and_patches_name_it() {
        for (text, template, path) in [
            (
                "abc:prod/pets/{id}/GET",
                "/pets/{id}/GET",
                "/apiStages/abc:prod/throttle/~1pets~1{id}/GET",
            ),
            (
                "abc:$default//ANY",
                "//ANY",
                "/apiStages/abc:$default/throttle/~1/ANY",
            ),
        ] {
            let method: Method = text.parse().expect("a method");
            assert_eq!(method.template, template);
            assert_eq!(method.patch_path(), path);
        }
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
