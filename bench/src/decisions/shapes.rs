//! What a decision consumes by the shape of its plan, and what that costs on AWS.

use tollgate_core::calendar::PeriodKind;
use tollgate_core::limit::Throttle;
use tollgate_core::plan::Plan;
use tollgate_tests::proxy::Proxy;
use tollgate_tests::stores::{Kind, Store};
use tollgate_tests::world::{linked, manager, plan};

use crate::cost::{self, Cost};
use crate::statistics::count;
use crate::subject::{Program, Subject, request};

const REQUESTS: usize = 500;
const MONTH: Option<(u64, PeriodKind)> = Some((1_000_000_000, PeriodKind::Month));
const GENEROUS: Option<(f64, u32)> = Some((5_000.0, 10_000));

/// Every shape, steady, with what it costs.
pub(crate) async fn measure() -> Vec<Cost> {
    let shapes = [
        ("a throttle", plan(GENEROUS, None)),
        ("a quota", plan(None, MONTH)),
        ("a throttle and a quota", plan(GENEROUS, MONTH)),
        (
            "a throttle, a quota and one of the method",
            with_method(plan(GENEROUS, MONTH)),
        ),
        ("no limit, only metered", plan(None, None)),
    ];
    let mut costs = Vec::new();
    for (name, plan) in shapes {
        costs.push(of(name, plan).await);
    }
    costs
}

fn with_method(mut plan: Plan) -> Plan {
    let throttle = Throttle::new(Some(5_000.0), Some(10_000)).expect("a throttle");
    let method = "/pets/{id}/GET".parse().expect("a template");
    plan.stages[0].throttle.insert(method, throttle);
    plan
}

async fn of(name: &str, plan: Plan) -> Cost {
    let store = Store::new(Kind::Embedded).await;
    let (_, key) = linked(&manager(&store).await, plan).await;
    let request = request(&key.value);
    let proxy = Proxy::to(&store.endpoint).await;
    let subject = Subject::start(Program::Authorizer, &store.through(&proxy.endpoint)).await;
    subject.decide(&request).await;
    proxy.take_calls();
    subject.round(&request, REQUESTS).await;
    let calls = proxy.take_calls();
    let (read, written): (Vec<_>, Vec<_>) =
        calls.iter().partition(|call| call.operation == "GetItem");
    let units = |calls: Vec<_>| cost::units(calls) / count(REQUESTS);
    Cost {
        shape: name.to_owned(),
        calls: count(calls.len()) / count(REQUESTS),
        written: units(written),
        read: units(read),
    }
}
