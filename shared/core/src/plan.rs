//! Plans: limits by API stage and method, and which of them a request has to meet.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::id::StageId;
use crate::limit::{Quota, Throttle};
use crate::limits::{BucketId, Limit};
use crate::moment::Nanos;
use crate::path::Path;
use crate::template::{self, Fit, MethodTemplate, is_greedy};

/// The limits of a usage plan.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Plan {
    /// The throttle of each key, over all stages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throttle: Option<Throttle>,
    /// The quota of each key, over all stages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<Quota>,
    /// The API stages that the plan opens.
    #[serde(default)]
    pub stages: Vec<ApiStage>,
}

/// One stage of an API, with its open methods and their throttles.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiStage {
    /// The API's id.
    pub api_id: String,
    /// The stage's name, which may be `$default`.
    pub stage: String,
    /// The throttles of each key, by method.
    #[serde(default)]
    pub throttle: BTreeMap<MethodTemplate, Throttle>,
    /// The methods that are open; `None` if all are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub methods: Option<BTreeSet<MethodTemplate>>,
}

/// The API stage, method and path that a request calls.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Target {
    /// The API's id.
    pub api_id: String,
    /// The stage's name.
    pub stage: String,
    /// The HTTP method, upper case.
    pub method: String,
    /// The path of the matched route, as a template; `None` for `$default`.
    pub route: Option<String>,
    /// The path that the client requested, without the stage.
    pub path: Path,
}

/// A throttle that a request has to meet.
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

    /// Orders throttles from strict to lenient: closed ones first, then by rate, then by burst.
    fn leniency(&self) -> (bool, Reverse<Nanos>, u32) {
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
    /// The stage that covers `target`, if the plan opens it.
    pub fn stage(&self, target: &Target) -> Option<&ApiStage> {
        self.stages
            .iter()
            .find(|stage| stage.api_id == target.api_id && stage.stage == target.stage)
    }
}

impl Target {
    /// Whether the path cannot be decoded and no exact route takes its place.
    pub(crate) fn is_unclear(&self) -> bool {
        self.path.is_malformed() && self.exact_route().is_none()
    }

    /// The route's template, if it identifies the method that is called; `$default` and `{proxy+}` do not.
    fn exact_route(&self) -> Option<&str> {
        self.route.as_deref().filter(|route| !is_greedy(route))
    }

    /// Whether one of `methods` covers the request: by its route or, if the route does not identify a path, by its path. No
    /// method covers a path that climbs with `..`, because a backend may resolve it to any other path.
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
    /// The stage's id.
    pub fn id(&self) -> StageId {
        StageId::new(&self.api_id, &self.stage)
    }

    /// The limits that the stage's throttles set to a request. `more` takes precedence over the stage's own throttles.
    pub(crate) fn limits(
        &self,
        target: &Target,
        more: Option<&BTreeMap<MethodTemplate, Throttle>>,
    ) -> impl Iterator<Item = Limit> {
        self.method_limit(target, more).into_iter()
    }

    /// The limit of the best matching template.
    ///
    /// The route identifies the method, if it can. Otherwise the path does, in every way that a backend may read it, and the
    /// strictest of the matches applies: no spelling of a path opens a closed method or gets around a limit.
    fn method_limit(
        &self,
        target: &Target,
        more: Option<&BTreeMap<MethodTemplate, Throttle>>,
    ) -> Option<Limit> {
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
        Some(Limit::method(id, met.throttle.bucket()?))
    }

    /// Matches by the path alone. If nothing matches, falls back to the catch-all route's own template, because the mapping of
    /// a custom domain may have put a prefix before the path.
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
        // Of equal matches, the first applies.
        let throttles = more.into_iter().flatten().chain(&self.throttle);
        let met = throttles.filter_map(|it| Met::of(it, method, path.iter().copied()));
        met.min_by(|a, b| a.fit.cmp(&b.fit))
    }

    /// The bucket that `*/*` gives to a method, which is a route and an HTTP method. If the route does not identify a path, all
    /// paths share one bucket; otherwise callers could create any number of buckets. HTTP methods that API Gateway does not
    /// know also share one.
    fn each_bucket_id(&self, target: &Target) -> BucketId {
        let method = match &*target.method {
            // HEAD counts as GET here too, because it calls the same method.
            "HEAD" => "GET",
            method if template::METHODS.contains(&method) => method,
            _ => template::ANY,
        };
        let route = target.route.as_deref().unwrap_or("$default");
        self.hashed(&format!("*/*{method} {route}"))
    }

    /// 64 bits of a hash: 11 characters for any length of template, and the same again if a template is removed and added back.
    pub(crate) fn bucket_id(&self, template: &MethodTemplate) -> BucketId {
        self.hashed(&template.to_string())
    }

    fn hashed(&self, method: &str) -> BucketId {
        let digest = Sha256::digest(format!("{}{method}", self.id()));
        let mut head = [0; 8];
        head.copy_from_slice(&digest[..8]);
        base62::encode(u64::from_be_bytes(head))
    }
}

#[cfg(test)]
mod tests;
