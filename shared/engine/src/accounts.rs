//! How accounts come to be known: read together with their principal, reread when something shows that they have changed.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future;
use tokio::time::Instant;
use tollgate_core::age;
use tollgate_core::id::{KeyId, PlanId};
use tollgate_core::key::KeyHash;
use tollgate_dynamo::failure::Failure;
use tollgate_dynamo::item::ItemKey;
use tollgate_dynamo::item::key::KeyRecord;
use tollgate_dynamo::table::Budget;

use crate::account::{Account, ReadMeter};
use crate::attempt::{Attempt, Scope};
use crate::cached_meter::CachedMeter;
use crate::memory::Memory;
use crate::principal::Principal;

/// How often, and how far apart, a key that is moving to another plan is looked at: about half a second in all.
const MOVE_LOOKS: u32 = 20;
const MOVE_PAUSE: Duration = Duration::from_millis(25);

impl Memory {
    /// The account of the request's principal, read if it is not known; `None` if the credential is nobody's.
    pub(crate) async fn account(
        &self,
        attempt: &mut Attempt<'_>,
    ) -> Result<Option<Arc<Account>>, Failure> {
        let (hash, scope) = (attempt.hash, attempt.scope);
        if let Some(key_id) = self.principals.get(&hash) {
            if let Some(account) = self.current(&key_id, &hash, scope) {
                return Ok(Some(account));
            }
            // Start from the value again: it may be another key's by now.
            self.principals.remove(&hash);
        }
        if self.is_unknown(scope, &hash) {
            return Ok(None);
        }
        // Rare, and large.
        Box::pin(self.read_account(attempt)).await
    }

    /// Reads the account from the value on.
    async fn read_account(
        &self,
        attempt: &mut Attempt<'_>,
    ) -> Result<Option<Arc<Account>>, Failure> {
        let (hash, scope) = (attempt.hash, attempt.scope);
        let account = match self.resolve(scope, &hash).await? {
            Some(principal) => self.account_of(attempt, &principal).await?,
            None => None,
        };
        match &account {
            Some(account) => self.principals.put(hash, account.record.value.id.clone()),
            None => self.remember_unknown(scope, hash),
        }
        Ok(account)
    }

    /// A cached account that is not too old and has this value.
    fn current(&self, key_id: &KeyId, hash: &KeyHash, scope: Scope) -> Option<Arc<Account>> {
        let account = self.accounts.get(key_id)?;
        let is_current = account.record.is_within(age::KEY_HARD, scope.now)
            && account.record.value.has_value(hash);
        is_current.then_some(account)
    }

    async fn account_of(
        &self,
        attempt: &mut Attempt<'_>,
        principal: &Principal,
    ) -> Result<Option<Arc<Account>>, Failure> {
        let Principal { key_id, plans } = principal;
        if let Some(account) = self.current(key_id, &attempt.hash, attempt.scope) {
            // Another value of the key was used before.
            return Ok(Some(account));
        }
        let account = self.load_account(attempt.scope, key_id, plans).await?;
        attempt.fresh = Some(key_id.clone());
        // A value that was replaced is no longer this key's.
        let account = account.filter(|account| account.record.value.has_value(&attempt.hash));
        let account = account.map(Arc::new);
        if let Some(account) = &account {
            self.accounts.put(key_id.clone(), Arc::clone(account));
        }
        Ok(account)
    }

    /// Reads a key with its meters. `hint` names the plans that it probably is in.
    async fn load_account(
        &self,
        scope: Scope,
        key_id: &KeyId,
        hint: &[PlanId],
    ) -> Result<Option<Account>, Failure> {
        let item = ItemKey::key(key_id);
        let record = self.retrying(|| self.table.get::<KeyRecord>(&item, &scope.budget));
        let (record, meters) = future::join(record, self.load_meters(scope, key_id, hint)).await;
        let (Some(mut record), meters) = (record?.filter(|record| !record.deleted), meters?) else {
            return Ok(None);
        };
        record.forget_texts();
        let missed = record.plans.iter().filter(|plan| !hint.contains(plan));
        let missed: Vec<_> = missed.cloned().collect();
        let missed = self.load_meters(scope, key_id, &missed).await?;
        let mut account = Account::new(record, scope.now);
        for meter in meters.into_iter().chain(missed) {
            if account.record.value.plans.contains(&meter.0) {
                account.add(meter);
            }
        }
        Ok(Some(account))
    }

    async fn load_meters(
        &self,
        scope: Scope,
        key_id: &KeyId,
        plans: &[PlanId],
    ) -> Result<Vec<ReadMeter>, Failure> {
        let meters = plans
            .iter()
            .map(|plan| self.load_meter(scope, key_id, plan));
        let meters = future::try_join_all(meters).await?;
        Ok(meters.into_iter().flatten().collect())
    }

    /// Reads a meter, and its plan if that is not known.
    async fn load_meter(
        &self,
        scope: Scope,
        key_id: &KeyId,
        plan: &PlanId,
    ) -> Result<Option<ReadMeter>, Failure> {
        let meter = self.retrying(|| self.table.meter(key_id, plan, &scope.budget));
        let (meter, known) = future::join(meter, self.plan(scope, plan)).await;
        // The key may have other plans than one that is corrupt.
        if let Err(failure) = known
            && !matches!(failure, Failure::Corrupt(_))
        {
            return Err(failure);
        }
        let meter = match meter {
            Ok(None) => return Ok(None),
            Ok(Some(meter)) => Ok(CachedMeter::new(meter, scope.now, self.tolerance())),
            Err(Failure::Corrupt(corrupt)) => Err(corrupt),
            Err(failure) => return Err(failure),
        };
        Ok(Some((plan.clone(), meter)))
    }

    /// Reads the key again: something shows that it has changed, or too much time has passed.
    pub(crate) async fn reload(&self, scope: Scope, record: &KeyRecord) -> Result<(), Failure> {
        let before = self.accounts.get(&record.id);
        // Until it is read, nothing says that the key is still good.
        self.change_account(&record.id, |account| account.confirmed_at = None);
        let account = self.load_account(scope, &record.id, &record.plans).await?;
        let Some(mut account) = account else {
            // Its values may belong to another key by now, so the next step starts from the value.
            self.accounts.remove(&record.id);
            return Ok(());
        };
        for (plan, meter) in &mut account.meters {
            if let Some(before) = before.as_ref().and_then(|before| before.meters.get(plan)) {
                meter.carry(before, scope.now, self.tolerance());
            }
        }
        self.accounts.put(record.id.clone(), Arc::new(account));
        Ok(())
    }

    /// Reads an ageing key again, for the next request. If that fails, it shows at the hard age, if it still does.
    pub(crate) async fn refresh_account(&self, scope: Scope, key_id: &KeyId) {
        let Some(known) = self.accounts.get(key_id) else {
            return;
        };
        if known.record.is_within(age::KEY_SOFT, scope.now) {
            return;
        }
        // Nobody waits for a second attempt.
        let budget = Budget {
            end: scope.budget.end.min(Instant::now() + scope.budget.attempt),
            ..scope.budget
        };
        let once = Scope { budget, ..scope };
        if let Err(failure) = self.reload(once, &known.record.value).await {
            tracing::warn!(%failure, %key_id, "could not refresh a key");
            // That the store is silent says nothing against the key.
            self.change_account(key_id, |account| account.confirmed_at = known.confirmed_at);
        }
    }

    /// Waits for a key that is moving from one plan to another, for as long as that should take. False if it has not arrived.
    pub(crate) async fn await_move(
        &self,
        scope: Scope,
        record: &KeyRecord,
    ) -> Result<bool, Failure> {
        for _ in 0..MOVE_LOOKS {
            tokio::time::sleep(MOVE_PAUSE).await;
            self.reload(scope, record).await?;
            let account = self.accounts.get(&record.id);
            if account.is_none_or(|account| account.record.value.moving.is_none()) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
