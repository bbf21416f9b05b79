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
