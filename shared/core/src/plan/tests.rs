use super::*;
use crate::bucket::Bucket;
use crate::limits::Rule;

fn stage(templates: &[(&str, f64)]) -> ApiStage {
    ApiStage {
        api_id: "api".into(),
        stage: "prod".into(),
        throttle: templates
            .iter()
            .map(|(template, rate)| {
                (
                    template.parse().expect("a template"),
                    Throttle::new(Some(*rate), Some(1)).expect("valid"),
                )
            })
            .collect(),
        methods: None,
    }
}

fn target(route: Option<&str>, path: &str) -> Target {
    Target {
        api_id: "api".into(),
        stage: "prod".into(),
        method: "GET".into(),
        route: route.map(str::to_owned),
        path: Path::read(path),
    }
}

/// The name and bucket of the method throttle that a request has to meet.
fn method_bucket(stage: &ApiStage, target: &Target) -> Option<(BucketId, Bucket)> {
    match stage.limits(target, None).next()?.rule {
        Rule::Bucket(id, bucket) => Some((id, bucket)),
        Rule::Quota(_) => None,
    }
}

fn interval(stage: &ApiStage, route: Option<&str>, path: &str) -> Option<i128> {
    method_bucket(stage, &target(route, path)).map(|(_, bucket)| bucket.interval())
}

#[test]
fn a_route_template_decides_and_the_path_only_where_the_route_is_a_catch_all() {
    let stage = stage(&[("/pets/{id}/GET", 1.0), ("/pets/top/GET", 10.0)]);
    assert_eq!(
        interval(&stage, Some("/pets/{id}"), "/pets/top"),
        Some(1_000_000_000)
    );
    assert_eq!(
        interval(&stage, Some("/pets/top"), "/pets/top"),
        Some(100_000_000)
    );
    assert_eq!(interval(&stage, None, "/pets/top"), Some(100_000_000));
    assert_eq!(
        interval(&stage, Some("/{proxy+}"), "/pets/7"),
        Some(1_000_000_000)
    );
    assert_eq!(interval(&stage, None, "/toys"), None);
}

#[test]
fn a_catch_all_route_meets_the_throttle_of_its_own_template() {
    let stage = stage(&[("/{proxy+}/GET", 1.0)]);
    assert_eq!(
        interval(&stage, Some("/{proxy+}"), "/a/b"),
        Some(1_000_000_000)
    );
    assert_eq!(interval(&stage, None, "/a/b"), Some(1_000_000_000));
}

#[test]
fn each_method_has_a_bucket_of_its_own_that_keeps_its_name() {
    let stage = stage(&[("/a/GET", 1.0), ("/b/GET", 1.0)]);
    let id = |path: &str| method_bucket(&stage, &target(None, path)).map(|(id, _)| id);
    assert_ne!(id("/a"), id("/b"));
    assert_eq!(stage.id(), "api:prod");
    assert_eq!(id("/a"), id("/a/"));
    assert!(id("/a").is_some_and(|id| id.len() <= 11));
}

#[test]
fn a_plan_opens_its_own_stages_of_its_own_apis() {
    let plan = Plan {
        stages: vec![stage(&[])],
        ..Plan::default()
    };
    assert!(plan.stage(&target(None, "/")).is_some());
    for (api_id, stage) in [("other", "prod"), ("api", "dev")] {
        let elsewhere = Target {
            api_id: api_id.into(),
            stage: stage.into(),
            ..target(None, "/")
        };
        assert_eq!(plan.stage(&elsewhere), None);
    }
}

fn burst(stage: &ApiStage, target: &Target) -> Option<u32> {
    let met = method_bucket(stage, target);
    met.map(|(_, bucket)| bucket.burst())
}

#[test]
fn what_is_closed_stays_closed_however_it_is_spelled() {
    let stage = stage(&[
        ("/cats/GET", 0.0),
        ("/pets/{id}/GET", 0.0),
        ("/{a}/{b}/{c}/GET", 0.0),
        ("/y/GET", 1.0),
        ("/{proxy+}/GET", 9.0),
    ]);
    for path in [
        "/cats",
        "/cats/",
        "//cats",
        "/c%61ts",
        "/./cats",
        "/x/../cats",
        "/%2e/cats",
        "/cats;v=1",
        "/cats%2F",
        "/x%2f..%2fcats",
        "/pets/a%2Fb",
        "/pets/7",
        "/pets%2F7",
        "/x/../y",
        "/a/b/c",
        "/x/..;/cats",
        "/x\\..\\cats",
    ] {
        assert_eq!(burst(&stage, &target(None, path)), Some(0), "{path}");
        let proxied = target(Some("/{proxy+}"), path);
        assert_eq!(burst(&stage, &proxied), Some(0), "{path}");
    }
    for path in ["/", "/dogs/1", "/cats.html", "/y"] {
        assert_ne!(burst(&stage, &target(None, path)), Some(0), "{path}");
    }
    let head = Target {
        method: "HEAD".into(),
        ..target(None, "/cats")
    };
    assert_eq!(burst(&stage, &head), Some(0));
}

#[test]
fn every_method_of_a_stage_has_a_bucket_of_its_own() {
    let stage = stage(&[("*/*", 1.0), ("/pets/GET", 2.0)]);
    let id = |method: &str, route: Option<&str>, path: &str| {
        let target = Target {
            method: method.into(),
            ..target(route, path)
        };
        method_bucket(&stage, &target).expect("a bucket")
    };
    let toys = id("GET", Some("/toys"), "/toys");
    assert_eq!(toys.1.interval(), 1_000_000_000);
    assert_ne!(toys.0, id("POST", Some("/toys"), "/toys").0);
    assert_ne!(toys.0, id("GET", Some("/cats/{id}"), "/cats/1").0);
    assert_eq!(
        id("GET", Some("/cats/{id}"), "/cats/1").0,
        id("GET", Some("/cats/{id}"), "/cats/2").0
    );
    assert_eq!(id("GET", Some("/pets"), "/pets").1.interval(), 500_000_000);
    // Under a catch-all route every path is the same method, however many paths a caller invents.
    assert_eq!(id("GET", None, "/a").0, id("GET", None, "/b").0);
    assert_ne!(id("GET", None, "/a").0, id("POST", None, "/a").0);
    assert_eq!(id("MADE", None, "/a").0, id("UP", None, "/a").0);
    assert_eq!(id("HEAD", None, "/a").0, id("GET", None, "/a").0);
}

#[test]
fn a_catch_all_is_no_segment_that_a_name_could_stand_for() {
    let closed = stage(&[("*/*", 0.0), ("/{id}/GET", 9.0), ("/{proxy+}/POST", 9.0)]);
    for path in ["/admin/users/7", "/", "/x/.."] {
        for route in [None, Some("/{proxy+}")] {
            assert_eq!(burst(&closed, &target(route, path)), Some(0), "{path}");
        }
    }
    let named = stage(&[("/{id}/GET", 0.0)]);
    assert_eq!(burst(&named, &target(None, "/a/b")), None);
    assert_eq!(burst(&named, &target(None, "/a")), Some(0));
}

#[test]
fn of_two_readings_the_stricter_throttle_is_met() {
    let stage = stage(&[
        ("/export/{id}/GET", 1.0),
        ("/static/assets/{proxy+}/GET", 1000.0),
    ]);
    let path = "/static/assets/../../export/7";
    assert_eq!(interval(&stage, None, path), Some(1_000_000_000));
}
