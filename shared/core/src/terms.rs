//! What one key may do under one plan: the plan's limits, narrowed or replaced by what is agreed with the key's holder.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::limit::{Quota, Throttle};
use crate::plan::{ApiStage, Limits, Plan, Target};
use crate::template::{self, MethodTemplate};
use crate::verdict::Reason;

/// The methods that a key may call of its plans' API stages, by `apiId:stage`. A stage that is not there is closed to it; one
/// without methods is open as far as the plan opens it.
pub type Restriction = BTreeMap<String, BTreeSet<MethodTemplate>>;

/// Limits of one key in place of the plan's.
///
/// They end with a day, and not at a time: the meter's own day decides whether they hold, so that instances whose clocks differ
/// go by the same limits.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Override {
    /// In place of the plan's throttle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throttle: Option<Throttle>,
    /// In place of the limit of the plan's quota.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota_limit: Option<u64>,
    /// In place of the plan's method throttles, or besides them, by `apiId:stage`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub methods: BTreeMap<String, BTreeMap<MethodTemplate, Throttle>>,
    /// The last day on which they hold, UTC; `None` for always.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Date>,
}

impl Override {
    fn holds_on(&self, day: Date) -> bool {
        self.until.is_none_or(|until| day <= until)
    }
}

/// What one key may do under one plan.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'a> {
    /// The plan's limits.
    pub plan: &'a Plan,
    /// What the key is restricted to.
    pub restriction: Option<&'a Restriction>,
    /// The limits in place of the plan's.
    pub overrides: Option<&'a Override>,
}

/// What a key may call of a stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// All of it.
    All,
    /// These methods, each with a decoded path; [`ANY`](template::ANY) is every method. What it may call by a template with a
    /// `{name}` is not in it: a list of paths cannot say that.
    Only(BTreeSet<(String, String)>),
}

impl<'a> Terms<'a> {
    /// The stage that `target` is in, where the plan and the key open it.
    ///
    /// # Errors
    /// [`Reason::NotInPlan`] where the plan does not open the stage; [`Reason::MalformedPath`] where something there goes by the
    /// path, and this one cannot be told; [`Reason::MethodNotAllowed`] where the plan or the key does not open the method.
    pub fn opens(&self, target: &Target) -> Result<&'a ApiStage, Reason> {
        let stage = self.plan.stage(target).ok_or(Reason::NotInPlan)?;
        if target.is_unclear() && self.goes_by_path(stage) {
            return Err(Reason::MalformedPath);
        }
        if self.open(stage, |methods| target.is_one_of(methods)) {
            Ok(stage)
        } else {
            Err(Reason::MethodNotAllowed)
        }
    }

    /// Whether anything in a stage is closed or limited by its method.
    fn goes_by_path(&self, stage: &ApiStage) -> bool {
        let name = stage.name();
        let restricted = self.restriction.and_then(|it| it.get(&name));
        let own = self.overrides.and_then(|it| it.methods.get(&name));
        stage.methods.is_some()
            || !stage.throttle.is_empty()
            || restricted.is_some_and(|methods| !methods.is_empty())
            || own.is_some_and(|methods| !methods.is_empty())
    }

    /// What the key may call of a stage.
    pub fn reach(&self, stage: &ApiStage) -> Reach {
        let name = stage.name();
        let by_plan = stage.methods.as_ref();
        let by_key = self.restriction.map(|it| it.get(&name));
        let lists: Vec<_> = match by_key {
            // The key may not call this stage at all.
            Some(None) => return Reach::Only(BTreeSet::new()),
            Some(Some(methods)) if !methods.is_empty() => {
                by_plan.into_iter().chain([methods]).collect()
            }
            _ => by_plan.into_iter().collect(),
        };
        if lists.is_empty() {
            return Reach::All;
        }
        let mut only = BTreeSet::new();
        for path in lists
            .iter()
            .copied()
            .flatten()
            .filter_map(MethodTemplate::only_path)
        {
            let is_open = |method: &str| {
                let covered = |methods: &&BTreeSet<MethodTemplate>| {
                    let mut methods = methods.iter();
                    methods.any(|it| it.fit(method, template::segments(path)).is_some())
                };
                lists.iter().all(covered)
            };
            let methods = template::METHODS.iter().filter(|method| is_open(method));
            only.extend(methods.map(|method| ((*method).to_owned(), path.to_owned())));
        }
        Reach::Only(only)
    }

    /// What a request to `target` in `stage` has to meet on `day`.
    pub fn limits(&self, stage: &ApiStage, target: &Target, day: Date) -> Limits {
        let overrides = self.on(day);
        let methods = overrides.and_then(|overrides| overrides.methods.get(&stage.name()));
        Limits {
            method: stage.method_bucket(target, methods),
            ..self.whole(day)
        }
    }

    /// What every request has to meet on `day`, whatever its method.
    pub fn whole(&self, day: Date) -> Limits {
        let throttle = self.on(day).and_then(|overrides| overrides.throttle);
        Limits {
            rate: throttle
                .or(self.plan.throttle)
                .and_then(|throttle| throttle.bucket()),
            method: None,
            quota: self.quota(day),
        }
    }

    /// Every method throttle on `day` that the key can meet: the stage's name, the method, and the bucket as the only limit.
    pub fn methods(&self, day: Date) -> Vec<(String, MethodTemplate, Limits)> {
        let mut methods = Vec::new();
        for stage in &self.plan.stages {
            let name = stage.name();
            let mut throttles: BTreeMap<_, _> = stage.throttle.iter().collect();
            let own = self.on(day).and_then(|it| it.methods.get(&name));
            throttles.extend(own.into_iter().flatten());
            for (template, throttle) in throttles {
                let bucket = throttle.bucket().filter(|_| self.is_open(stage, template));
                if let Some(bucket) = bucket {
                    let limits = Limits {
                        method: Some((stage.bucket_id(template), bucket)),
                        ..Limits::default()
                    };
                    methods.push((name.clone(), template.clone(), limits));
                }
            }
        }
        methods
    }

    /// Whether some of the requests that `template` covers are open.
    pub fn is_open(&self, stage: &ApiStage, template: &MethodTemplate) -> bool {
        self.open(stage, |methods| {
            methods.iter().any(|method| method.overlaps(template))
        })
    }

    /// Whether the plan and the key open what `covers` finds in a list of methods.
    fn open(&self, stage: &ApiStage, covers: impl Fn(&BTreeSet<MethodTemplate>) -> bool) -> bool {
        let by_plan = stage.methods.as_ref().is_none_or(&covers);
        let by_key = self.restriction.is_none_or(|restriction| {
            let methods = restriction.get(&stage.name());
            methods.is_some_and(|methods| methods.is_empty() || covers(methods))
        });
        by_plan && by_key
    }

    /// The quota on `day`.
    pub fn quota(&self, day: Date) -> Option<Quota> {
        let quota = self.plan.quota?;
        let limit = self.on(day).and_then(|overrides| overrides.quota_limit);
        Some(limit.map_or(quota, |limit| quota.with_limit(limit)))
    }

    fn on(&self, day: Date) -> Option<&'a Override> {
        self.overrides.filter(|overrides| overrides.holds_on(day))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calendar::PeriodKind;
    use crate::path::Path;
    use jiff::civil::date;

    fn template(text: &str) -> MethodTemplate {
        text.parse().expect("a template")
    }

    fn plan(open: Option<&[&str]>) -> Plan {
        Plan {
            throttle: Some(Throttle::new(Some(1.0), Some(1)).expect("valid")),
            quota: Some(Quota::new(10, PeriodKind::Day, 0).expect("valid")),
            stages: vec![ApiStage {
                api_id: "api".into(),
                stage: "prod".into(),
                throttle: [(
                    template("/pets/GET"),
                    Throttle::new(Some(2.0), Some(2)).expect("valid"),
                )]
                .into(),
                methods: open.map(|open| open.iter().map(|text| template(text)).collect()),
            }],
        }
    }

    fn target(method: &str, route: Option<&str>, path: &str) -> Target {
        Target {
            api_id: "api".into(),
            stage: "prod".into(),
            method: method.into(),
            route: route.map(str::to_owned),
            path: Path::read(path),
        }
    }

    fn opened(plan: &Plan, restriction: Option<&Restriction>, target: &Target) -> Option<Reason> {
        let terms = Terms {
            plan,
            restriction,
            overrides: None,
        };
        terms.opens(target).err()
    }

    #[test]
    fn a_plan_that_lists_methods_opens_only_those() {
        let listed = plan(Some(&[
            "/pets/GET",
            "/pets/{id}/ANY",
            "/files/{proxy+}/GET",
        ]));
        let closed = Some(Reason::MethodNotAllowed);
        for (method, route, path, expected) in [
            ("GET", None, "/pets", None),
            ("POST", None, "/pets", closed),
            ("DELETE", None, "/pets/7", None),
            ("GET", None, "/toys", closed),
            ("GET", Some("/pets/{petId}"), "/pets/7", None),
            ("GET", Some("/toys"), "/pets", closed),
            ("GET", Some("/{proxy+}"), "/pets/7", None),
            ("GET", Some("/{proxy+}"), "/toys/7", closed),
            ("GET", Some("/pets/{proxy+}"), "/pets/1/x", closed),
            ("GET", Some("/{proxy+}"), "/pets/1/x", closed),
            ("GET", None, "/files", closed),
            ("GET", None, "/files/..%2fsecret", closed),
            ("GET", None, "/files/a/b", None),
            ("GET", None, "/files/../secret", closed),
            ("GET", None, "/files/..;x/secret", closed),
            ("GET", None, "/files/%2E./secret", closed),
            ("GET", None, "/files/..\\secret", closed),
            ("GET", None, "/files/a..b/...", None),
            ("GET", None, "/pets/..", closed),
        ] {
            assert_eq!(
                opened(&listed, None, &target(method, route, path)),
                expected,
                "{method} {path}"
            );
        }
        assert_eq!(opened(&plan(None), None, &target("PUT", None, "/x")), None);
    }

    #[test]
    fn a_key_is_restricted_to_stages_and_methods_within_what_its_plan_opens() {
        let (open, listed) = (plan(None), plan(Some(&["/pets/GET"])));
        let closed = Some(Reason::MethodNotAllowed);
        let to = |stage: &str, methods: &[&str]| -> Restriction {
            let methods = methods.iter().map(|text| template(text)).collect();
            [(stage.to_owned(), methods)].into()
        };
        let pets = target("GET", None, "/pets");
        assert_eq!(opened(&open, Some(&to("api:prod", &[])), &pets), None);
        assert_eq!(opened(&open, Some(&to("api:dev", &[])), &pets), closed);
        assert_eq!(
            opened(&open, Some(&to("api:prod", &["/toys/GET"])), &pets),
            closed
        );
        assert_eq!(
            opened(&open, Some(&to("api:prod", &["/pets/GET"])), &pets),
            None
        );
        // The key opens nothing that the plan closes.
        let toys = target("GET", None, "/toys");
        assert_eq!(
            opened(&listed, Some(&to("api:prod", &["/toys/GET"])), &toys),
            closed
        );
        let elsewhere = Target {
            stage: "dev".into(),
            ..pets
        };
        assert_eq!(
            opened(&open, Some(&to("api:dev", &[])), &elsewhere),
            Some(Reason::NotInPlan)
        );
    }

    #[test]
    fn a_name_in_an_open_method_opens_one_segment_and_no_more() {
        let listed = plan(Some(&["/{id}/GET"]));
        for (path, expected) in [
            ("/a", None),
            ("/a/b", Some(Reason::MethodNotAllowed)),
            ("/a/b/secret", Some(Reason::MethodNotAllowed)),
            ("/", Some(Reason::MethodNotAllowed)),
        ] {
            for route in [None, Some("/{proxy+}")] {
                assert_eq!(opened(&listed, None, &target("GET", route, path)), expected);
            }
        }
    }

    #[test]
    fn an_encoded_slash_opens_no_second_segment_and_closes_none() {
        let listed = plan(Some(&["/pets/{id}/GET"]));
        for (path, expected) in [
            ("/pets/7", None),
            ("/pets/a%2Fb", None),
            ("/pets%2F7", Some(Reason::MethodNotAllowed)),
            ("/pets%2F7/x", Some(Reason::MethodNotAllowed)),
        ] {
            assert_eq!(
                opened(&listed, None, &target("GET", None, path)),
                expected,
                "{path}"
            );
            assert_eq!(
                opened(&listed, None, &target("HEAD", None, path)),
                expected,
                "{path}"
            );
        }
    }

    #[test]
    fn a_path_that_cannot_be_told_is_refused_where_something_goes_by_it() {
        let refused = Some(Reason::MalformedPath);
        let asked = target("GET", None, "/pets/%zz");
        let mut free = plan(None);
        assert_eq!(
            opened(&free, None, &asked),
            refused,
            "a throttle goes by it"
        );
        free.stages[0].throttle.clear();
        assert_eq!(opened(&free, None, &asked), None);
        let to = |methods: &[&str]| -> Restriction {
            let methods = methods.iter().map(|text| template(text)).collect();
            [("api:prod".to_owned(), methods)].into()
        };
        assert_eq!(opened(&free, Some(&to(&[])), &asked), None);
        assert_eq!(
            opened(&free, Some(&to(&["/pets/{id}/GET"])), &asked),
            refused
        );
        let listed = plan(Some(&["/pets/{id}/GET"]));
        assert_eq!(opened(&listed, None, &asked), refused);
        // The API has told which of its routes was met.
        let routed = target("GET", Some("/pets/{id}"), "/pets/%zz");
        assert_eq!(opened(&listed, None, &routed), None);
    }

    #[test]
    fn the_reach_of_a_key_is_what_plan_and_key_both_open_by_its_path() {
        let reach = |open: Option<&[&str]>, own: Option<&[&str]>| {
            let plan = plan(open);
            let own: Option<Restriction> = own.map(|methods| {
                let methods = methods.iter().map(|text| template(text)).collect();
                [("api:prod".to_owned(), methods)].into()
            });
            let terms = Terms {
                plan: &plan,
                restriction: own.as_ref(),
                overrides: None,
            };
            match terms.reach(&plan.stages[0]) {
                Reach::All => vec!["all".to_owned()],
                Reach::Only(only) => only
                    .iter()
                    .map(|(method, path)| format!("{method} {path}"))
                    .collect(),
            }
        };
        assert_eq!(reach(None, None), ["all"]);
        assert_eq!(reach(None, Some(&[])), ["all"]);
        assert_eq!(
            reach(Some(&["/pets/GET"]), None),
            ["GET /pets", "HEAD /pets"]
        );
        assert_eq!(
            reach(None, Some(&["/pets/GET", "/pets/{id}/GET"])),
            ["GET /pets", "HEAD /pets"]
        );
        assert_eq!(
            reach(Some(&["/{proxy+}/ANY"]), Some(&["/a/POST"])),
            ["POST /a"]
        );
        assert_eq!(
            reach(Some(&["/a/ANY", "/b/GET"]), Some(&["/a/PUT", "/c/GET"])),
            ["PUT /a"]
        );
        assert!(reach(Some(&["/a/ANY"]), None).contains(&"ANY /a".to_owned()));
    }

    #[test]
    fn an_override_holds_up_to_and_with_its_last_day() {
        let plan = plan(None);
        let throttle = |rate| Throttle::new(Some(rate), Some(9)).expect("valid");
        let overrides = Override {
            throttle: Some(throttle(5.0)),
            quota_limit: Some(99),
            methods: [(
                "api:prod".to_owned(),
                [
                    (template("/pets/GET"), throttle(7.0)),
                    (template("/toys/GET"), throttle(8.0)),
                ]
                .into(),
            )]
            .into(),
            until: Some(date(2026, 12, 31)),
        };
        let terms = Terms {
            plan: &plan,
            restriction: None,
            overrides: Some(&overrides),
        };
        let limits = |path, day| terms.limits(&plan.stages[0], &target("GET", None, path), day);
        let bursts = |limits: &Limits| {
            let method = limits.method.as_ref().map(|(_, bucket)| bucket.burst());
            (
                limits.rate.map(|bucket| bucket.burst()),
                method,
                limits.quota.map(|quota| quota.limit()),
            )
        };
        let (last, after) = (date(2026, 12, 31), date(2027, 1, 1));
        assert_eq!(bursts(&limits("/pets", last)), (Some(9), Some(9), Some(99)));
        assert_eq!(bursts(&limits("/toys", last)), (Some(9), Some(9), Some(99)));
        assert_eq!(
            bursts(&limits("/pets", after)),
            (Some(1), Some(2), Some(10))
        );
        assert_eq!(bursts(&limits("/toys", after)), (Some(1), None, Some(10)));
        // A method's bucket is the same one, whoever sets its pace.
        let id = |limits: Limits| limits.method.map(|(id, _)| id);
        assert_eq!(id(limits("/pets", last)), id(limits("/pets", after)));
    }

    #[test]
    fn an_override_gives_a_plan_without_a_quota_none() {
        let plan = Plan {
            quota: None,
            ..plan(None)
        };
        let overrides = Override {
            quota_limit: Some(5),
            ..Override::default()
        };
        let terms = Terms {
            plan: &plan,
            restriction: None,
            overrides: Some(&overrides),
        };
        assert_eq!(terms.quota(date(2026, 1, 1)), None);
    }
}
