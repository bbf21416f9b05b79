//! A key that several instances share under a steady load, with nothing that goes wrong: everything that has room should be
//! admitted, with few calls.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fastrand::Rng;
use jiff::{SignedDuration, Timestamp};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tollgate_core::bucket::Bucket;
use tollgate_core::limit::Throttle;
use tollgate_core::plan::Plan;
use tollgate_core::verdict::{Decision, Reason};
use tollgate_engine::{Engine, Request};

use super::fleet::World;
use super::ledger::{Instance, Trace};
use super::network::DECISION;
use super::runtime;
use crate::world::{linked, plan, target};

/// Who shares a key, and how they use it.
#[derive(Debug, Clone)]
pub struct Crowd {
    /// Chooses arrivals and delays.
    pub seed: u64,
    /// Instances, each of which decides one request at a time.
    pub instances: usize,
    /// Requests per second, of all together; they come at random times, to an instance that is free.
    pub load: f64,
    /// The plan's rate and burst.
    pub throttle: (f64, u32),
    /// Methods with a throttle of their own, each of the plan's rate and burst, which requests use alike.
    pub methods: usize,
    /// What a call to the store takes, about.
    pub round_trip: Duration,
    /// Requests in all.
    pub requests: usize,
    /// How far the clock of each instance is ahead at most, or behind; they are spread over all of that.
    pub clocks: SignedDuration,
    /// A clock that is set: the first instance's, in the middle, by this.
    pub step: SignedDuration,
}

/// What a crowd came to.
#[derive(Debug, Clone, Default)]
pub struct Met {
    /// Requests decided.
    pub decisions: usize,
    /// Of these, by reason.
    pub reasons: BTreeMap<&'static str, usize>,
    /// Refused ones that had room.
    pub refused_with_room: usize,
    /// Those of the first second after a clock was set are not among them.
    pub right_after_a_step: usize,
    /// Writes that were tried. Keys and plans are read beside, at first and every few seconds.
    pub tries: usize,
    /// The most of them that one decision took.
    pub most_tries: usize,
    /// How long decisions took.
    pub took: Vec<Duration>,
    /// By how many requests the limit was exceeded, going by a plain GCRA and the true time.
    pub over: f64,
}

impl Default for Crowd {
    fn default() -> Self {
        Self {
            seed: 1,
            instances: 8,
            load: 200.0,
            throttle: (300.0, 600),
            methods: 0,
            round_trip: Duration::from_millis(4),
            requests: 2_000,
            clocks: SignedDuration::ZERO,
            step: SignedDuration::ZERO,
        }
    }
}

impl Crowd {
    /// Lets it make its requests, in simulated time.
    ///
    /// # Panics
    /// If the simulated store fails.
    pub fn meet(&self) -> Met {
        fastrand::seed(self.seed);
        runtime().block_on(self.play())
    }

    fn limits(&self) -> Plan {
        let mut limits = plan(Some(self.throttle), None);
        let (rate, burst) = self.throttle;
        for number in 0..self.methods {
            let throttle = Throttle::new(Some(rate), Some(burst)).expect("a throttle");
            let method = format!("/methods/{number}/GET")
                .parse()
                .expect("a template");
            limits.stages[0].throttle.insert(method, throttle);
        }
        limits
    }

    async fn play(&self) -> Met {
        let mut random = Rng::with_seed(self.seed);
        let world = World::new(&mut random).await;
        let time = world.time;
        let (_, key) = linked(&world.admin, self.limits()).await;
        world.network.set_round_trip(self.round_trip);
        let stepped_at = Arc::<Mutex<Option<Timestamp>>>::default();
        let mut free = Vec::new();
        for number in 0..self.instances {
            let spread = i32::try_from(2 * number).expect("a few")
                - i32::try_from(self.instances).expect("a few")
                + 1;
            let skew =
                self.clocks * spread / i32::try_from(self.instances.max(2) - 1).expect("a few");
            let (step, stepped_at) = (self.step, Arc::clone(&stepped_at));
            let clock = move || {
                let has_stepped = number == 0 && stepped_at.lock().expect("not poisoned").is_some();
                let skew = if has_stepped { skew + step } else { skew };
                time.now().saturating_add(skew).expect("a span")
            };
            free.push((number, world.engine(clock).await));
        }
        let free = Arc::new(Mutex::new(free));
        let traces = Arc::<Mutex<Vec<(Arc<Trace>, Reason, Timestamp, Duration)>>>::default();
        let mut under_way = JoinSet::new();
        let mut next = Instant::now() + Duration::from_secs(1);
        for number in 0..self.requests {
            next += Duration::from_secs_f64(-(1.0 - random.f64()).ln() / self.load);
            sleep_until(next).await;
            if number == self.requests / 2 && !self.step.is_zero() {
                *stepped_at.lock().expect("not poisoned") = Some(time.now());
            }
            let Some((instance, engine)) = take_one(&free, &mut random) else {
                continue;
            };
            let path = match self.methods {
                0 => "/".to_owned(),
                methods => format!("/methods/{}", random.usize(..methods)),
            };
            let (free, traces, key) = (Arc::clone(&free), Arc::clone(&traces), key.clone());
            under_way.spawn(async move {
                let who = Instance {
                    number: instance,
                    clock: engine.time(),
                    is_alone: true,
                };
                let came = time.now();
                let trace = Arc::new(Trace::new(&key.record.id, 1, &key.value, &who, came));
                let request = Request {
                    credential: Some(&key.value),
                    target: &target(&path),
                    cost: NonZeroU32::MIN,
                    clock: engine.time(),
                    deadline: None,
                };
                let started = Instant::now();
                let deciding = engine.decide(&request);
                let verdict = DECISION.scope(Arc::clone(&trace), deciding).await;
                assert_ne!(verdict.decision, Decision::Denied, "{verdict:?}");
                let decided = (trace, verdict.reason, time.now(), started.elapsed());
                traces.lock().expect("not poisoned").push(decided);
                free.lock().expect("not poisoned").push((instance, engine));
            });
        }
        while let Some(ended) = under_way.join_next().await {
            ended.expect("no panic");
        }
        let traces = std::mem::take(&mut *traces.lock().expect("not poisoned"));
        let stepped_at = *stepped_at.lock().expect("not poisoned");
        self.sum_up(&world.ledger.sent_charges(), &traces, stepped_at)
    }

    fn sum_up(
        &self,
        charges: &[i128],
        traces: &[(Arc<Trace>, Reason, Timestamp, Duration)],
        stepped_at: Option<Timestamp>,
    ) -> Met {
        let (rate, burst) = self.throttle;
        let throttle = Throttle::new(Some(rate), Some(burst)).expect("a throttle");
        let bucket = throttle.bucket().expect("a rate");
        let mut met = Met {
            over: over(charges, &bucket),
            ..Met::default()
        };
        for (trace, reason, at, took) in traces {
            met.decisions += 1;
            *met.reasons.entry(reason.as_str()).or_default() += 1;
            met.tries += trace.tries();
            met.most_tries = met.most_tries.max(trace.tries());
            met.took.push(*took);
            if *reason == Reason::Ok {
                continue;
            }
            let is_after_a_step = stepped_at.is_some_and(|step| {
                let since = at.duration_since(step);
                !since.is_negative() && since < SignedDuration::from_secs(1)
            });
            if has_room(charges, &bucket, *at) {
                if is_after_a_step {
                    met.right_after_a_step += 1;
                } else {
                    met.refused_with_room += 1;
                }
            }
        }
        met.took.sort_unstable();
        met
    }
}

fn take_one(free: &Mutex<Vec<(usize, Engine)>>, random: &mut Rng) -> Option<(usize, Engine)> {
    let mut free = free.lock().expect("not poisoned");
    let which = (!free.is_empty()).then(|| random.usize(..free.len()))?;
    Some(free.swap_remove(which))
}

/// By how many requests charges that were sent at these times exceed what a bucket admits.
fn over(charges: &[i128], bucket: &Bucket) -> f64 {
    let whole = bucket.increment(bucket.burst());
    let mut paid = i128::MIN;
    let mut most = 0;
    for now in charges {
        paid = paid.max(*now) + bucket.interval();
        most = most.max(paid - now - whole);
    }
    #[expect(clippy::cast_precision_loss, reason = "a few requests")]
    let over = most as f64 / bucket.interval() as f64;
    over
}

/// Whether a bucket that was charged at these times has room for one more request, beside what a hold may take of it.
fn has_room(charges: &[i128], bucket: &Bucket, at: Timestamp) -> bool {
    !super::ledger::is_full(charges.iter().map(|sent| (*sent, 1)), bucket, 1, at)
}
