//! Plans, keys and decisions in a few words.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;
use tokio::task::JoinHandle;
use tollgate_admin::Admin;
use tollgate_admin::keys::NewKey;
use tollgate_admin::plans::NewPlan;
use tollgate_admin::usage::DayUsage;
use tollgate_core::calendar::PeriodKind;
use tollgate_core::id::{KeyId, PlanId};
use tollgate_core::limit::{Quota, Throttle};
use tollgate_core::path::Path;
use tollgate_core::plan::{ApiStage, Plan, Target};
use tollgate_core::verdict::{Reason, Verdict};
use tollgate_dynamo::connection::Connection;
use tollgate_dynamo::item::key::KeyRecord;
use tollgate_dynamo::item::plan::PlanRecord;
use tollgate_dynamo::table::Table;
use tollgate_engine::{Engine, Request, Settings};

use crate::proxy::{Fault, Proxy};
use crate::stores::Store;

/// Generous with time: test machines are slow, and a time-out would change what is tested.
pub const PATIENT: Settings = Settings {
    attempt_timeout: Duration::from_secs(10),
    total_timeout: Duration::from_secs(30),
    on_store_failure: tollgate_engine::OnStoreFailure::Deny,
    tells_reach: false,
};

/// A key with its value.
#[derive(Debug, Clone)]
pub struct Key {
    /// Its record when it was made.
    pub record: KeyRecord,
    /// What clients send.
    pub value: String,
}

impl Key {
    /// Where the management API has it.
    pub fn path(&self) -> String {
        format!("/apikeys/{}", self.record.id)
    }
}

/// An engine on `store`.
pub async fn engine(store: &Store, settings: Settings) -> Engine {
    let connection = Connection::deciding(&store.sdk_config().await);
    Engine::new(Table::new(connection, store.table.clone()), settings)
}

/// Management of `store`.
pub async fn admin(store: &Store) -> Admin {
    Admin::new(
        Connection::managing(&store.sdk_config().await),
        store.table.clone(),
    )
}

/// A plan for the stage that [`target`] names.
pub fn plan(throttle: Option<(f64, u32)>, quota: Option<(u64, PeriodKind)>) -> Plan {
    Plan {
        throttle: throttle.map(|(rate, burst)| Throttle::new(Some(rate), Some(burst)).unwrap()),
        quota: quota.map(|(limit, period)| Quota::new(limit, period, 0).unwrap()),
        stages: vec![ApiStage {
            api_id: "api".to_owned(),
            stage: "prod".to_owned(),
            throttle: std::collections::BTreeMap::new(),
            methods: None,
        }],
    }
}

/// A request to the stage that [`plan`] opens.
pub fn target(path: &str) -> Target {
    Target {
        api_id: "api".to_owned(),
        stage: "prod".to_owned(),
        method: "GET".to_owned(),
        route: None,
        path: Path::read(path),
    }
}

/// A plan, a key, and the link between them.
pub async fn linked(admin: &Admin, limits: Plan) -> (PlanRecord, Key) {
    let plan = make_plan(admin, limits).await;
    let key = make_key(admin).await;
    admin.link(&plan.id, &key.record.id).await.unwrap();
    (plan, key)
}

/// A plan.
pub async fn make_plan(admin: &Admin, limits: Plan) -> PlanRecord {
    let plan = NewPlan {
        name: "plan".to_owned(),
        limits,
        ..NewPlan::default()
    };
    admin.create_plan(plan).await.unwrap()
}

/// An enabled key.
pub async fn make_key(admin: &Admin) -> Key {
    let key = NewKey {
        enabled: true,
        ..NewKey::default()
    };
    let (record, value) = admin.create_key(key).await.unwrap();
    Key {
        record,
        value: value.expose().to_owned(),
    }
}

/// One decision at `now`, to `/`.
pub async fn decide_at(engine: &Engine, key: &str, now: Timestamp) -> Verdict {
    decide_on(engine, key, &target("/"), 1, now).await
}

/// One decision.
pub async fn decide_on(
    engine: &Engine,
    key: &str,
    target: &Target,
    cost: u32,
    now: Timestamp,
) -> Verdict {
    let request = Request {
        credential: Some(key),
        target,
        cost: NonZeroU32::new(cost).unwrap(),
        clock: Arc::new(move || now),
        deadline: None,
    };
    engine.decide(&request).await
}

/// One decision by the engine's own clock, to `/`.
pub async fn decide(engine: &Engine, key: &str) -> Reason {
    let target = target("/");
    let request = Request {
        credential: Some(key),
        target: &target,
        cost: NonZeroU32::MIN,
        clock: engine.time(),
        deadline: None,
    };
    engine.decide(&request).await.reason
}

/// A key's usage under a plan on each day of a range, both ends included.
pub async fn usage(
    admin: &Admin,
    plan: &PlanId,
    key: &KeyId,
    range: (Date, Date),
) -> Vec<DayUsage> {
    let (plan, key) = (
        admin.plan(plan).await.unwrap(),
        admin.key(key).await.unwrap(),
    );
    admin.usage(&plan, &key, range).await.unwrap()
}

/// The sum of what concurrent callers were admitted.
pub async fn total(callers: Vec<JoinHandle<u64>>) -> u64 {
    let mut total = 0;
    for caller in callers {
        total += caller.await.unwrap();
    }
    total
}

/// All that a key was admitted under a plan, from `day` on for 80 days.
pub async fn used(admin: &Admin, plan: &PlanId, key: &KeyId, day: Date) -> u64 {
    let end = day.saturating_add(jiff::ToSpan::days(80));
    let usage = usage(admin, plan, key, (day, end)).await;
    usage.iter().map(|day| day.used).sum()
}

/// A time, as RFC 3339.
pub fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A admin whose calls from the `n`th on are refused, until the rule is lifted.
pub async fn stopped_at(store: &Store, n: usize) -> (Admin, Proxy) {
    let proxy = Proxy::to(&store.endpoint).await;
    proxy.rule(move |number, _| {
        if number < n {
            Fault::None
        } else {
            Fault::Refuse("AccessDeniedException")
        }
    });
    (admin(&store.through(&proxy.endpoint)).await, proxy)
}
