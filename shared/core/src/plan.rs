//! Plans: limits by API stage and method, and which of them one request meets.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::bucket::Bucket;
use crate::limit::{Quota, Throttle};
use crate::template::{MethodTemplate, is_greedy};

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
    pub path: String,
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

impl Plan {
    /// The stage entry that covers `target`, if the plan opens it.
    pub fn stage(&self, target: &Target) -> Option<&ApiStage> {
        self.stages
            .iter()
            .find(|stage| stage.api_id == target.api_id && stage.stage == target.stage)
    }
}

/// Whether some backend may take a path segment for `.` or `..`: decoded once more, or without parameters behind it.
fn may_climb(segment: &str) -> bool {
    let name = segment.split(';').next().unwrap_or_default();
    matches!(&*name.replace("%2e", "."), "." | "..")
}

impl Target {
    /// Whether one of `methods` covers it: its route, or where that says nothing of the path (`$default`, `{proxy+}`), its path.
    /// A path that climbs is covered by none: it may lead a backend anywhere.
    pub(crate) fn is_one_of(&self, methods: &BTreeSet<MethodTemplate>) -> bool {
        let decoded = self.path.to_ascii_lowercase();
        let decoded = decoded.replace("%2f", "/").replace("%5c", "/");
        if decoded.split(['/', '\\']).any(may_climb) {
            return false;
        }
        let route = self.route.as_deref().filter(|route| !is_greedy(route));
        let path = route.unwrap_or(&self.path);
        let mut methods = methods.iter();
        methods.any(|method| method.fit(&self.method, path).is_some())
    }

    /// What `find` has for the route; where the route says nothing of the path, for the path itself first.
    fn as_routed<T>(&self, find: impl Fn(&str) -> Option<T>) -> Option<T> {
        let route = self.route.as_deref().unwrap_or("/{proxy+}");
        let by_path = is_greedy(route).then(|| find(&self.path)).flatten();
        by_path.or_else(|| find(route))
    }
}

impl ApiStage {
    /// `apiId:stage`, the name of a stage in PATCH values.
    pub fn name(&self) -> String {
        format!("{}:{}", self.api_id, self.stage)
    }

    /// The best template's bucket, `more` going before the stage's own throttles.
    pub(crate) fn method_bucket(
        &self,
        target: &Target,
        more: Option<&BTreeMap<MethodTemplate, Throttle>>,
    ) -> Option<(BucketId, Bucket)> {
        let (template, throttle) =
            target.as_routed(|path| self.best(&target.method, path, more))?;
        Some((self.bucket_id(template), throttle.bucket()?))
    }

    fn best<'a>(
        &'a self,
        method: &str,
        path: &str,
        more: Option<&'a BTreeMap<MethodTemplate, Throttle>>,
    ) -> Option<(&'a MethodTemplate, &'a Throttle)> {
        // Of equals the first wins.
        let throttles = more.into_iter().flatten().chain(&self.throttle);
        throttles
            .filter_map(|(template, throttle)| {
                Some((template.fit(method, path)?, template, throttle))
            })
            .min_by(|(a, ..), (b, ..)| a.cmp(b))
            .map(|(_, template, throttle)| (template, throttle))
    }

    /// 64 bits of a hash: 11 characters whatever the length of the template, and the same after a template was
    /// removed and put back.
    pub(crate) fn bucket_id(&self, template: &MethodTemplate) -> BucketId {
        let digest = Sha256::digest(format!("{}{template}", self.name()));
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
            path: path.into(),
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
}
