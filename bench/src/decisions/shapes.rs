//! What a decision consumes under plans of different shapes, and what that costs on AWS.

use tollgate_core::plan::Plan;
use tollgate_tests::proxy::Proxy;
use tollgate_tests::stores::{Kind, Store};
use tollgate_tests::world::{admin, linked, plan};

use crate::cost::{Consumed, Cost};
use crate::fill::{QUOTA, THROTTLE};
use crate::subject::{Program, Subject, request};

const REQUESTS: usize = 500;

/// Measures steady decisions under every shape.
pub(crate) async fn measure() -> Vec<Cost> {
    let shapes = [
        ("a throttle", plan(THROTTLE, None)),
        ("a quota", plan(None, QUOTA)),
        ("a throttle and a quota", plan(THROTTLE, QUOTA)),
        (
            "a throttle, a quota and one of the method",
            with_method(plan(THROTTLE, QUOTA)),
        ),
        ("no limit, only metered", plan(None, None)),
    ];
    let mut costs = Vec::new();
    for (name, plan) in shapes {
        costs.push(cost(name, plan).await);
    }
    costs
}

fn with_method(mut plan: Plan) -> Plan {
    let throttle = plan.throttle.expect("a throttle");
    let method = "/pets/{id}/GET".parse().expect("a template");
    plan.stages[0].throttle.insert(method, throttle);
    plan
}

async fn cost(name: &str, plan: Plan) -> Cost {
    let store = Store::new(Kind::Embedded).await;
    let (_, key) = linked(&admin(&store).await, plan).await;
    let request = request(&key.value);
    let proxy = Proxy::to(&store.endpoint).await;
    let subject = Subject::start(Program::Authorizer, &store.through(&proxy.endpoint)).await;
    subject.decide(&request).await;
    proxy.take_calls();
    subject.round(&request, REQUESTS).await;
    Cost {
        shape: name.to_owned(),
        consumed: Consumed::of(REQUESTS, &proxy.take_calls()),
    }
}
