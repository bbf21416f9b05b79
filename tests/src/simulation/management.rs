//! What management does to keys while they are used: revokes and restores, moves, deletes, sets what is left; now and then it
//! is cut off on the way, and then asked for the contrary.

use std::sync::atomic::Ordering;
use std::time::Duration;

use fastrand::Rng;
use jiff::{SignedDuration, Timestamp};
use tokio::time::{sleep, timeout};
use tollgate_admin::Error;
use tollgate_admin::keys::generate_value;
use tollgate_core::id::PlanId;
use tollgate_dynamo::item::key::KeyRecord;
use tollgate_dynamo::item::plan::PlanRecord;

use super::fleet::{Fleet, Key, limits};
use super::ledger::LimitStatus;

/// How long an instance may take a key for good that has expired: its clock is at most this far off, and its decision takes time.
const GRACE: SignedDuration = SignedDuration::from_secs(5);

impl Fleet {
    /// Does something about the key in this place.
    pub(super) async fn interfere(&self, place: usize, random: &mut Rng) {
        let key = self.keys.lock().expect("not poisoned")[place].clone();
        let disturbed = || self.world.ledger.disturbed(&key.id, self.world.time.now());
        disturbed();
        match random.u8(..16) {
            0..4 => self.suspend(&key, random).await,
            4..7 => self.take_out(&key, random).await,
            7..9 => self.rotate(&key).await,
            9..11 => self.edit(&key, random).await,
            11..13 => self.relocate(&key, random).await,
            13 => self.expire(&key, random).await,
            14 => self.grant(&key, random).await,
            _ => self.replace(place, &key, random).await,
        }
        disturbed();
    }

    /// Whatever was done to it, the key is good again.
    pub(super) async fn restore(&self, key: &Key, random: &mut Rng) {
        self.world.ledger.stands(&key.id, LimitStatus::Unsure);
        let good = |record: &mut KeyRecord| {
            record.enabled = true;
            record.expires = None;
            Ok::<_, Error>(())
        };
        insist(async || self.world.admin.update_key(&key.id, good).await).await;
        let record = insist(async || self.world.admin.key(&key.id).await).await;
        let plan = record
            .plans
            .first()
            .unwrap_or(&key.plans[random.usize(..2)]);
        if record.plans.is_empty() && random.u8(..4) > 0 {
            // Cut off when the record says that it is back, and its meter does not: requests go on meanwhile.
            let link = self.world.admin.link(plan, &key.id);
            let most = Duration::from_millis(random.u64(8..30));
            drop(timeout(most, link).await);
            self.wait(random).await;
        }
        insist(async || match self.world.admin.link(plan, &key.id).await {
            Ok(_) | Err(Error::AlreadyLinked) => Ok(()),
            Err(error) => Err(error),
        })
        .await;
        self.world.ledger.stands(&key.id, LimitStatus::Good);
    }

    /// Lets some requests come.
    async fn wait(&self, random: &mut Rng) {
        let pace = self.pace.load(Ordering::Relaxed);
        sleep(Duration::from_millis(random.u64(..=pace * 10))).await;
    }

    /// From the call's answer on, nothing may be charged to what it revokes.
    async fn revoke<T>(&self, what: &str, call: impl AsyncFn() -> Result<T, Error>) {
        self.world.ledger.stands(what, LimitStatus::Unsure);
        insist(call).await;
        self.world.ledger.stands(what, LimitStatus::Revoked);
    }

    /// Revokes a key, or is cut off at that; then restores it.
    async fn revoke_and_restore<T>(
        &self,
        key: &Key,
        random: &mut Rng,
        call: impl AsyncFn() -> Result<T, Error>,
    ) {
        if random.u8(..3) == 0 {
            self.world.ledger.stands(&key.id, LimitStatus::Unsure);
            cut_off(call(), random).await;
        } else {
            self.revoke(&key.id, call).await;
            self.wait(random).await;
        }
        self.restore(key, random).await;
    }

    async fn suspend(&self, key: &Key, random: &mut Rng) {
        let off = |record: &mut KeyRecord| {
            record.enabled = false;
            Ok::<_, Error>(())
        };
        self.revoke_and_restore(key, random, async || {
            self.world.admin.update_key(&key.id, off).await
        })
        .await;
    }

    /// The plan that a key is in.
    async fn plan_of(&self, key: &Key) -> Option<PlanId> {
        let record = insist(async || self.world.admin.key(&key.id).await).await;
        record.plans.into_iter().next()
    }

    async fn unlink(&self, key: &Key, plan: &PlanId) -> Result<(), Error> {
        match self.world.admin.unlink(plan, &key.id).await {
            // A try before has done it.
            Ok(()) | Err(Error::NotLinked) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn take_out(&self, key: &Key, random: &mut Rng) {
        let Some(plan) = self.plan_of(key).await else {
            return;
        };
        self.revoke_and_restore(key, random, async || self.unlink(key, &plan).await)
            .await;
    }

    async fn rotate(&self, key: &Key) {
        let new = generate_value();
        let values = || key.values.lock().expect("not poisoned");
        let old = values().last().cloned().expect("a value");
        values().push(new.expose().to_owned());
        let rotate = async || self.world.admin.rotate_key(&key.id, &new, None, None).await;
        self.revoke(&old, rotate).await;
    }

    async fn edit(&self, key: &Key, random: &mut Rng) {
        let limits = limits(random);
        let plan = &key.plans[random.usize(..2)];
        insist(async || {
            let limits = limits.clone();
            let edit = |record: &mut PlanRecord| {
                record.limits = limits.clone();
                Ok::<_, Error>(())
            };
            self.world.admin.update_plan(plan, edit).await
        })
        .await;
    }

    /// Moves a key to its other plan; or is cut off on the way, and takes it out of either instead.
    async fn relocate(&self, key: &Key, random: &mut Rng) {
        let Some(from) = self.plan_of(key).await else {
            return;
        };
        let to = key.plans.iter().find(|plan| **plan != from).expect("two");
        let carries = random.bool();
        let moves = async || match self.world.admin.move_key(&key.id, &from, to, carries).await {
            Ok(_) | Err(Error::AlreadyLinked) => Ok(()),
            Err(error) => Err(error),
        };
        for plan in &key.plans {
            self.world.ledger.adjusted(&key.id, plan);
        }
        if !carries {
            self.world.ledger.begins_anew(&key.id, to);
        }
        // A key that is left on its way is refused as contended, which is no fault of the way to the store.
        if self.is_calm || random.bool() {
            insist(moves).await;
            return;
        }
        if cut_off(moves(), random)
            .await
            .is_some_and(|moved| moved.is_ok())
        {
            return;
        }
        // Whichever end it is, from the answer on the key is in neither plan: unless it had not left, and is in the first still.
        let ends = if random.bool() {
            [&from, to]
        } else {
            [to, &from]
        };
        self.world.ledger.stands(&key.id, LimitStatus::Unsure);
        insist(async || self.unlink(key, ends[0]).await).await;
        let record = insist(async || self.world.admin.key(&key.id).await).await;
        assert!(record.moving.is_none(), "{record:?}");
        if record.plans.is_empty() {
            self.world.ledger.stands(&key.id, LimitStatus::Revoked);
            self.wait(random).await;
        }
        self.restore(key, random).await;
    }

    /// Lets a key expire, and takes that back after a while.
    async fn expire(&self, key: &Key, random: &mut Rng) {
        let at = self.world.time.now() + SignedDuration::from_secs(2);
        let expire = |record: &mut KeyRecord| {
            record.expires = Some(at);
            Ok::<_, Error>(())
        };
        insist(async || self.world.admin.update_key(&key.id, expire).await).await;
        // Should the answer have taken long, it may have passed until then.
        let from = self.world.time.now().max(at) + GRACE;
        sleep(Duration::from_millis(random.u64(5_000..20_000))).await;
        self.world
            .ledger
            .expired(&key.id, from, self.world.time.now());
        self.restore(key, random).await;
    }

    /// Sets what a key has left of its quota.
    async fn grant(&self, key: &Key, random: &mut Rng) {
        let Some(plan) = self.plan_of(key).await else {
            return;
        };
        let remaining = random.u64(..50);
        self.world.ledger.adjusted(&key.id, &plan);
        // Each try that was cut off may have been made.
        insist(async || {
            self.world.ledger.granted(&key.id, &plan, remaining);
            match self
                .world
                .admin
                .set_remaining(&plan, &key.id, remaining)
                .await
            {
                Ok(()) | Err(Error::NoQuota | Error::NotLinked) => Ok(()),
                Err(error) => Err(error),
            }
        })
        .await;
    }

    /// Deletes a key, and makes another in its place.
    async fn replace(&self, place: usize, key: &Key, random: &mut Rng) {
        let delete = async || match self.world.admin.delete_key(&key.id).await {
            Ok(()) | Err(Error::NoSuchKey) => Ok(()),
            Err(error) => Err(error),
        };
        if random.bool() {
            self.world.ledger.stands(&key.id, LimitStatus::Unsure);
            cut_off(delete(), random).await;
        }
        self.revoke(&key.id, delete).await;
        let new = self.new_key(random).await;
        self.keys.lock().expect("not poisoned")[place] = new;
    }
}

/// Makes a call that ends on the way, or not: what it had sent arrives all the same.
async fn cut_off<T>(call: impl Future<Output = T>, random: &mut Rng) -> Option<T> {
    timeout(Duration::from_millis(random.u64(1..50)), call)
        .await
        .ok()
}

/// Tries until it is answered: a call whose answer was lost is made again, as its users do.
pub(super) async fn insist<T>(mut call: impl AsyncFnMut() -> Result<T, Error>) -> T {
    for _ in 0..100 {
        match call().await {
            Ok(done) => return done,
            Err(Error::Store(_) | Error::Contended) => sleep(Duration::from_millis(100)).await,
            Err(error) => panic!("management refuses: {error}"),
        }
    }
    panic!("management is never answered");
}

/// A time in which a key was over.
#[derive(Debug, Clone, Copy)]
pub(super) struct Over {
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
}
