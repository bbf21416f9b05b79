//! IAM policies: what of an API's stage they open and close.
//!
//! API Gateway may cache a policy and go by it for other methods of the stage (`TOLLGATE_RESULT_CACHING=on` says that it does).
//! So a policy opens what the key may call and no more, and one method that is refused leaves the others open.

use std::collections::BTreeSet;

use aws_lambda_events::iam::{IamPolicyEffect, IamPolicyStatement};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tollgate_core::template::ANY;
use tollgate_core::terms::Reach;
use tollgate_core::verdict::{Reason, Verdict};

use crate::arn::MethodArn;

/// The most that API Gateway takes of one resource, in characters.
const MOST_RESOURCE: usize = 512;
/// The most that its resources may take of a policy of 8 KB, in bytes, with what stands around them.
const MOST_RESOURCES: usize = 7_000;
/// What clients leave as it is in a path (RFC 3986, 3.3).
const IN_PATH: AsciiSet = NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'!')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'+')
    .remove(b',')
    .remove(b';')
    .remove(b'=')
    .remove(b':')
    .remove(b'@');

/// The statements of a policy about the request to `arn`; without one there is nothing to admit to.
pub fn statements(
    verdict: &Verdict,
    allowed: bool,
    arn: Option<&str>,
    is_cached: bool,
) -> Vec<IamPolicyStatement> {
    let Some(text) = arn else {
        return vec![statement(IamPolicyEffect::Deny, vec!["*".to_owned()])];
    };
    let asked = MethodArn::parse(text).map_or_else(|| without_wildcards(text), |arn| asked(&arn));
    let stage = MethodArn::parse(text).filter(|_| is_cached);
    let Some(stage) = stage else {
        return vec![statement(effect(allowed), vec![asked])];
    };
    if allowed {
        let mut open = open(verdict, &stage);
        if verdict.reach != Some(Reach::All) && asked == text {
            open.insert(0, asked);
        } else if open.is_empty() {
            // What was asked for cannot be opened alone, and nothing else may be.
            return vec![statement(IamPolicyEffect::Deny, vec![asked])];
        }
        return vec![statement(IamPolicyEffect::Allow, within_limits(open))];
    }
    if is_for_every_method(verdict.reason) {
        let whole = vec![stage.whole_stage()];
        return vec![statement(IamPolicyEffect::Deny, whole)];
    }
    let mut statements = vec![statement(IamPolicyEffect::Deny, vec![asked])];
    let open = open(verdict, &stage);
    if is_for_its_method(verdict) && !open.is_empty() {
        statements.push(statement(IamPolicyEffect::Allow, within_limits(open)));
    }
    statements
}

fn statement(effect: IamPolicyEffect, resources: Vec<String>) -> IamPolicyStatement {
    let mut statement = IamPolicyStatement::default();
    statement.action = vec!["execute-api:Invoke".to_owned()];
    statement.effect = effect;
    statement.resource = resources;
    statement
}

fn effect(allowed: bool) -> IamPolicyEffect {
    if allowed {
        IamPolicyEffect::Allow
    } else {
        IamPolicyEffect::Deny
    }
}

/// Refusals that each method of the stage would meet.
fn is_for_every_method(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::MissingKey
            | Reason::MalformedKey
            | Reason::UnknownKey
            | Reason::Disabled
            | Reason::Expired
            | Reason::NotInPlan
            | Reason::Rate
            | Reason::Quota
    )
}

/// Refusals that say nothing of the other methods: the key, its rate and its quota are good.
fn is_for_its_method(verdict: &Verdict) -> bool {
    let is_of_method = matches!(
        verdict.reason,
        Reason::MethodNotAllowed | Reason::MalformedPath | Reason::MethodRate
    );
    is_of_method && verdict.limit_status.has_room_for_other_methods()
}

/// What the key may call in the stage, as far as ARNs can say it.
fn open(verdict: &Verdict, stage: &MethodArn<'_>) -> Vec<String> {
    let only = match &verdict.reach {
        // Nobody knows.
        None => return Vec::new(),
        Some(Reach::All) => return vec![stage.whole_stage()],
        Some(Reach::Only(only)) => only,
    };
    let mut arns = BTreeSet::new();
    // `*` in place of the method would take slashes as well, and with them longer paths.
    for (method, path) in only.iter().filter(|(method, _)| method != ANY) {
        let segments = || path.split('/').filter(|segment| !segment.is_empty());
        let plain: Vec<&str> = segments().collect();
        let encoded: Vec<String> = segments()
            .map(|segment| utf8_percent_encode(segment, &IN_PATH).to_string())
            .collect();
        // REST APIs leave paths as clients have encoded them, HTTP APIs decode them.
        for path in [plain.join("/"), encoded.join("/")] {
            arns.insert(stage.method(method, &path));
        }
    }
    arns.into_iter().collect()
}

/// The first alone where all are more than a policy may hold.
fn within_limits(mut resources: Vec<String>) -> Vec<String> {
    let fits = |resource: &String| resource.chars().count() <= MOST_RESOURCE;
    let bytes: usize = resources.iter().map(|resource| resource.len() + 3).sum();
    if bytes > MOST_RESOURCES {
        resources.truncate(1);
    } else if resources.len() > 1 {
        resources.retain(fits);
    }
    resources
}

/// The ARN that was asked for, without what its path could mean more by.
fn asked(arn: &MethodArn<'_>) -> String {
    if arn.path.is_empty() {
        return arn.text().to_owned();
    }
    let (before, path) = arn.text().split_at(arn.text().len() - arn.path.len());
    format!("{before}{}", without_wildcards(path))
}

/// Clients may write wildcards and policy variables into a path. A `?` stands for exactly one character, this one among them.
fn without_wildcards(path: &str) -> String {
    path.replace('*', "?").replace("${", "?{")
}

#[cfg(test)]
mod tests {
    use super::*;
    use tollgate_core::reason::LimitKind;
    use tollgate_core::status::{BucketStatus, Remainder};

    const STAGE: &str = "arn:aws:execute-api:r:1:api/prod/";

    fn told(verdict: &Verdict, path: &str, is_cached: bool) -> Vec<String> {
        let arn = format!("{STAGE}{path}");
        let statements = statements(verdict, verdict.is_allowed(), Some(&arn), is_cached);
        let told = statements.into_iter().map(|statement| {
            let resources: Vec<_> = statement
                .resource
                .iter()
                .map(|arn| arn.strip_prefix(STAGE).expect("of the stage"))
                .collect();
            format!("{:?} {}", statement.effect, resources.join(" "))
        });
        told.collect()
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
            told(&verdict(Reason::Ok, None), "GET/pets/7", false),
            ["Allow GET/pets/7"]
        );
        assert_eq!(
            told(&verdict(Reason::Quota, None), "GET/", false),
            ["Deny GET/"]
        );
        assert_eq!(
            told(&verdict(Reason::Ok, None), "$connect", false),
            ["Allow $connect"]
        );
    }

    #[test]
    fn cached_it_opens_what_the_key_may_call_and_no_more() {
        assert_eq!(
            told(&verdict(Reason::Ok, None), "GET/pets", true),
            ["Allow *"]
        );
        let only = [("GET", "/pets"), ("HEAD", "/pets"), ("ANY", "/pets")];
        assert_eq!(
            told(&verdict(Reason::Ok, Some(&only)), "GET/toys/7", true),
            ["Allow GET/toys/7 GET/pets HEAD/pets"]
        );
        assert_eq!(
            told(&verdict(Reason::Ok, Some(&[])), "GET/a", true),
            ["Allow GET/a"]
        );
        assert_eq!(
            told(
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
                told(&verdict(reason, Some(&only)), "DELETE/x", true),
                ["Deny DELETE/x", "Allow GET/pets"]
            );
            assert_eq!(
                told(&verdict(reason, None), "GET/x", true),
                ["Deny GET/x", "Allow *"]
            );
        }
        // Unless the others would be refused as well.
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
        assert_eq!(told(&both, "GET/x", true), ["Deny GET/x"]);
        assert_eq!(
            told(&verdict(Reason::Contended, None), "GET/x", true),
            ["Deny GET/x"]
        );
        assert_eq!(
            told(&verdict(Reason::CostExceedsBurst, None), "GET/x", true),
            ["Deny GET/x"]
        );
        for reason in [
            Reason::Disabled,
            Reason::Quota,
            Reason::Rate,
            Reason::NotInPlan,
        ] {
            assert_eq!(told(&verdict(reason, None), "GET/x", true), ["Deny *"]);
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
                let told = told(&verdict(reason, None), path, false);
                assert!(told[0].ends_with(&format!(" {expected}")), "{told:?}");
            }
        }
    }

    #[test]
    fn cached_a_path_with_wildcards_opens_nothing_beside_what_the_key_may_call() {
        let only = [("GET", "/pets")];
        let ok = verdict(Reason::Ok, Some(&only));
        assert_eq!(told(&ok, "GET/admin*users", true), ["Allow GET/pets"]);
        let nothing = verdict(Reason::Ok, Some(&[]));
        assert_eq!(
            told(&nothing, "GET/admin*users", true),
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
            told(&verdict(Reason::Ok, Some(&only)), "GET/x", true),
            ["Allow GET/x"]
        );
        let long = format!("/{}", "x".repeat(600));
        let only = [("GET", &*long), ("GET", "/a")];
        assert_eq!(
            told(&verdict(Reason::Ok, Some(&only)), "GET/x", true),
            ["Allow GET/x GET/a"]
        );
    }

    #[test]
    fn without_an_arn_everything_is_refused() {
        let refused = statements(&Verdict::because(Reason::BadEvent), false, None, true);
        assert_eq!(refused[0].resource, ["*"]);
        assert_eq!(refused[0].effect, IamPolicyEffect::Deny);
    }
}
