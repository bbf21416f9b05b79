//! Route templates of method throttles: `/pets/{id}/GET`, `//GET` for the root, `{proxy+}` for all remaining segments, `*/*`
//! for every method of a stage.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::path::may_climb;

/// The methods that a template may name; [`ANY`] matches every method.
pub(crate) const METHODS: [&str; 8] = [
    "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", ANY,
];
/// The name that matches every method.
pub const ANY: &str = "ANY";
/// API Gateway's name for a throttle that each method of a stage gets for itself.
const EVERY: &str = "*/*";

/// A path template and a method, in API Gateway's form `/path/METHOD`; or `*/*` for each method of a stage.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MethodTemplate {
    path: String,
    method: String,
}

/// A text that is not a method template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTemplate {
    /// The text has another form.
    #[error(
        "expected a method throttle key such as /pets/{{id}}/GET, //GET for the root, or */* for each method of the stage, \
         with one of GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, ANY; got {0:?}"
    )]
    Form(String),
    /// The form is right, but no request can match the template.
    #[error(
        "expected a path without query, '.' and '..', and {{name+}} only at its end; each segment is a {{name}} or a text as \
         it reads, not percent-encoded, without * and braces; got {0:?}"
    )]
    Path(String),
}

impl MethodTemplate {
    /// The template of `path` (from the root, with a leading slash) and `method`.
    ///
    /// # Errors
    /// [`InvalidTemplate::Form`] if the path has no leading slash or the method is unknown.
    pub fn new(path: &str, method: &str) -> Result<Self, InvalidTemplate> {
        if !path.starts_with('/') || !METHODS.contains(&method) {
            return Err(InvalidTemplate::Form(format!("{path}/{method}")));
        }
        Ok(Self {
            path: path.to_owned(),
            method: method.to_owned(),
        })
    }

    /// The template `*/*`.
    pub fn every() -> Self {
        Self {
            path: "*".to_owned(),
            method: "*".to_owned(),
        }
    }

    /// Whether this is the template `*/*`.
    pub(crate) fn is_every(&self) -> bool {
        self.path == "*"
    }

    /// Whether all requests that the template matches share one bucket. Those that match `*/*` have one for each method.
    pub fn has_one_bucket(&self) -> bool {
        !self.is_every()
    }

    /// Returns this template if some request can match it. Tables may hold others, because earlier releases accepted them.
    ///
    /// # Errors
    /// [`InvalidTemplate::Path`] if no request can match it.
    pub fn meant(self) -> Result<Self, InvalidTemplate> {
        if self.is_every() || can_be_met(&self.path) {
            Ok(self)
        } else {
            Err(InvalidTemplate::Path(self.to_string()))
        }
    }

    /// The path template.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The method.
    pub fn method(&self) -> &str {
        &self.method
    }

    /// The decoded path, if the template matches only that path.
    pub(crate) fn only_path(&self) -> Option<&str> {
        let is_exact = |segment| SegmentKind::of(segment) == SegmentKind::Exact;
        // A template that no request can match may contain characters that an IAM policy would read as a wildcard.
        let is_single = can_be_met(&self.path) && segments(&self.path).all(is_exact);
        is_single.then_some(&*self.path)
    }

    /// Whether some request matches both this template and `other`.
    pub fn overlaps(&self, other: &Self) -> bool {
        if self.is_every() || other.is_every() {
            return true;
        }
        if self.covers(&other.method).is_none() && other.covers(&self.method).is_none() {
            return false;
        }
        let (mut mine, mut theirs) = (segments(&self.path), segments(&other.path));
        loop {
            let (this, that) = (mine.next(), theirs.next());
            let (Some(one), Some(two)) = (this, that) else {
                return this.is_none() && that.is_none();
            };
            match (SegmentKind::of(one), SegmentKind::of(two)) {
                (SegmentKind::Greedy, _) | (_, SegmentKind::Greedy) => return true,
                (SegmentKind::Exact, SegmentKind::Exact) if one != two => return false,
                _ => {}
            }
        }
    }

    /// How well this template fits a request's method and path segments; `None` if it does not match.
    pub fn fit<'a>(&self, method: &str, path: impl IntoIterator<Item = &'a str>) -> Option<Fit> {
        if self.is_every() {
            return Some(Fit {
                kinds: vec![SegmentKind::Every],
                method: MethodKind::Any,
            });
        }
        let method = self.covers(method)?;
        let mut kinds = Vec::new();
        let mut rest = path.into_iter();
        for expected in segments(&self.path) {
            let kind = SegmentKind::of(expected);
            let found = rest.next();
            match (kind, found) {
                (SegmentKind::Greedy, Some(_)) => {
                    kinds.push(kind);
                    return Some(Fit { kinds, method });
                }
                (SegmentKind::Name, Some(_)) => kinds.push(kind),
                (SegmentKind::Exact, Some(found)) if found == expected => kinds.push(kind),
                _ => return None,
            }
        }
        rest.next().is_none().then_some(Fit { kinds, method })
    }

    /// How this template's method covers another method. HEAD counts as GET, because the same handlers answer it.
    fn covers(&self, method: &str) -> Option<MethodKind> {
        match &*self.method {
            own if own == method => Some(MethodKind::Exact),
            "GET" if method == "HEAD" => Some(MethodKind::HeadAsGet),
            ANY => Some(MethodKind::Any),
            _ => None,
        }
    }
}

/// Whether a path template ends in a segment that matches all remaining segments.
pub fn is_greedy(path: &str) -> bool {
    segments(path).any(|segment| SegmentKind::of(segment) == SegmentKind::Greedy)
}

/// The segments of a path template. Empty ones are left out, as in the paths of requests.
pub(crate) fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|segment| !segment.is_empty())
}

/// Whether requests can match a path template, and it then opens exactly the paths it shows.
fn can_be_met(path: &str) -> bool {
    let count = segments(path).count();
    let mut segments = segments(path).enumerate();
    let is_plain = path.starts_with('/')
        && segments.all(|(at, segment)| match SegmentKind::of(segment) {
            SegmentKind::Exact => is_text(segment) && !may_climb(segment),
            SegmentKind::Name => is_name(&segment[1..segment.len() - 1]),
            SegmentKind::Greedy => at + 1 == count && is_name(&segment[1..segment.len() - 2]),
            SegmentKind::Every => false,
        });
    is_plain && !path.trim_start_matches('/').contains("//")
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(['{', '}', '+'])
}

fn is_text(segment: &str) -> bool {
    let encoded = segment.split('%').skip(1).any(|rest| {
        let digits = rest.as_bytes().get(..2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    });
    !encoded
        && !segment.contains(['{', '}', '?', '#', '*', '\\'])
        && !segment.contains(char::is_control)
}

/// From the best fit to the worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum SegmentKind {
    Exact,
    Name,
    Greedy,
    /// The whole path of `*/*`.
    Every,
}

impl SegmentKind {
    fn of(segment: &str) -> Self {
        match segment
            .strip_prefix('{')
            .and_then(|rest| rest.strip_suffix('}'))
        {
            Some(name) if name.ends_with('+') => Self::Greedy,
            Some(_) => Self::Name,
            None => Self::Exact,
        }
    }
}

/// From the best fit to the worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum MethodKind {
    Exact,
    HeadAsGet,
    Any,
}

/// How well a template fits: exact beats `{name}` beats `{proxy+}`, segment by segment; then a named method beats `ANY`.
/// Everything beats `*/*`. The smallest value is the best fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fit {
    kinds: Vec<SegmentKind>,
    method: MethodKind,
}

impl Ord for Fit {
    fn cmp(&self, other: &Self) -> Ordering {
        self.kinds
            .cmp(&other.kinds)
            .then_with(|| self.method.cmp(&other.method))
    }
}

impl PartialOrd for Fit {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for MethodTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.path, self.method)
    }
}

impl FromStr for MethodTemplate {
    type Err = InvalidTemplate;

    fn from_str(text: &str) -> Result<Self, InvalidTemplate> {
        if text == EVERY {
            return Ok(Self::every());
        }
        let invalid = || InvalidTemplate::Form(text.to_owned());
        let (path, method) = text.rsplit_once('/').ok_or_else(invalid)?;
        Self::new(path, method).map_err(|_| invalid())
    }
}

impl TryFrom<String> for MethodTemplate {
    type Error = InvalidTemplate;

    fn try_from(text: String) -> Result<Self, InvalidTemplate> {
        text.parse()
    }
}

impl From<MethodTemplate> for String {
    fn from(template: MethodTemplate) -> Self {
        template.to_string()
    }
}

#[cfg(test)]
mod tests;
