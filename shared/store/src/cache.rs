//! Bounded memory of what was read. Nothing here is trusted: each entry says when it was read, and the engine decides
//! for how long that is good.

use std::borrow::Borrow;
use std::hash::Hash;
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use lru::LruCache;

/// A value and when it was read.
#[derive(Debug, Clone)]
pub(crate) struct Dated<T> {
    pub(crate) value: T,
    read_at: Timestamp,
}

impl<T> Dated<T> {
    pub(crate) fn new(value: T, read_at: Timestamp) -> Self {
        Self { value, read_at }
    }

    /// How long ago it was read.
    pub(crate) fn age(&self, now: Timestamp) -> SignedDuration {
        now.duration_since(self.read_at)
    }

    /// Whether it was read at most `age` ago. A reading from the future is as old as can be: the clock was set back.
    pub(crate) fn is_within(&self, age: SignedDuration, now: Timestamp) -> bool {
        let elapsed = self.age(now);
        !elapsed.is_negative() && elapsed <= age
    }
}

/// The most recently used entries, up to a fixed number.
pub(crate) struct Cache<K: Hash + Eq, V> {
    entries: Mutex<LruCache<K, V>>,
}

impl<K: Hash + Eq, V: Clone> Cache<K, V> {
    pub(crate) fn new(capacity: NonZeroUsize) -> Self {
        Self {
            // Sparse: most instances never see as many keys.
            entries: Mutex::new(LruCache::sparse(capacity)),
        }
    }

    pub(crate) fn get<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.lock().get(key).cloned()
    }

    pub(crate) fn put(&self, key: K, value: V) {
        self.lock().put(key, value);
    }

    /// Changes an entry that is there.
    pub(crate) fn update(&self, key: &K, change: impl FnOnce(&mut V)) {
        if let Some(entry) = self.lock().get_mut(key) {
            change(entry);
        }
    }

    pub(crate) fn remove(&self, key: &K) {
        self.lock().pop(key);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, LruCache<K, V>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
