//! How often holders of keys may ask what they have left. Each question reads the table, and questions are not signed, so every
//! instance of the function limits each address and each key.

use std::hash::Hash;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use lru::LruCache;
use sha2::{Digest, Sha256};
use tollgate_core::bucket::Bucket;

/// Nanoseconds between the questions of one key, and how many may come at once.
const OF_A_KEY: (i128, u32) = (500_000_000, 10);
/// The same for one address.
const OF_AN_ADDRESS: (i128, u32) = (50_000_000, 50);
/// Callers of each kind that an instance remembers.
const CALLERS: NonZeroUsize = NonZeroUsize::new(10_000).expect("not 0");

/// The limits of all callers.
pub struct Pace {
    keys: Paced<[u8; 32]>,
    addresses: Paced<IpAddr>,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            keys: Paced::new(OF_A_KEY),
            addresses: Paced::new(OF_AN_ADDRESS),
        }
    }
}

impl Pace {
    /// Counts a question.
    ///
    /// # Errors
    /// The seconds after which the caller may ask again, rounded up, if it asks too often.
    pub fn ask(
        &self,
        credential: Option<&str>,
        address: Option<IpAddr>,
        now: Timestamp,
    ) -> Result<(), u64> {
        // The address first: a caller that invents keys has a new one for each question.
        if let Some(address) = address {
            self.addresses.ask(address, now)?;
        }
        let key = credential.map(|credential| Sha256::digest(credential.as_bytes()).into());
        key.map_or(Ok(()), |key| self.keys.ask(key, now))
    }
}

/// Callers of one kind.
struct Paced<K: Hash + Eq> {
    bucket: Bucket,
    /// The GCRA time of each caller (`tat`), nanoseconds since the epoch.
    tats: Mutex<LruCache<K, i128>>,
}

impl<K: Hash + Eq> Paced<K> {
    fn new((interval, burst): (i128, u32)) -> Self {
        Self {
            bucket: Bucket::new(interval, burst),
            tats: Mutex::new(LruCache::sparse(CALLERS)),
        }
    }

    fn ask(&self, caller: K, now: Timestamp) -> Result<(), u64> {
        let now = now.as_nanosecond();
        let mut tats = self.tats.lock().unwrap_or_else(PoisonError::into_inner);
        let tat = tats.get(&caller).copied().unwrap_or(now).max(now);
        let ahead = tat - now - self.bucket.tolerance(1).unwrap_or(0);
        if ahead > 0 {
            let seconds = (ahead + 999_999_999) / 1_000_000_000;
            return Err(u64::try_from(seconds).unwrap_or(u64::MAX));
        }
        tats.put(caller, tat + self.bucket.increment(1));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn at(millisecond: i64) -> Timestamp {
        Timestamp::from_millisecond(1_900_000_000_000 + millisecond).expect("a time")
    }

    #[test]
    fn one_that_asks_too_often_is_told_when_to_come_back_and_others_are_not() {
        let pace = Pace::default();
        let ask = |key: &str, millisecond| pace.ask(Some(key), None, at(millisecond));
        for _ in 0..10 {
            assert_eq!(ask("one", 0), Ok(()));
        }
        assert_eq!(ask("one", 0), Err(1));
        assert_eq!(ask("two", 0), Ok(()));
        assert_eq!(ask("one", 499), Err(1));
        assert_eq!(ask("one", 500), Ok(()));
    }

    #[test]
    fn keys_that_are_made_up_share_the_pace_of_their_address() {
        let pace = Pace::default();
        let ask = |key: usize, last| {
            let address = IpAddr::V4(Ipv4Addr::new(192, 0, 2, last));
            pace.ask(Some(&key.to_string()), Some(address), at(0))
        };
        for key in 0..50 {
            assert_eq!(ask(key, 1), Ok(()));
        }
        assert_eq!(ask(50, 1), Err(1));
        assert_eq!(ask(50, 2), Ok(()));
        // Callers without either cannot be distinguished; the API's own limit applies.
        assert_eq!(pace.ask(None, None, at(0)), Ok(()));
    }
}
