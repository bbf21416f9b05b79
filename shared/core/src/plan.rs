//! Plans: limits by API stage and method, and which of them one request meets.

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
    /// Which stage it is.
    pub fn id(&self) -> StageId {
        StageId::new(&self.api_id, &self.stage)
    }

    /// The limit of the best template, `more` going before the stage's own throttles.
    ///
    /// What the route says is what is called; where it says nothing of the path, the path is looked at, in every way in which a
    /// backend may read it. Of several the strictest goes first: no spelling opens what is closed, or gets more than is allowed.
    pub(crate) fn method_limit(
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
        let digest = Sha256::digest(format!("{}{method}", self.id()));
        let mut head = [0; 8];
        head.copy_from_slice(&digest[..8]);
        base62::encode(u64::from_be_bytes(head))
    }
}

#[cfg(test)]
mod tests;
