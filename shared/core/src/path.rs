//! The path of a request, parsed the same way for every entry point: split at `/` first, then each segment percent-decoded
//! once.
//!
//! Backends interpret paths differently. Some decode `%2F` before they split, drop `;x` after a segment, or resolve `.` and
//! `..`. A method that a plan closes has to stay closed for all of them. So throttles also check a second reading of an unusual
//! path: that of a backend that does all of this.

use percent_encoding::percent_decode_str;

/// A path as a list of segments. Empty segments are left out, because `/pets/` and `//pets` reach the same backend as `/pets`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Path {
    /// As the client requested it. A segment that decodes to a slash is still one segment.
    segments: Vec<String>,
    climbs: bool,
    malformed: bool,
}

impl Path {
    /// Parses a path as the client sent it, without its query.
    pub fn read(text: &str) -> Self {
        let mut path = Self::default();
        for encoded in text.split('/').filter(|segment| !segment.is_empty()) {
            let segment = decoded(encoded);
            path.malformed |= segment.is_none();
            let segment = segment.unwrap_or_else(|| encoded.to_owned());
            path.climbs |= may_climb(&segment);
            path.segments.push(segment);
        }
        path
    }

    /// The path without its first segment, if that is `name`.
    #[must_use]
    pub fn without_first(mut self, name: &str) -> Self {
        if self.segments.first().is_some_and(|first| first == name) {
            self.segments.remove(0);
        }
        self
    }

    /// The decoded segments.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().map(String::as_str)
    }

    /// Whether the path cannot be decoded: it has a `%` without two hexadecimal digits after it, or bytes that are not UTF-8.
    pub fn is_malformed(&self) -> bool {
        self.malformed
    }

    /// Whether some backend may find `.` or `..` in the path and resolve it to another path.
    pub(crate) fn climbs(&self) -> bool {
        self.climbs
    }

    /// The ways in which backends may read the path: as it stands and, if that differs, as a backend reads it that decodes
    /// first, drops `;x` and resolves dots.
    pub(crate) fn readings(&self) -> impl Iterator<Item = Vec<&str>> {
        let plain: Vec<&str> = self.segments().collect();
        let mut lenient = Vec::new();
        for part in self
            .segments()
            .flat_map(|segment| segment.split(['/', '\\']))
        {
            match part.split(';').next().unwrap_or_default() {
                "" | "." => {}
                ".." => {
                    lenient.pop();
                }
                name => lenient.push(name),
            }
        }
        let other = (lenient != plain).then_some(lenient);
        std::iter::once(plain).chain(other)
    }
}

fn decoded(segment: &str) -> Option<String> {
    let bytes = segment.as_bytes();
    let escapes = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'%');
    for (at, _) in escapes {
        let digits = bytes.get(at + 1..at + 3)?;
        if !digits.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
    }
    let decoded = percent_decode_str(segment).decode_utf8().ok()?;
    Some(decoded.into_owned())
}

/// Whether some backend may find `.` or `..` in a segment: by splitting at an encoded slash, by decoding it a second time, or
/// by dropping the part after a `;`.
pub(crate) fn may_climb(segment: &str) -> bool {
    let once_more = segment.to_ascii_lowercase();
    let once_more = once_more
        .replace("%2f", "/")
        .replace("%5c", "\\")
        .replace("%2e", ".");
    let mut parts = once_more.split(['/', '\\']);
    parts.any(|part| matches!(part.split(';').next(), Some("." | "..")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn readings(text: &str) -> Vec<String> {
        let path = Path::read(text);
        path.readings().map(|segments| segments.join(" ")).collect()
    }

    #[test]
    fn a_path_is_split_first_and_decoded_then_and_once() {
        for (text, expected) in [
            ("/pets/7", "pets|7"),
            ("//pets///7/", "pets|7"),
            ("/p%65ts/a%20b", "pets|a b"),
            ("/pets/a%2Fb", "pets|a/b"),
            ("/pets/a%252Fb", "pets|a%2Fb"),
            ("/caf%C3%A9", "café"),
            ("/.%2e/x", "..|x"),
            ("", ""),
        ] {
            let path = Path::read(text);
            assert_eq!(path.segments().collect::<Vec<_>>().join("|"), expected);
            assert!(!path.is_malformed(), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_decoded_says_so() {
        for text in ["/%", "/a/%2", "/%zz/a", "/%ff", "/%C3", "/%c0%af"] {
            assert!(Path::read(text).is_malformed(), "{text}");
        }
    }

    #[test]
    fn a_path_that_is_not_plain_has_a_second_reading() {
        for (text, expected) in [
            ("/cats/7", &["cats 7"][..]),
            ("/./cats", &[". cats", "cats"]),
            ("/x/../cats", &["x .. cats", "cats"]),
            ("/../cats", &[".. cats", "cats"]),
            ("/a%2Fb", &["a/b", "a b"]),
            ("/a%5Cb", &["a\\b", "a b"]),
            ("/cats;v=1/x", &["cats;v=1 x", "cats x"]),
            ("/x/..;y/cats", &["x ..;y cats", "cats"]),
        ] {
            assert_eq!(readings(text), expected, "{text}");
        }
    }

    #[test]
    fn a_stage_in_front_is_taken_off_once_and_only_whole() {
        let rest = |text: &str| {
            let path = Path::read(text).without_first("prod");
            path.segments().collect::<Vec<_>>().join("/")
        };
        assert_eq!(rest("/prod/pets"), "pets");
        assert_eq!(rest("/prod/prod"), "prod");
        assert_eq!(rest("/prod"), "");
        assert_eq!(rest("/product/7"), "product/7");
    }

    #[test]
    fn dots_are_found_however_they_are_written() {
        for text in [
            "/..",
            "/a/.",
            "/%2e%2E",
            "/a%2f..",
            "/..%5cb",
            "/%252e%252e",
            "/..;x/b",
        ] {
            assert!(Path::read(text).climbs(), "{text}");
        }
        for text in ["/a..b", "/...", "/a;..", "/.well-known"] {
            assert!(!Path::read(text).climbs(), "{text}");
        }
    }
}
