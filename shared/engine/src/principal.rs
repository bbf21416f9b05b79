//! Resolves a request's credential to a key. This is the first read of a decision.

use tollgate_core::age;
use tollgate_core::id::{KeyId, PlanId};
use tollgate_core::key::KeyHash;
use tollgate_dynamo::failure::Failure;
use tollgate_dynamo::item::ItemKey;
use tollgate_dynamo::item::lookup::LookupRecord;

use crate::attempt::Scope;
use crate::cache::Cached;
use crate::memory::Memory;

/// The key that sends a request, resolved from the hash of one of its values.
#[derive(Debug, Clone)]
pub(crate) struct Principal {
    pub(crate) key_id: KeyId,
    /// The plans that the key is probably linked to, so that they can be read together with it.
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
        // An expired item may still be there, because DynamoDB deletes expired items with a delay.
        let is_kept =
            |lookup: &LookupRecord| lookup.ttl.is_none_or(|ttl| scope.now.as_second() < ttl);
        Ok(lookup.filter(is_kept).map(|lookup| Principal {
            key_id: lookup.key_id,
            plans: lookup.plans,
        }))
    }

    /// Whether this value belonged to no key a moment ago. Repeating that from memory makes guessed values cheap to refuse; the
    /// memory is short, so that a new key works almost at once.
    pub(crate) fn is_unknown(&self, scope: Scope, hash: &KeyHash) -> bool {
        let unknown = self.unknown.get(hash);
        unknown.is_some_and(|unknown| unknown.is_within(age::NEGATIVE, scope.now))
    }

    pub(crate) fn remember_unknown(&self, scope: Scope, hash: KeyHash) {
        self.unknown.put(hash, Cached::new((), scope.now));
    }
}
