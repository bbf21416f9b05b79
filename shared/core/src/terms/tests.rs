use super::*;
use crate::calendar::PeriodKind;
use crate::limits::PLAN_BUCKET;
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
        [(stage.into(), methods)].into()
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
    // A key's restriction cannot open a method that the plan closes.
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
        [("api:prod".into(), methods)].into()
    };
    assert_eq!(opened(&free, Some(&to(&[])), &asked), None);
    assert_eq!(
        opened(&free, Some(&to(&["/pets/{id}/GET"])), &asked),
        refused
    );
    let listed = plan(Some(&["/pets/{id}/GET"]));
    assert_eq!(opened(&listed, None, &asked), refused);
    // The API reported which of its routes matched.
    let routed = target("GET", Some("/pets/{id}"), "/pets/%zz");
    assert_eq!(opened(&listed, None, &routed), None);
}

#[test]
fn the_reach_of_a_key_is_what_plan_and_key_both_open_by_its_path() {
    let reach_with = |closed: &[&str], open: Option<&[&str]>, own: Option<&[&str]>| {
        let mut plan = plan(open);
        for text in closed {
            let throttle = Throttle::new(None, Some(0)).expect("valid");
            plan.stages[0].throttle.insert(template(text), throttle);
        }
        let own: Option<Restriction> = own.map(|methods| {
            let methods = methods.iter().map(|text| template(text)).collect();
            [("api:prod".into(), methods)].into()
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
    let reach = |open, own| reach_with(&[], open, own);
    // A policy must not open a method that a throttle closes.
    assert!(reach_with(&["/cats/GET"], None, None).is_empty());
    let lists: Option<&[&str]> = Some(&["/pets/GET", "/cats/GET"]);
    assert_eq!(
        reach_with(&["/cats/ANY"], lists, None),
        ["GET /pets", "HEAD /pets"]
    );
    assert!(reach_with(&["*/*"], lists, None).is_empty());
    // Earlier releases accepted templates that no request can match; they must not act as wildcards.
    assert!(reach(Some(&["/*/GET", "/admin/*/ANY"]), None).is_empty());
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

/// The bursts of the plan's throttle and the method's, and the limit of the quota.
fn bursts(limits: &Limits) -> (Option<u32>, Option<u32>, Option<u64>) {
    let burst = |is_plans: bool| {
        let mut buckets = limits.buckets();
        let bucket = buckets.find(|(id, _)| (*id == PLAN_BUCKET) == is_plans);
        bucket.map(|(_, bucket)| bucket.burst())
    };
    let quota = limits.quota().map(|quota| quota.limit());
    (burst(true), burst(false), quota)
}

#[test]
fn an_override_holds_up_to_and_with_its_last_day() {
    let plan = plan(None);
    let throttle = |rate| Throttle::new(Some(rate), Some(9)).expect("valid");
    let overrides = Override {
        throttle: Some(throttle(5.0)),
        quota_limit: Some(99),
        methods: [(
            "api:prod".into(),
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
    let (last, after) = (date(2026, 12, 31), date(2027, 1, 1));
    assert_eq!(bursts(&limits("/pets", last)), (Some(9), Some(9), Some(99)));
    assert_eq!(bursts(&limits("/toys", last)), (Some(9), Some(9), Some(99)));
    assert_eq!(
        bursts(&limits("/pets", after)),
        (Some(1), Some(2), Some(10))
    );
    assert_eq!(bursts(&limits("/toys", after)), (Some(1), None, Some(10)));
    // A method has the same bucket whether the plan or an override sets its pace.
    let id = |limits: Limits| limits.buckets().last().map(|(id, _)| id.to_owned());
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
