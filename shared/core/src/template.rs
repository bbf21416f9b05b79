//! Route templates of method throttles: `/pets/{id}/GET`, `//GET` for the root, `{proxy+}` for a whole rest.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The methods a template may name; `ANY` stands for every one.
const METHODS: [&str; 8] = [
    "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "ANY",
];

/// A path template and a method, in API Gateway's form `/path/METHOD`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MethodTemplate {
    path: String,
    method: String,
}

/// A text that is no method template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected a method throttle key such as /pets/{{id}}/GET, or //GET for the root, \
     with one of GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, ANY; got {0:?}"
)]
pub struct InvalidTemplate(pub String);

impl MethodTemplate {
    /// The template of `path` (from the root, with a leading slash) and `method`.
    ///
    /// # Errors
    /// [`InvalidTemplate`] where the path has no leading slash or the method is none.
    pub fn new(path: &str, method: &str) -> Result<Self, InvalidTemplate> {
        if !path.starts_with('/') || !METHODS.contains(&method) {
            return Err(InvalidTemplate(format!("{path}/{method}")));
        }
        Ok(Self {
            path: path.to_owned(),
            method: method.to_owned(),
        })
    }

    /// Its path.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Its method.
    pub fn method(&self) -> &str {
        &self.method
    }

    /// Whether there are requests that both this template and another one cover.
    pub fn overlaps(&self, other: &Self) -> bool {
        let methods = [&self.method, &other.method];
        if self.method != other.method && methods.iter().all(|method| *method != "ANY") {
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

    /// How well this template fits a request; `None` if it does not.
    pub fn fit(&self, method: &str, path: &str) -> Option<Fit> {
        let any = self.method == "ANY";
        if !any && self.method != method {
            return None;
        }
        let mut kinds = Vec::new();
        let mut rest = segments(path);
        for expected in segments(&self.path) {
            let kind = SegmentKind::of(expected);
            let found = rest.next();
            match (kind, found) {
                (SegmentKind::Greedy, Some(_)) => {
                    kinds.push(kind);
                    return Some(Fit { kinds, any });
                }
                (SegmentKind::Name, Some(_)) => kinds.push(kind),
                (SegmentKind::Exact, Some(found)) if found == expected => kinds.push(kind),
                _ => return None,
            }
        }
        rest.next().is_none().then_some(Fit { kinds, any })
    }
}

/// Whether a path template ends in a segment that takes a whole rest.
pub fn is_greedy(path: &str) -> bool {
    segments(path).any(|segment| SegmentKind::of(segment) == SegmentKind::Greedy)
}

/// Empty segments are passed over: `/pets/` and `//pets` reach the same backend as `/pets`, and must not be a way
/// around its throttle.
fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|segment| !segment.is_empty())
}

/// From the best to the worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum SegmentKind {
    Exact,
    Name,
    Greedy,
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

/// How well a template fits: exact beats `{name}` beats `{proxy+}`, segment by segment; then a method beats `ANY`.
/// The smallest is the best.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fit {
    kinds: Vec<SegmentKind>,
    any: bool,
}

impl Ord for Fit {
    fn cmp(&self, other: &Self) -> Ordering {
        self.kinds
            .cmp(&other.kinds)
            .then_with(|| self.any.cmp(&other.any))
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
        let (path, method) = text
            .rsplit_once('/')
            .ok_or_else(|| InvalidTemplate(text.to_owned()))?;
        Self::new(path, method).map_err(|_| InvalidTemplate(text.to_owned()))
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
                Some((template.fit(method, path)?, *text))
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
        for text in ["/pets/{id}/GET", "//GET", "/a/ANY"] {
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
        ] {
            assert!(text.parse::<MethodTemplate>().is_err(), "{text}");
        }
    }
}
