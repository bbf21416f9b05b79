//! A refusal ends when its reason does: an instance that has refused a key goes on to answer as one that has never seen it,
//! whatever is done to the key, its plan and the link between them.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp, ToSpan};
use tollgate_admin::keys::{NewKey, generate_value};
use tollgate_admin::{Admin, Error};
use tollgate_core::calendar::PeriodKind;
use tollgate_core::key::KeyValue;
use tollgate_core::limit::Throttle;
use tollgate_core::plan::Plan;
use tollgate_core::terms::Override;
use tollgate_core::verdict::{Reason, Verdict};
use tollgate_dynamo::item::key::KeyRecord;
use tollgate_dynamo::item::plan::PlanRecord;
use tollgate_engine::Engine;
use tollgate_tests::proxy::Proxy;
use tollgate_tests::stores::Store;
use tollgate_tests::world::{
    Key, PATIENT, admin, at, decide_at, decide_on, engine, linked, make_plan, plan, target,
};

/// The longest that anything is answered from memory.
const LONGEST_MEMORY: SignedDuration = SignedDuration::from_secs(10);

/// How a key comes to be refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    RateSpent,
    MethodRateSpent,
    QuotaSpent,
    RateZero,
    BurstZero,
    QuotaZero,
    MethodZero,
    CostOverBurst,
    Disabled,
    Expired,
    NotInPlan,
    MethodNotOpen,
    Unknown,
}

const STATES: [(State, Reason); 13] = [
    (State::RateSpent, Reason::Rate),
    (State::MethodRateSpent, Reason::MethodRate),
    (State::QuotaSpent, Reason::Quota),
    (State::RateZero, Reason::Rate),
    (State::BurstZero, Reason::Rate),
    (State::QuotaZero, Reason::Quota),
    (State::MethodZero, Reason::MethodRate),
    (State::CostOverBurst, Reason::CostExceedsBurst),
    (State::Disabled, Reason::Disabled),
    (State::Expired, Reason::Expired),
    (State::NotInPlan, Reason::NotInPlan),
    (State::MethodNotOpen, Reason::MethodNotAllowed),
    (State::Unknown, Reason::UnknownKey),
];

/// What is done about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Nothing,
    MoveToAnOpenPlan,
    Override,
    LinkElsewhere,
    RelinkToTheSame,
    EditThePlan,
    CloseThePlan,
    Disable,
    Enable,
    Expire,
    NeverExpire,
    Unlink,
    Rotate,
    Delete,
    DeleteAndCreateAgain,
    Create,
}

const CHANGES: [Change; 16] = [
    Change::Nothing,
    Change::MoveToAnOpenPlan,
    Change::Override,
    Change::LinkElsewhere,
    Change::RelinkToTheSame,
    Change::EditThePlan,
    Change::CloseThePlan,
    Change::Disable,
    Change::Enable,
    Change::Expire,
    Change::NeverExpire,
    Change::Unlink,
    Change::Rotate,
    Change::Delete,
    Change::DeleteAndCreateAgain,
    Change::Create,
];

fn start() -> Timestamp {
    at("2054-11-22T12:00:00Z")
}

fn throttle(rate: f64, burst: u32) -> Throttle {
    Throttle::new(Some(rate), Some(burst)).unwrap()
}

fn limits(state: State) -> Plan {
    let with_method = |throttle| {
        let mut limits = plan(None, None);
        limits.stages[0]
            .throttle
            .insert("//GET".parse().unwrap(), throttle);
        limits
    };
    match state {
        State::RateSpent => plan(Some((0.001, 1)), None),
        State::MethodRateSpent => with_method(throttle(0.001, 1)),
        State::QuotaSpent => plan(None, Some((1, PeriodKind::Month))),
        State::RateZero => plan(Some((0.0, 5)), None),
        State::BurstZero => plan(Some((5.0, 0)), None),
        State::QuotaZero => plan(None, Some((0, PeriodKind::Month))),
        State::MethodZero => with_method(throttle(0.0, 0)),
        State::CostOverBurst => plan(Some((1_000.0, 2)), None),
        State::MethodNotOpen => {
            let mut limits = plan(None, None);
            limits.stages[0].methods = Some(["/other/GET".parse().unwrap()].into());
            limits
        }
        State::Disabled | State::Expired | State::NotInPlan | State::Unknown => open(),
    }
}

/// Limits that are never met here.
fn open() -> Plan {
    plan(Some((1_000.0, 1_000)), Some((1_000_000, PeriodKind::Month)))
}

fn cost(state: State) -> u32 {
    if state == State::CostOverBurst { 3 } else { 1 }
}

/// A key in a state, an instance that has refused it, and somewhere else to go.
struct Case<'a> {
    admin: &'a Admin,
    plan: PlanRecord,
    elsewhere: &'a PlanRecord,
    key: Key,
}

impl Case<'_> {
    async fn update(&self, change: impl Fn(&mut KeyRecord)) {
        let update = |record: &mut KeyRecord| {
            change(record);
            Ok::<_, Error>(())
        };
        self.admin
            .update_key(&self.key.record.id, update)
            .await
            .unwrap();
    }

    async fn edit(&self, limits: &Plan) {
        let edit = |record: &mut PlanRecord| {
            record.limits = limits.clone();
            Ok::<_, Error>(())
        };
        self.admin.update_plan(&self.plan.id, edit).await.unwrap();
    }

    async fn create_again(&self) {
        let new = NewKey {
            value: Some(KeyValue::parse(&self.key.value).unwrap()),
            enabled: true,
            ..NewKey::default()
        };
        let (record, _) = self.admin.create_key(new).await.unwrap();
        self.admin
            .link(&self.elsewhere.id, &record.id)
            .await
            .unwrap();
    }

    /// Brings it about that an instance refuses the key.
    async fn bring_about(&self, state: State) {
        let id = &self.key.record.id;
        match state {
            State::Disabled => self.update(|record| record.enabled = false).await,
            State::Expired => {
                self.update(|record| record.expires = Some(Timestamp::UNIX_EPOCH))
                    .await;
            }
            State::NotInPlan => self.admin.unlink(&self.plan.id, id).await.unwrap(),
            State::Unknown => self.admin.delete_key(id).await.unwrap(),
            _ => {}
        }
    }

    /// Makes a change. False where there is nothing to change.
    async fn make(&self, change: Change, state: State) -> bool {
        let (admin, id) = (self.admin, &self.key.record.id);
        let (plan, elsewhere) = (&self.plan.id, &self.elsewhere.id);
        let is_linked = !matches!(state, State::NotInPlan | State::Unknown);
        match change {
            Change::Nothing => {}
            Change::Create if state == State::Unknown => self.create_again().await,
            Change::CloseThePlan => self.edit(&limits(State::RateZero)).await,
            Change::EditThePlan => self.edit(&open()).await,
            _ if state == State::Unknown || change == Change::Create => return false,
            Change::Override => {
                let terms = Override {
                    throttle: Some(throttle(1_000.0, 1_000)),
                    quota_limit: Some(1_000_000),
                    ..Override::default()
                };
                let overrides = BTreeMap::from([(plan.clone(), terms)]);
                self.update(|record| record.overrides.clone_from(&overrides))
                    .await;
            }
            Change::MoveToAnOpenPlan if is_linked => {
                admin.move_key(id, plan, elsewhere, false).await.unwrap();
            }
            Change::LinkElsewhere => {
                if is_linked {
                    admin.unlink(plan, id).await.unwrap();
                }
                admin.link(elsewhere, id).await.unwrap();
            }
            Change::RelinkToTheSame => {
                if is_linked {
                    admin.unlink(plan, id).await.unwrap();
                }
                admin.link(plan, id).await.unwrap();
            }
            Change::Unlink if is_linked => admin.unlink(plan, id).await.unwrap(),
            Change::MoveToAnOpenPlan | Change::Unlink => return false,
            Change::Disable => self.update(|record| record.enabled = false).await,
            Change::Enable => self.update(|record| record.enabled = true).await,
            Change::Expire => {
                self.update(|record| record.expires = Some(Timestamp::UNIX_EPOCH))
                    .await;
            }
            Change::NeverExpire => self.update(|record| record.expires = None).await,
            Change::Rotate if matches!(state, State::Disabled | State::Expired) => return false,
            Change::Rotate => {
                let new = generate_value();
                admin.rotate_key(id, &new, None, None).await.unwrap();
            }
            Change::Delete => admin.delete_key(id).await.unwrap(),
            Change::DeleteAndCreateAgain => {
                admin.delete_key(id).await.unwrap();
                self.create_again().await;
            }
            Change::Create => unreachable!("it is done above"),
        }
        true
    }
}

/// Whom a verdict is about, and what it says.
fn said(verdict: &Verdict) -> (Reason, Option<&str>, Option<&str>) {
    (
        verdict.reason,
        verdict.key_id.as_deref(),
        verdict.plan_id.as_deref(),
    )
}

async fn refuse_warmly(warm: &Engine, key: &str, state: State, expected: Reason) {
    let decide =
        async |later| decide_on(warm, key, &target("/"), cost(state), start() + later).await;
    if matches!(
        state,
        State::RateSpent | State::MethodRateSpent | State::QuotaSpent
    ) {
        assert_eq!(decide(0.milliseconds()).await.reason, Reason::Ok);
    }
    for later in [1, 50, 200] {
        assert_eq!(
            decide(later.milliseconds()).await.reason,
            expected,
            "{state:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_refusal_ends_with_its_reason_whatever_is_changed() {
    let store = Store::embedded().await;
    let admin = admin(&store).await;
    let warm = engine(&store, PATIENT).await;
    let elsewhere = make_plan(&admin, open()).await;
    let mut tried = 0;
    for (state, expected) in STATES {
        for change in CHANGES {
            let (plan, key) = linked(&admin, limits(state)).await;
            let case = Case {
                admin: &admin,
                plan,
                elsewhere: &elsewhere,
                key,
            };
            case.bring_about(state).await;
            refuse_warmly(&warm, &case.key.value, state, expected).await;
            if !case.make(change, state).await {
                continue;
            }
            // As soon as the call has answered nothing passes that it forbids; and all that it allows does in ten seconds.
            let cold = engine(&store, PATIENT).await;
            let decide = async |engine: &Engine, later| {
                decide_on(
                    engine,
                    &case.key.value,
                    &target("/"),
                    cost(state),
                    start() + later,
                )
                .await
            };
            let at_once = decide(&warm, SignedDuration::from_millis(300)).await;
            let truth = decide(&cold, SignedDuration::from_millis(301)).await;
            let what = format!("{state:?}, {change:?}");
            assert!(
                !at_once.is_allowed() || truth.is_allowed(),
                "{what}: {at_once:?}"
            );
            let then = LONGEST_MEMORY + SignedDuration::from_millis(301);
            let truth = decide(&cold, then).await;
            assert_eq!(said(&decide(&warm, then).await), said(&truth), "{what}");
            tried += 1;
        }
    }
    assert!(tried > 150, "{tried} combinations");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_that_admits_nothing_is_asked_about_once_a_second() {
    let store = Store::embedded().await;
    let proxy = Proxy::to(&store.endpoint).await;
    let (_, key) = linked(&admin(&store).await, limits(State::RateZero)).await;
    let engine = engine(&store.through(&proxy.endpoint), PATIENT).await;
    decide_at(&engine, &key.value, start()).await;
    proxy.take_calls();
    for step in 1..=80 {
        let verdict = decide_at(&engine, &key.value, start() + (50 * step).milliseconds()).await;
        assert_eq!(verdict.reason, Reason::Rate);
    }
    let counts = proxy.take_counts();
    assert_eq!(counts.get("UpdateItem"), None);
    // The key, its meter, the plan.
    assert!((9..=12).contains(&counts["GetItem"]), "{counts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_refusal_says_whom_it_is_about() {
    let store = Store::embedded().await;
    let admin = admin(&store).await;
    let engine = engine(&store, PATIENT).await;
    for (state, expected) in STATES {
        let (plan, key) = linked(&admin, limits(state)).await;
        let customer = |record: &mut KeyRecord| {
            record.customer_id = Some("acme".to_owned());
            Ok::<_, Error>(())
        };
        admin.update_key(&key.record.id, customer).await.unwrap();
        let case = Case {
            admin: &admin,
            elsewhere: &plan,
            plan: plan.clone(),
            key,
        };
        case.bring_about(state).await;
        refuse_warmly(&engine, &case.key.value, state, expected).await;
        let verdict = decide_on(
            &engine,
            &case.key.value,
            &target("/"),
            cost(state),
            start() + 1.second(),
        )
        .await;
        let (key, plan) = match state {
            State::Unknown => (None, None),
            State::Disabled | State::Expired | State::NotInPlan => {
                (Some(&case.key.record.id), None)
            }
            _ => (Some(&case.key.record.id), Some(&plan.id)),
        };
        assert_eq!(
            (verdict.key_id.as_ref(), verdict.plan_id.as_ref()),
            (key, plan),
            "{state:?}"
        );
        assert_eq!(verdict.customer_id.is_some(), key.is_some(), "{state:?}");
    }
}
