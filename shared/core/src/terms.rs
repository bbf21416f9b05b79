//! What one key may do under one plan: the plan's limits, narrowed or replaced by what is agreed with the key's holder.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::limit::{Quota, Throttle};
use crate::plan::{ApiStage, Limits, Plan, Target};
use crate::template::MethodTemplate;
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

impl<'a> Terms<'a> {
    /// The stage that `target` is in, where the plan and the key open it.
    ///
    /// # Errors
    /// [`Reason::NotInPlan`] where the plan does not open the stage, [`Reason::MethodNotAllowed`] where the plan or the key
    /// does not open the method.
    pub fn opens(&self, target: &Target) -> Result<&'a ApiStage, Reason> {
        let stage = self.plan.stage(target).ok_or(Reason::NotInPlan)?;
        if self.open(stage, |methods| target.is_one_of(methods)) {
            Ok(stage)
        } else {
            Err(Reason::MethodNotAllowed)
        }
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
            path: path.into(),
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
