//! The ARNs in a policy.

use std::collections::BTreeSet;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tollgate_core::template::ANY;
use tollgate_core::terms::Reach;

use crate::arn::MethodArn;

/// The longest resource that API Gateway accepts, in characters.
const MAX_RESOURCE: usize = 512;
/// The most that the resources may take of a policy's 8 KB, in bytes, with the quotes and commas around them.
const MAX_RESOURCES: usize = 7_000;
/// Encodes the characters that clients encode in a path (RFC 3986, 3.3).
const IN_PATH: AsciiSet = NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'!')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'+')
    .remove(b',')
    .remove(b';')
    .remove(b'=')
    .remove(b':')
    .remove(b'@');

/// The resource for the request to `arn`. The wildcards in its path, which clients may have written, are defused.
pub(super) fn requested(arn: &str) -> String {
    let path = match MethodArn::parse(arn) {
        Some(parsed) => parsed.path,
        None => arn,
    };
    let (before, path) = arn.split_at(arn.len() - path.len());
    format!("{before}{}", without_wildcards(path))
}

/// Replaces the characters by which IAM would match other paths, or insert a variable, with `?`, which matches exactly one
/// character, the replaced one included.
fn without_wildcards(path: &str) -> String {
    path.replace('*', "?").replace("${", "?{")
}

/// The resources of all methods that the key may call in the stage of `arn`, as far as ARNs can express them.
pub(super) fn open(reach: Option<&Reach>, arn: &MethodArn<'_>) -> Vec<String> {
    let only = match reach {
        // The decision ended before this was known.
        None => return Vec::new(),
        Some(Reach::All) => return vec![arn.whole_stage()],
        Some(Reach::Only(only)) => only,
    };
    let mut arns = BTreeSet::new();
    // ANY cannot be expressed: a `*` in place of the method would match slashes too, and with them longer paths.
    for (method, path) in only.iter().filter(|(method, _)| method != ANY) {
        let segments = || path.split('/').filter(|segment| !segment.is_empty());
        let plain: Vec<&str> = segments().collect();
        let encoded: Vec<String> = segments()
            .map(|segment| utf8_percent_encode(segment, &IN_PATH).to_string())
            .collect();
        // REST APIs keep paths as clients have encoded them, HTTP APIs decode them.
        for path in [plain.join("/"), encoded.join("/")] {
            arns.insert(arn.method(method, &path));
        }
    }
    arns.into_iter().collect()
}

/// The resources that a policy may have; the first alone if all together are too many.
pub(super) fn within_limits(mut resources: Vec<String>) -> Vec<String> {
    let fits = |resource: &String| resource.chars().count() <= MAX_RESOURCE;
    let bytes: usize = resources.iter().map(|resource| resource.len() + 3).sum();
    if bytes > MAX_RESOURCES {
        resources.truncate(1);
    } else if resources.len() > 1 {
        resources.retain(fits);
    }
    resources
}
