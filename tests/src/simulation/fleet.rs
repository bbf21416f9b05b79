//! Who takes part: instances that decide, and management that interferes.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use fastrand::Rng;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tollgate_admin::keys::NewKey;
use tollgate_admin::plans::NewPlan;
use tollgate_admin::{Admin, Error};
use tollgate_core::calendar::PeriodKind;
use tollgate_core::id::{KeyId, PlanId};
use tollgate_core::limit::{Quota, Throttle};
use tollgate_core::plan::Plan;
use tollgate_dynamo::connection::{Connection, Environment, sdk_config_at};
use tollgate_dynamo::item::plan::PlanRecord;
use tollgate_dynamo::schema;
use tollgate_dynamo::table::Table;
use tollgate_engine::{Engine, Request, Settings};

use super::ledger::{Instance, Ledger, Summary, Trace};
use super::management::insist;
use super::network::{DECISION, Faults, Network};
use super::{Time, frozen};
use crate::world::{self, plan, target};

const TABLE: &str = "simulated";
const KEYS: usize = 3;

/// A simulated store and management of it.
pub(super) struct World {
    pub(super) time: Time,
    pub(super) network: Arc<Network>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) admin: Admin,
    sdk: aws_config::SdkConfig,
}

impl World {
    pub(super) async fn new(random: &mut Rng) -> Self {
        let time = Time::new();
        let ledger = Arc::<Ledger>::default();
        let network = Network::new(time, random.u64(..), Arc::clone(&ledger));
        let sdk = sdk_config_at("http://127.0.0.1:1").await;
        let ground = Environment::other(network.client(), move || time.now());
        let client = aws_sdk_dynamodb::config::Builder::from(&sdk).http_client(network.client());
        let created = schema::create(&Client::from_conf(client.build()), TABLE).await;
        assert_eq!(created.expect("a table"), schema::Created::Made);
        let admin = Admin::new(Connection::managing_on(ground, &sdk), TABLE.to_owned());
        Self {
            time,
            network,
            ledger,
            admin,
            sdk,
        }
    }

    /// An engine with a clock of its own.
    pub(super) async fn engine(
        &self,
        clock: impl Fn() -> Timestamp + Send + Sync + 'static,
    ) -> Engine {
        let ground = Environment::other(self.network.client(), clock);
        let table = Table::new(Connection::deciding_on(ground, &self.sdk), TABLE.to_owned());
        let engine = Engine::new(table, Settings::default());
        // As during init: a clock that is far off learns of it.
        drop(engine.table().warm(Duration::from_secs(3)).await);
        engine
    }
}

/// Everyone.
pub(super) struct Fleet {
    pub(super) world: World,
    instances: Mutex<Vec<Engine>>,
    pub(super) keys: Mutex<Vec<Arc<Key>>>,
    pub(super) is_calm: bool,
    /// How far apart a caller's requests are at most, milliseconds.
    pub(super) pace: AtomicU64,
}

/// A key under test, the plans that it may be in, one at a time, and the values it has had.
pub(super) struct Key {
    pub(super) id: KeyId,
    pub(super) plans: [PlanId; 2],
    pub(super) values: Mutex<Vec<String>>,
}

impl Fleet {
    pub(super) async fn new(faults: Faults, is_calm: bool, random: &mut Rng) -> Self {
        let fleet = Self {
            world: World::new(random).await,
            instances: Mutex::default(),
            keys: Mutex::default(),
            is_calm,
            pace: AtomicU64::new(1),
        };
        for _ in 0..KEYS {
            let key = fleet.new_key(random).await;
            fleet.keys.lock().expect("not poisoned").push(key);
        }
        for _ in 0..random.usize(1..=6) {
            let instance = fleet.instance(random).await;
            fleet.instances.lock().expect("not poisoned").push(instance);
        }
        fleet.world.network.set_faults(faults);
        fleet
    }

    /// A key in the first of two plans.
    pub(super) async fn new_key(&self, random: &mut Rng) -> Arc<Key> {
        let (first, second) = (self.new_plan(random).await, self.new_plan(random).await);
        let key = self.linked_key(&first.id).await;
        for plan in [&first, &second] {
            let ledger = &self.world.ledger;
            ledger.limits(&plan.id, plan.revision, &plan.limits);
        }
        Arc::new(Key {
            id: key.record.id,
            plans: [first.id, second.id],
            values: Mutex::new(vec![key.value]),
        })
    }

    async fn new_plan(&self, random: &mut Rng) -> PlanRecord {
        let limits = limits(random);
        insist(async || {
            let plan = NewPlan {
                name: "plan".to_owned(),
                limits: limits.clone(),
                ..NewPlan::default()
            };
            self.world.admin.create_plan(plan).await
        })
        .await
    }

    /// An enabled key in a plan. Calls whose answers are lost are made again, as users do.
    async fn linked_key(&self, plan: &PlanId) -> world::Key {
        let admin = &self.world.admin;
        let (record, value) = insist(async || {
            let key = NewKey {
                enabled: true,
                ..NewKey::default()
            };
            admin.create_key(key).await
        })
        .await;
        insist(async || match admin.link(plan, &record.id).await {
            Ok(_) | Err(Error::AlreadyLinked) => Ok(()),
            Err(error) => Err(error),
        })
        .await;
        world::Key {
            record,
            value: value.expose().to_owned(),
        }
    }

    /// The true time.
    pub(super) fn time(&self) -> Time {
        self.world.time
    }

    /// An instance with a clock of its own.
    async fn instance(&self, random: &mut Rng) -> Engine {
        let time = self.time();
        let worst = match random.u8(..4) {
            _ if self.is_calm => 0,
            0 => 600_000,
            _ => 1_900,
        };
        let skew = SignedDuration::from_millis(random.i64(-worst..=worst));
        let clock = move || time.now().saturating_add(skew).expect("a span");
        self.world.engine(clock).await
    }

    /// So many decisions, and what management does meanwhile.
    pub(super) async fn episode(&self, decisions: usize, random: &mut Rng) {
        if random.u8(..3) == 0 {
            let new = self.instance(random).await;
            let mut instances = self.instances.lock().expect("not poisoned");
            let which = random.usize(..instances.len());
            instances[which] = new;
        }
        let mut tasks = JoinSet::new();
        let instances = self.instances.lock().expect("not poisoned").clone();
        // Beside functions, which decide one request at a time, a server that decides several.
        let callers = instances.iter().enumerate().chain([(0, &instances[0]); 2]);
        let callers: Vec<_> = callers.collect();
        let share = decisions.div_ceil(callers.len());
        let pace = random.u64(1..100);
        self.pace.store(pace, Ordering::Relaxed);
        for (number, engine) in callers {
            let caller = Caller {
                engine: engine.clone(),
                instance: Instance {
                    number,
                    clock: engine.time(),
                    is_alone: number > 0,
                },
                time: self.time(),
                is_calm: self.is_calm,
                keys: self.keys.lock().expect("not poisoned").clone(),
                ledger: Arc::clone(&self.world.ledger),
                random: Rng::with_seed(random.u64(..)),
            };
            tasks.spawn(caller.run(share, pace));
        }
        let mut interference = Rng::with_seed(random.u64(..));
        for _ in 0..random.usize(..4) {
            sleep(Duration::from_millis(interference.u64(..pace * 8))).await;
            let which = interference.usize(..KEYS);
            Box::pin(self.interfere(which, &mut interference)).await;
        }
        while let Some(ended) = tasks.join_next().await {
            ended.expect("no panic");
        }
    }

    /// When nothing is under way any more: what was charged, beside what usage says.
    pub(super) async fn end(&self) -> Result<Summary, Vec<String>> {
        self.world.network.set_faults(Faults::default());
        sleep(Duration::from_secs(30)).await;
        let last = self.world.time.now().to_zoned(TimeZone::UTC).date();
        let days = (last.saturating_sub(89.days()), last.saturating_add(1.day()));
        let keys = self.keys.lock().expect("not poisoned").clone();
        let mut random = Rng::with_seed(0);
        for key in &keys {
            self.restore(key, &mut random).await;
            let record = self.world.admin.key(&key.id).await.expect("a key");
            for plan in &key.plans {
                let plan = self.world.admin.plan(plan).await.expect("a plan");
                let usage = self.world.admin.usage(&plan, &record, days).await;
                let used: u64 = usage.expect("usage").iter().map(|day| day.used).sum();
                let charged = self.world.ledger.charged(&key.id, &plan.id);
                if used != charged {
                    self.world.ledger.breaks(format!(
                        "key {} under {}: {charged} charged, {used} in its usage",
                        key.id, plan.id
                    ));
                }
            }
        }
        self.world.ledger.close(self.is_calm)
    }
}

/// Someone with several keys, by way of one instance.
struct Caller {
    engine: Engine,
    instance: Instance,
    time: Time,
    is_calm: bool,
    keys: Vec<Arc<Key>>,
    ledger: Arc<Ledger>,
    random: Rng,
}

impl Caller {
    async fn run(mut self, decisions: usize, pace: u64) {
        for _ in 0..decisions {
            sleep(Duration::from_millis(self.random.u64(..pace))).await;
            self.decide().await;
        }
    }

    async fn decide(&mut self) {
        let random = &mut self.random;
        let key = &self.keys[random.usize(..KEYS)];
        let value = {
            let values = key.values.lock().expect("not poisoned");
            // Now and then an old one.
            let age = if random.u8(..8) == 0 {
                random.usize(..3)
            } else {
                0
            };
            values[values.len().saturating_sub(1 + age)].clone()
        };
        let target = target(if random.bool() { "/pets" } else { "/" });
        let cost = if random.u8(..8) == 0 {
            random.u32(2..=6)
        } else {
            1
        };
        let is_frozen = !self.is_calm && random.u16(..500) == 0;
        let (after, length) = if is_frozen {
            (random.u64(..8), random.u64(100..120_000))
        } else {
            (60_000, 0)
        };
        let came = self.time.now();
        let trace = Arc::new(Trace::new(&key.id, cost, &value, &self.instance, came));
        if is_frozen {
            trace.froze();
        }
        let request = Request {
            credential: Some(&value),
            target: &target,
            cost: NonZeroU32::new(cost).expect("not 0"),
            clock: Arc::clone(&self.instance.clock),
            deadline: None,
        };
        let deciding = frozen(
            self.engine.decide(&request),
            Duration::from_millis(after),
            Duration::from_millis(length),
        );
        let verdict = DECISION.scope(Arc::clone(&trace), deciding).await;
        self.ledger.decided(trace, verdict, self.time.now());
    }
}

/// Limits that are met often.
pub(super) fn limits(random: &mut Rng) -> Plan {
    let throttle = |random: &mut Rng| {
        let rate = [1.0, 10.0, 100.0, 1_000.0][random.usize(..4)];
        (rate, random.u32(1..40))
    };
    let kind = [PeriodKind::Day, PeriodKind::Week, PeriodKind::Month];
    let mut plan = plan(Some(throttle(random)), None);
    if random.u8(..3) > 0 {
        let kind = kind[random.usize(..3)];
        plan.quota = Some(Quota::new(random.u64(1..2_000), kind, 0).expect("a quota"));
    }
    if random.bool() {
        let (rate, burst) = throttle(random);
        let method = "/pets/GET".parse().expect("a template");
        let throttle = Throttle::new(Some(rate), Some(burst)).expect("a throttle");
        plan.stages[0].throttle.insert(method, throttle);
    }
    plan
}
