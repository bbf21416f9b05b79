//! Plans: limits by API stage and method, and which of them one request meets.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::bucket::Bucket;
use crate::limit::{Quota, Throttle};
use crate::path::Path;
use crate::template::{self, Fit, MethodTemplate, is_greedy};

/// The limits of a usage plan.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Plan {
    /// Per key, over all stages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throttle: Option<Throttle>,
    /// Per key, over all stages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<Quota>,
    /// The API stages that the plan opens.
    #[serde(default)]
    pub stages: Vec<ApiStage>,
}

/// One stage of one API, with what is throttled per method there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiStage {
    /// The API's id.
    pub api_id: String,
    /// The stage's name, `$default` included.
    pub stage: String,
    /// Throttles per key and method.
    #[serde(default)]
    pub throttle: BTreeMap<MethodTemplate, Throttle>,
    /// The methods that are open; `None` for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub methods: Option<BTreeSet<MethodTemplate>>,
}

/// Where a request goes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Target {
    /// The API's id.
    pub api_id: String,
    /// The stage's name.
    pub stage: String,
    /// The HTTP method, upper case.
    pub method: String,
    /// The path of the route that was met, as a template; `None` for `$default`.
    pub route: Option<String>,
    /// The path as it was asked for, without the stage.
    pub path: Path,
}

/// The name of a bucket inside a meter: short, because a meter has to stay under 1 KB.
pub type BucketId = String;

/// The bucket of the plan's own throttle.
pub const PLAN_BUCKET: &str = "*";

/// The limits that one request has to meet, all of them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Limits {
    /// The plan's throttle.
    pub rate: Option<Bucket>,
    /// The throttle of the method, with the bucket's name.
    pub method: Option<(BucketId, Bucket)>,
    /// The plan's quota.
    pub quota: Option<Quota>,
}

impl Limits {
    /// Every bucket with its name, the plan's first.
    pub fn buckets(&self) -> impl Iterator<Item = (&str, Bucket)> {
        let rate = self.rate.map(|bucket| (PLAN_BUCKET, bucket));
        let method = self
            .method
            .as_ref()
            .map(|(id, bucket)| (id.as_str(), *bucket));
        rate.into_iter().chain(method)
    }
}

/// A throttle that a request meets.
struct Met<'a> {
    fit: Fit,
    template: &'a MethodTemplate,
    throttle: &'a Throttle,
}

impl<'a> Met<'a> {
    fn of<'b>(
        (template, throttle): (&'a MethodTemplate, &'a Throttle),
        method: &str,
        path: impl IntoIterator<Item = &'b str>,
    ) -> Option<Self> {
        let fit = template.fit(method, path)?;
        Some(Self {
            fit,
            template,
            throttle,
        })
    }

    /// The smaller, the less it lets through: what is closed, then the slowest, then the smallest burst.
    fn leniency(&self) -> (bool, Reverse<i128>, u32) {
        match self.throttle.bucket() {
            Some(bucket) => (
                bucket.burst() > 0,
                Reverse(bucket.interval()),
                bucket.burst(),
            ),
            None => (true, Reverse(0), u32::MAX),
        }
    }
}

impl Plan {
    /// The stage entry that covers `target`, if the plan opens it.
    pub fn stage(&self, target: &Target) -> Option<&ApiStage> {
        self.stages
            .iter()
            .find(|stage| stage.api_id == target.api_id && stage.stage == target.stage)
    }
}

impl Target {
    /// Whether its path cannot be told, and its route does not stand in for it.
    pub(crate) fn is_unclear(&self) -> bool {
        self.path.is_malformed() && self.exact_route().is_none()
    }

    /// The route's template, where it says what is called: not for `$default` and `{proxy+}`.
    fn exact_route(&self) -> Option<&str> {
        self.route.as_deref().filter(|route| !is_greedy(route))
    }

    /// Whether one of `methods` covers it: its route, or where that says nothing of the path, its path. A path that climbs is
    /// covered by none: it may lead a backend anywhere.
    pub(crate) fn is_one_of(&self, methods: &BTreeSet<MethodTemplate>) -> bool {
        if self.path.climbs() {
            return false;
        }
        methods.iter().any(|method| {
            let fit = match self.exact_route() {
                Some(route) => method.fit(&self.method, template::segments(route)),
                None => method.fit(&self.method, self.path.segments()),
            };
            fit.is_some()
        })
    }
}

impl ApiStage {
    /// `apiId:stage`, the name of a stage in PATCH values.
    pub fn name(&self) -> String {
        format!("{}:{}", self.api_id, self.stage)
    }

    /// The best template's bucket, `more` going before the stage's own throttles.
    ///
    /// What the route says is what is called; where it says nothing of the path, the path is looked at, in every way in which a
    /// backend may read it. Of several the strictest goes first: no spelling opens what is closed, or gets more than is allowed.
    pub(crate) fn method_bucket(
        &self,
        target: &Target,
        more: Option<&BTreeMap<MethodTemplate, Throttle>>,
    ) -> Option<(BucketId, Bucket)> {
        let met = match target.exact_route() {
            Some(route) => {
                let segments: Vec<&str> = template::segments(route).collect();
                self.best(&target.method, &segments, more)?
            }
            None => self.strictest(target, more)?,
        };
        let id = if met.template.is_every() {
            self.each_bucket_id(target)
        } else {
            self.bucket_id(met.template)
        };
        Some((id, met.throttle.bucket()?))
    }

    /// By the path alone; and where nothing else is met by that, by a catch-all route's own template: a mapped domain may have
    /// put something before it.
    fn strictest<'a>(
        &'a self,
        target: &Target,
        more: Option<&'a BTreeMap<MethodTemplate, Throttle>>,
    ) -> Option<Met<'a>> {
        let readings = target.path.readings();
        let met = readings.filter_map(|reading| self.best(&target.method, &reading, more));
        let by_path = met.min_by_key(Met::leniency);
        let is_last = by_path
            .as_ref()
            .is_none_or(|met| met.template.is_every() && !met.throttle.is_closed());
        let own = target
            .route
            .as_deref()
            .filter(|_| is_last)
            .and_then(|route| {
                let throttles = more.into_iter().flatten().chain(&self.throttle);
                let mut own = throttles.filter(|(template, _)| template.path() == route);
                own.find_map(|it| Met::of(it, &target.method, template::segments(route)))
            });
        own.or(by_path)
    }

    fn best<'a>(
        &'a self,
        method: &str,
        path: &[&str],
        more: Option<&'a BTreeMap<MethodTemplate, Throttle>>,
    ) -> Option<Met<'a>> {
        // Of equals the first wins.
        let throttles = more.into_iter().flatten().chain(&self.throttle);
        let met = throttles.filter_map(|it| Met::of(it, method, path.iter().copied()));
        met.min_by(|a, b| a.fit.cmp(&b.fit))
    }

    /// The bucket that a method has by `*/*`. A method is what the API calls one: a route and an HTTP method. Where the route
    /// says nothing of the path all paths are one method, or callers could make buckets without end; so are HTTP methods
    /// that API Gateway does not know.
    fn each_bucket_id(&self, target: &Target) -> BucketId {
        let method = match &*target.method {
            // As everywhere: whoever asks for the head of an answer calls the same method.
            "HEAD" => "GET",
            method if template::METHODS.contains(&method) => method,
            _ => template::ANY,
        };
        let route = target.route.as_deref().unwrap_or("$default");
        self.hashed(&format!("*/*{method} {route}"))
    }

    /// 64 bits of a hash: 11 characters whatever the length of the template, and the same after a template was
    /// removed and put back.
    pub(crate) fn bucket_id(&self, template: &MethodTemplate) -> BucketId {
        self.hashed(&template.to_string())
    }

    fn hashed(&self, method: &str) -> BucketId {
        let digest = Sha256::digest(format!("{}{method}", self.name()));
        let mut head = [0; 8];
        head.copy_from_slice(&digest[..8]);
        base62::encode(u64::from_be_bytes(head))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    fn interval(stage: &ApiStage, route: Option<&str>, path: &str) -> Option<i128> {
        stage
            .method_bucket(&target(route, path), None)
            .map(|(_, bucket)| bucket.interval())
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
        let id = |path: &str| {
            stage
                .method_bucket(&target(None, path), None)
                .map(|(id, _)| id)
        };
        assert_ne!(id("/a"), id("/b"));
        assert_eq!(stage.name(), "api:prod");
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
        let met = stage.method_bucket(target, None);
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
            stage.method_bucket(&target, None).expect("a bucket")
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
        // Of a catch-all route every path is the same method, however many a caller makes up.
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
}
