//! Route templates of method throttles: `/pets/{id}/GET`, `//GET` for the root, `{proxy+}` for a whole rest, `*/*` for every
//! method of a stage.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::path::may_climb;

/// The methods a template may name; [`ANY`] stands for every one.
pub(crate) const METHODS: [&str; 8] = [
    "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", ANY,
];
/// Every method.
pub const ANY: &str = "ANY";
/// API Gateway's key for the throttle that each method of a stage has for itself.
const EVERY: &str = "*/*";

/// A path template and a method, in API Gateway's form `/path/METHOD`; or `*/*`, each method of a stage.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MethodTemplate {
    path: String,
    method: String,
}

/// A text that is no method template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTemplate {
    /// Of another form.
    #[error(
        "expected a method throttle key such as /pets/{{id}}/GET, //GET for the root, or */* for each method of the stage, \
         with one of GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, ANY; got {0:?}"
    )]
    Form(String),
    /// Of the right form, but no request can mean it.
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
    /// [`InvalidTemplate::Form`] where the path has no leading slash or the method is none.
    pub fn new(path: &str, method: &str) -> Result<Self, InvalidTemplate> {
        if !path.starts_with('/') || !METHODS.contains(&method) {
            return Err(InvalidTemplate::Form(format!("{path}/{method}")));
        }
        Ok(Self {
            path: path.to_owned(),
            method: method.to_owned(),
        })
    }

    /// `*/*`.
    pub fn every() -> Self {
        Self {
            path: "*".to_owned(),
            method: "*".to_owned(),
        }
    }

    /// Whether it is `*/*`.
    pub fn is_every(&self) -> bool {
        self.path == "*"
    }

    /// This template, if some request can mean it. Tables may hold others: releases before this one took them.
    ///
    /// # Errors
    /// [`InvalidTemplate::Path`] where none can.
    pub fn meant(self) -> Result<Self, InvalidTemplate> {
        if self.is_every() || can_be_met(&self.path) {
            Ok(self)
        } else {
            Err(InvalidTemplate::Path(self.to_string()))
        }
    }

    /// Its path.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Its method.
    pub fn method(&self) -> &str {
        &self.method
    }

    /// Its path, decoded, if it stands for that one alone.
    pub(crate) fn only_path(&self) -> Option<&str> {
        let is_exact = |segment| SegmentKind::of(segment) == SegmentKind::Exact;
        let one = !self.is_every() && segments(&self.path).all(is_exact);
        one.then_some(&*self.path)
    }

    /// Whether there are requests that both this template and another one cover.
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

    /// How well this template fits a request by its method and the segments of its path; `None` if it does not.
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

    /// How its method covers another one. HEAD counts as GET, whose handlers answer it.
    fn covers(&self, method: &str) -> Option<MethodKind> {
        match &*self.method {
            own if own == method => Some(MethodKind::Exact),
            "GET" if method == "HEAD" => Some(MethodKind::HeadAsGet),
            ANY => Some(MethodKind::Any),
            _ => None,
        }
    }
}

/// Whether a path template ends in a segment that takes a whole rest.
pub fn is_greedy(path: &str) -> bool {
    segments(path).any(|segment| SegmentKind::of(segment) == SegmentKind::Greedy)
}

/// The segments of a path template. Empty ones are left out, as those of requests are.
pub(crate) fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|segment| !segment.is_empty())
}

/// Whether requests can meet a path template, and it opens what it says.
fn can_be_met(path: &str) -> bool {
    let count = segments(path).count();
    let mut segments = segments(path).enumerate();
    let is_plain = segments.all(|(at, segment)| match SegmentKind::of(segment) {
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

/// From the best to the worst.
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

/// From the best to the worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum MethodKind {
    Exact,
    HeadAsGet,
    Any,
}

/// How well a template fits: exact beats `{name}` beats `{proxy+}`, segment by segment; then a method beats `ANY`.
/// Everything beats `*/*`. The smallest is the best.
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
mod tests {
    use super::*;

    fn best<'a>(templates: &[&'a str], method: &str, path: &str) -> Option<&'a str> {
        templates
            .iter()
            .filter_map(|text| {
                let template: MethodTemplate = text.parse().expect("a template");
                Some((template.fit(method, segments(path))?, *text))
            })
            .reduce(|best, next| if next.0 < best.0 { next } else { best })
            .map(|(_, text)| text)
    }

    #[test]
    fn exact_beats_name_beats_greedy_and_a_method_beats_any() {
        let all = [
            "/{proxy+}/GET",
            "/pets/{id}/ANY",
            "/pets/{id}/GET",
            "/pets/top/ANY",
            "//GET",
        ];
        assert_eq!(best(&all, "GET", "/pets/top"), Some("/pets/top/ANY"));
        assert_eq!(best(&all, "GET", "/pets/7"), Some("/pets/{id}/GET"));
        assert_eq!(best(&all, "POST", "/pets/7"), Some("/pets/{id}/ANY"));
        assert_eq!(best(&all, "GET", "/pets/7/toys"), Some("/{proxy+}/GET"));
        assert_eq!(best(&all, "GET", "/"), Some("//GET"));
        assert_eq!(best(&all, "POST", "/elsewhere"), None);
    }

    #[test]
    fn an_earlier_exact_segment_beats_a_later_one() {
        let all = ["/{kind}/top/GET", "/pets/{id}/GET"];
        assert_eq!(best(&all, "GET", "/pets/top"), Some("/pets/{id}/GET"));
    }

    #[test]
    fn a_route_template_is_matched_like_a_path() {
        assert_eq!(
            best(&["/pets/{id}/GET"], "GET", "/pets/{petId}"),
            Some("/pets/{id}/GET")
        );
        assert_eq!(
            best(&["/{proxy+}/ANY"], "GET", "/{proxy+}"),
            Some("/{proxy+}/ANY")
        );
        assert!(is_greedy("/a/{proxy+}") && !is_greedy("/a/{proxy}"));
    }

    #[test]
    fn templates_overlap_where_a_request_fits_both() {
        for (one, two, expected) in [
            ("/pets/GET", "/pets/ANY", true),
            ("/pets/GET", "/pets/POST", false),
            ("/pets/{id}/GET", "/pets/top/GET", true),
            ("/pets/{id}/GET", "/pets/GET", false),
            ("/{proxy+}/GET", "/pets/7/GET", true),
            ("/{proxy+}/GET", "//GET", false),
            ("/a/{b}/GET", "/{a}/b/GET", true),
            ("/a/b/GET", "/a/c/GET", false),
            ("/a/GET", "/a/HEAD", true),
            ("/a/POST", "*/*", true),
        ] {
            let parse = |text: &str| text.parse::<MethodTemplate>().expect("a template");
            assert_eq!(parse(one).overlaps(&parse(two)), expected, "{one} {two}");
            assert_eq!(parse(two).overlaps(&parse(one)), expected, "{two} {one}");
        }
    }

    #[test]
    fn empty_segments_are_no_way_around_and_greedy_wants_something() {
        assert_eq!(best(&["/pets/GET"], "GET", "//pets/"), Some("/pets/GET"));
        assert_eq!(best(&["/pets/{proxy+}/GET"], "GET", "/pets"), None);
        assert_eq!(best(&["/pets/GET"], "GET", "/pets/7"), None);
    }

    #[test]
    fn texts_read_back_and_malformed_ones_are_refused() {
        for text in ["/pets/{id}/GET", "//GET", "/a/ANY", "*/*"] {
            assert_eq!(
                String::from(text.parse::<MethodTemplate>().expect("a template")),
                text
            );
            assert_eq!(
                text.parse::<MethodTemplate>()
                    .expect("a template")
                    .to_string(),
                text
            );
        }
        for text in [
            "",
            "GET",
            "/GET",
            "pets/GET",
            "/pets/get",
            "/pets/FETCH",
            "/pets/",
            "/*/*",
            "*/GET",
            "*",
        ] {
            assert!(text.parse::<MethodTemplate>().is_err(), "{text}");
        }
    }

    #[test]
    fn head_counts_as_get_unless_it_is_named() {
        let all = [
            "/pets/GET",
            "/pets/HEAD",
            "/toys/GET",
            "/toys/ANY",
            "/{any}/ANY",
        ];
        assert_eq!(best(&all, "HEAD", "/pets"), Some("/pets/HEAD"));
        assert_eq!(best(&all, "HEAD", "/toys"), Some("/toys/GET"));
        assert_eq!(best(&all, "HEAD", "/else"), Some("/{any}/ANY"));
        assert_eq!(best(&["/pets/HEAD"], "GET", "/pets"), None);
    }

    #[test]
    fn every_method_is_met_where_nothing_else_is() {
        let all = ["*/*", "/{proxy+}/ANY"];
        assert_eq!(best(&all, "GET", "/a/b"), Some("/{proxy+}/ANY"));
        assert_eq!(best(&all, "GET", "/"), Some("*/*"));
        assert_eq!(best(&all[..1], "QUERY", "/a"), Some("*/*"));
    }

    #[test]
    fn a_template_that_no_request_can_mean_is_refused() {
        for text in [
            "//GET",
            "*/*",
            "/pets/GET",
            "/pets/{id}/GET",
            "/a b/GET",
            "/100%/GET",
            "/{proxy+}/ANY",
            "/a/{b}/{c+}/GET",
            "/pets//GET",
            "/.well-known/GET",
            "/$connect/GET",
            "/a:b/GET",
        ] {
            let template: MethodTemplate = text.parse().expect("a template");
            assert!(template.meant().is_ok(), "{text}");
        }
        for text in [
            "/{proxy+}/x/GET",
            "/a/../b/GET",
            "/./a/GET",
            "/a?b/GET",
            "/a#b/GET",
            "/a%20b/GET",
            "/a%2fb/GET",
            "/a//b/GET",
            "/{}/GET",
            "/{+}/GET",
            "/{a/GET",
            "/a}/GET",
            "/x{id}/GET",
            "/{a}{b}/GET",
            "/pets/*/GET",
            "/*/ANY",
            "/a\\b/GET",
            "/..;x/GET",
            "/a\u{7}/GET",
        ] {
            let template: MethodTemplate = text.parse().expect("a template");
            assert!(template.meant().is_err(), "{text}");
        }
    }
}
