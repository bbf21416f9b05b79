//! Whose request it is: the first thing that is read of one.

use tollgate_core::age;
use tollgate_core::id::{KeyId, PlanId};
use tollgate_core::key::KeyHash;
use tollgate_dynamo::failure::Failure;
use tollgate_dynamo::item::ItemKey;
use tollgate_dynamo::item::lookup::LookupRecord;

use crate::attempt::Scope;
use crate::cache::Cached;
use crate::memory::Memory;

/// Who sends a request: a key, resolved from the hash of one of its values.
#[derive(Debug, Clone)]
pub(crate) struct Principal {
    pub(crate) key_id: KeyId,
    /// The plans that the key is probably in, to be read together with it.
    pub(crate) plans: Vec<PlanId>,
}

impl Memory {
    /// The principal of a value, by its lookup item; `None` if it is nobody's.
    pub(crate) async fn resolve(
        &self,
        scope: Scope,
        hash: &KeyHash,
    ) -> Result<Option<Principal>, Failure> {
        let item = ItemKey::hash(hash);
        let lookup = || self.table.get(&item, &scope.budget);
        let lookup: Option<LookupRecord> = self.retrying(lookup).await?;
        // A value whose time is over may still be there: DynamoDB deletes expired items when it gets to them.
        let is_kept =
            |lookup: &LookupRecord| lookup.ttl.is_none_or(|ttl| scope.now.as_second() < ttl);
        Ok(lookup.filter(is_kept).map(|lookup| Principal {
            key_id: lookup.key_id,
            plans: lookup.plans,
        }))
    }

    /// Whether a value was nobody's a moment ago. Guessing values is cheap to refuse, and a new key works at once.
    pub(crate) fn is_unknown(&self, scope: Scope, hash: &KeyHash) -> bool {
        let unknown = self.unknown.get(hash);
        unknown.is_some_and(|unknown| unknown.is_within(age::NEGATIVE, scope.now))
    }

    pub(crate) fn remember_unknown(&self, scope: Scope, hash: KeyHash) {
        self.unknown.put(hash, Cached::new((), scope.now));
    }
}
