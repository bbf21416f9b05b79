//! Policies, shown as their statements without the stage's part of the ARNs.

use aws_lambda_events::iam::IamPolicyEffect;
use tollgate_core::reason::LimitKind;
use tollgate_core::status::{BucketStatus, Remainder};
use tollgate_core::terms::Reach;
use tollgate_core::verdict::{Reason, Verdict};

use super::statements;

const STAGE: &str = "arn:aws:execute-api:r:1:api/prod/";

fn shown(verdict: &Verdict, path: &str, is_cached: bool) -> Vec<String> {
    let arn = format!("{STAGE}{path}");
    let statements = statements(verdict, verdict.is_allowed(), Some(&arn), is_cached);
    let shown = statements.into_iter().map(|statement| {
        let resources: Vec<_> = statement
            .resource
            .iter()
            .map(|arn| arn.strip_prefix(STAGE).expect("of the stage"))
            .collect();
        format!("{:?} {}", statement.effect, resources.join(" "))
    });
    shown.collect()
}

fn verdict(reason: Reason, only: Option<&[(&str, &str)]>) -> Verdict {
    let reach = only.map_or(Reach::All, |only| {
        let only = only.iter();
        Reach::Only(
            only.map(|(method, path)| ((*method).to_owned(), (*path).to_owned()))
                .collect(),
        )
    });
    Verdict {
        reach: Some(reach),
        ..Verdict::because(reason)
    }
}

#[test]
fn uncached_a_policy_is_about_what_was_asked_for_alone() {
    assert_eq!(
        shown(&verdict(Reason::Ok, None), "GET/pets/7", false),
        ["Allow GET/pets/7"]
    );
    assert_eq!(
        shown(&verdict(Reason::Quota, None), "GET/", false),
        ["Deny GET/"]
    );
    assert_eq!(
        shown(&verdict(Reason::Ok, None), "$connect", false),
        ["Allow $connect"]
    );
}

#[test]
fn cached_it_opens_what_the_key_may_call_and_no_more() {
    assert_eq!(
        shown(&verdict(Reason::Ok, None), "GET/pets", true),
        ["Allow *"]
    );
    let only = [("GET", "/pets"), ("HEAD", "/pets"), ("ANY", "/pets")];
    assert_eq!(
        shown(&verdict(Reason::Ok, Some(&only)), "GET/toys/7", true),
        ["Allow GET/toys/7 GET/pets HEAD/pets"]
    );
    assert_eq!(
        shown(&verdict(Reason::Ok, Some(&[])), "GET/a", true),
        ["Allow GET/a"]
    );
    assert_eq!(
        shown(
            &verdict(Reason::Ok, Some(&[("PUT", "/"), ("PUT", "/a b")])),
            "PUT/",
            true
        ),
        ["Allow PUT/ PUT/ PUT/a b PUT/a%20b"]
    );
}

#[test]
fn cached_a_refusal_of_one_method_closes_no_other() {
    let only = [("GET", "/pets")];
    for reason in [Reason::MethodNotAllowed, Reason::MethodRate] {
        assert_eq!(
            shown(&verdict(reason, Some(&only)), "DELETE/x", true),
            ["Deny DELETE/x", "Allow GET/pets"]
        );
        assert_eq!(
            shown(&verdict(reason, None), "GET/x", true),
            ["Deny GET/x", "Allow *"]
        );
    }
}

#[test]
fn cached_a_refusal_that_other_methods_would_meet_opens_none() {
    let spent = BucketStatus {
        burst: 1,
        window: 1,
        remaining: 0,
        next_in: 1,
        full_in: 1,
    };
    let both = Verdict {
        limit_status: [(LimitKind::Rate, Remainder::Bucket(spent))]
            .into_iter()
            .collect(),
        ..verdict(Reason::MethodNotAllowed, None)
    };
    assert_eq!(shown(&both, "GET/x", true), ["Deny GET/x"]);
    assert_eq!(
        shown(&verdict(Reason::Contended, None), "GET/x", true),
        ["Deny GET/x"]
    );
    assert_eq!(
        shown(&verdict(Reason::CostExceedsBurst, None), "GET/x", true),
        ["Deny GET/x"]
    );
    for reason in [
        Reason::Disabled,
        Reason::Quota,
        Reason::Rate,
        Reason::NotInPlan,
    ] {
        assert_eq!(shown(&verdict(reason, None), "GET/x", true), ["Deny *"]);
    }
}

#[test]
fn wildcards_and_variables_in_a_path_are_never_passed_on() {
    for (path, expected) in [
        ("GET/*", "GET/?"),
        ("GET/pets/*/x*", "GET/pets/?/x?"),
        ("GET/${aws:username}", "GET/?{aws:username}"),
        ("GET/$connect", "GET/$connect"),
    ] {
        for reason in [Reason::Ok, Reason::MethodRate] {
            let statements = shown(&verdict(reason, None), path, false);
            assert!(
                statements[0].ends_with(&format!(" {expected}")),
                "{statements:?}"
            );
        }
    }
}

#[test]
fn cached_a_path_with_wildcards_opens_nothing_beside_what_the_key_may_call() {
    let only = [("GET", "/pets")];
    let ok = verdict(Reason::Ok, Some(&only));
    assert_eq!(shown(&ok, "GET/admin*users", true), ["Allow GET/pets"]);
    let nothing = verdict(Reason::Ok, Some(&[]));
    assert_eq!(
        shown(&nothing, "GET/admin*users", true),
        ["Deny GET/admin?users"]
    );
}

#[test]
fn more_than_a_policy_may_hold_is_only_what_was_asked_for() {
    let paths: Vec<String> = (0..300)
        .map(|n| format!("/a/rather/long/path/{n}"))
        .collect();
    let only: Vec<_> = paths.iter().map(|path| ("GET", path.as_str())).collect();
    assert_eq!(
        shown(&verdict(Reason::Ok, Some(&only)), "GET/x", true),
        ["Allow GET/x"]
    );
    let long = format!("/{}", "x".repeat(600));
    let only = [("GET", &*long), ("GET", "/a")];
    assert_eq!(
        shown(&verdict(Reason::Ok, Some(&only)), "GET/x", true),
        ["Allow GET/x GET/a"]
    );
}

#[test]
fn without_an_arn_everything_is_refused() {
    let refused = statements(&Verdict::because(Reason::BadEvent), false, None, true);
    assert_eq!(refused[0].resource, ["*"]);
    assert_eq!(refused[0].effect, IamPolicyEffect::Deny);
}
