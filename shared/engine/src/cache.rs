//! Bounded caches of records that were read. The caches do not judge freshness: each entry holds the time it was read, and the
//! engine decides how long it may be used.

use std::borrow::Borrow;
use std::hash::Hash;
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use lru::LruCache;
use tollgate_core::age;
use tollgate_core::id::KeyId;
use tollgate_core::moment::Nanos;

/// A value and the time it was read.
#[derive(Debug, Clone)]
pub(crate) struct Cached<T> {
    pub(crate) value: T,
    read_at: Timestamp,
}

impl<T> Cached<T> {
    pub(crate) fn new(value: T, read_at: Timestamp) -> Self {
        Self { value, read_at }
    }

    /// Time since the value was read, in nanoseconds. Negative if the clock was set back in between.
    pub(crate) fn age(&self, now: Timestamp) -> Nanos {
        now.as_nanosecond() - self.read_at.as_nanosecond()
    }

    /// Whether the value was read at most `longest` ago.
    pub(crate) fn is_within(&self, longest: Nanos, now: Timestamp) -> bool {
        age::is_within(self.age(now), longest)
    }
}

/// A value whose size in memory can be estimated.
pub(crate) trait Weigh {
    /// Estimated size in bytes, not counting the few hundred that every entry takes.
    fn bytes(&self) -> usize {
        0
    }
}

impl<T: Weigh> Weigh for Cached<T> {
    fn bytes(&self) -> usize {
        self.value.bytes()
    }
}

impl<T: Weigh> Weigh for Option<T> {
    fn bytes(&self) -> usize {
        self.as_ref().map_or(0, Weigh::bytes)
    }
}

impl<T: Weigh> Weigh for std::sync::Arc<T> {
    fn bytes(&self) -> usize {
        (**self).bytes()
    }
}

impl Weigh for () {}

impl Weigh for KeyId {}

/// A least-recently-used cache with a maximum number of entries and of bytes.
pub(crate) struct Cache<K: Hash + Eq, V> {
    entries: Mutex<Entries<K, V>>,
    most_bytes: usize,
}

struct Entries<K: Hash + Eq, V> {
    /// Each value with its estimated size at the time it was stored.
    lru: LruCache<K, (V, usize)>,
    bytes: usize,
}

impl<K: Hash + Eq, V: Clone + Weigh> Cache<K, V> {
    pub(crate) fn new(capacity: NonZeroUsize, most_bytes: usize) -> Self {
        let entries = Entries {
            // Sparse, because most instances never see this many keys.
            lru: LruCache::sparse(capacity),
            bytes: 0,
        };
        Self {
            entries: Mutex::new(entries),
            most_bytes,
        }
    }

    pub(crate) fn get<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.lock().lru.get(key).map(|(value, _)| value.clone())
    }

    /// Stores an entry. If all entries together exceed the byte limit, this evicts the least recently used ones, but never the
    /// new entry itself, however large it is.
    pub(crate) fn put(&self, key: K, value: V) {
        let bytes = value.bytes();
        let mut entries = self.lock();
        let gone = entries.lru.push(key, (value, bytes));
        entries.bytes += bytes;
        entries.bytes -= gone.map_or(0, |(_, (_, bytes))| bytes);
        while entries.bytes > self.most_bytes && entries.lru.len() > 1 {
            let gone = entries.lru.pop_lru();
            entries.bytes -= gone.map_or(0, |(_, (_, bytes))| bytes);
        }
    }

    /// Changes an entry in place, if it is cached. The change should not alter the entry's size much, because the size is not
    /// estimated again.
    pub(crate) fn update(&self, key: &K, change: impl FnOnce(&mut V)) {
        if let Some((entry, _)) = self.lock().lru.get_mut(key) {
            change(entry);
        }
    }

    pub(crate) fn remove(&self, key: &K) {
        let mut entries = self.lock();
        let gone = entries.lru.pop(key);
        entries.bytes -= gone.map_or(0, |(_, bytes)| bytes);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Entries<K, V>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Weigh for usize {
        fn bytes(&self) -> usize {
            *self
        }
    }

    fn cache(entries: usize, bytes: usize) -> Cache<u8, usize> {
        Cache::new(NonZeroUsize::new(entries).expect("some"), bytes)
    }

    #[test]
    fn it_holds_so_many_entries_and_so_many_bytes() {
        let small = cache(2, 100);
        for key in 0..3 {
            small.put(key, 10);
        }
        assert_eq!(
            (small.get(&0), small.get(&1), small.get(&2)),
            (None, Some(10), Some(10))
        );
        let heavy = cache(10, 100);
        for key in 0..3 {
            heavy.put(key, 40);
        }
        assert_eq!(
            (heavy.get(&0), heavy.get(&1), heavy.get(&2)),
            (None, Some(40), Some(40))
        );
        // An entry that exceeds the byte limit by itself evicts all others.
        heavy.put(9, 1_000);
        assert_eq!((heavy.get(&2), heavy.get(&9)), (None, Some(1_000)));
        heavy.remove(&9);
        heavy.put(1, 60);
        heavy.put(1, 30);
        heavy.put(2, 60);
        assert_eq!((heavy.get(&1), heavy.get(&2)), (Some(30), Some(60)));
    }
}
