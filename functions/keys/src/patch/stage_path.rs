//! The paths of method throttles: `/apiStages/apiId:stage/throttle/path/METHOD/rateLimit`.
//!
//! A resource path has slashes itself. Clients escape them, as JSON Pointer does (RFC 6901: `~1` is a slash, `~0` a tilde), or
//! leave them as they are: the stage is the first part and the method the last, so both can be read.

use std::fmt;

/// The start of every such path.
const API_STAGES: &str = "/apiStages/";

/// All throttles of a stage, as errors list the path.
pub(super) const STAGE_THROTTLE: &str = "/apiStages/<apidId:stageName>/throttle";
/// The throttle of a method, as errors list the path.
pub(super) const METHOD: &str =
    "/apiStages/<apidId:stageName>/throttle/<resourcePath>/<httpMethod>";
/// The rate of a method, as errors list the path.
pub(super) const METHOD_RATE: &str =
    "/apiStages/<apidId:stageName>/throttle/<resourcePath>/<httpMethod>/rateLimit";
/// The burst of a method, as errors list the path.
pub(super) const METHOD_BURST: &str =
    "/apiStages/<apidId:stageName>/throttle/<resourcePath>/<httpMethod>/burstLimit";

/// A path of a stage's throttles. Its `Display` escapes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StagePath {
    /// The stage, `apiId:stage`.
    pub stage: String,
    /// What it names of the stage.
    pub part: Part,
}

/// A part of a stage's throttles. Methods are `/path/METHOD`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// All throttles.
    All,
    /// The throttle of a method.
    Method(String),
    /// The rate of a method's throttle.
    Rate(String),
    /// The burst of a method's throttle.
    Burst(String),
}

impl StagePath {
    /// Reads a path, if it is one.
    pub fn parse(path: &str) -> Option<Self> {
        let (stage, rest) = path.strip_prefix(API_STAGES)?.split_once('/')?;
        let stage = unescape(stage);
        let rest = rest.strip_prefix("throttle")?;
        if rest.is_empty() {
            let part = Part::All;
            return Some(Self { stage, part });
        }
        let rest = rest.strip_prefix('/')?;
        let part = match rest.rsplit_once('/')? {
            (template, "rateLimit") => Part::Rate(method(template)?),
            (template, "burstLimit") => Part::Burst(method(template)?),
            _ => Part::Method(method(rest)?),
        };
        Some(Self { stage, part })
    }

    /// The path as errors list it.
    pub(super) fn pattern(&self) -> &'static str {
        match self.part {
            Part::All => STAGE_THROTTLE,
            Part::Method(_) => METHOD,
            Part::Rate(_) => METHOD_RATE,
            Part::Burst(_) => METHOD_BURST,
        }
    }
}

impl fmt::Display for StagePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{API_STAGES}{}/throttle", escape(&self.stage))?;
        let (template, number) = match &self.part {
            Part::All => return Ok(()),
            Part::Method(template) => (template, ""),
            Part::Rate(template) => (template, "/rateLimit"),
            Part::Burst(template) => (template, "/burstLimit"),
        };
        let (path, method) = template.rsplit_once('/').unwrap_or((template, ""));
        write!(f, "/{}/{method}{number}", escape(path))
    }
}

/// A method of a path and a name, the path escaped or not.
fn method(text: &str) -> Option<String> {
    let (path, method) = text.rsplit_once('/')?;
    Some(format!("{}/{method}", unescape(path)))
}

fn unescape(text: &str) -> String {
    text.replace("~1", "/").replace("~0", "~")
}

fn escape(text: &str) -> String {
    text.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_path_reads_the_same_escaped_and_raw() {
        let escaped = StagePath::parse("/apiStages/a:s/throttle/~1pets~1{id}/GET/rateLimit");
        let raw = StagePath::parse("/apiStages/a:s/throttle//pets/{id}/GET/rateLimit");
        assert_eq!(escaped, raw);
        assert_eq!(
            raw.map(|path| path.part),
            Some(Part::Rate("/pets/{id}/GET".to_owned()))
        );
    }

    proptest! {
        #[test]
        fn a_path_that_is_read_reads_the_same_when_it_is_written(
            path in "(/apiStages/)?[a:~01/]{0,6}/throttle(/[a-zA-Z~01/{}]{0,12})?(/GET)?(/rateLimit|/burstLimit)?|\\PC*",
        ) {
            if let Some(read) = StagePath::parse(&path) {
                prop_assert_eq!(StagePath::parse(&read.to_string()), Some(read));
            }
        }
    }
}
