//! Values that can be shown again, if the stack keeps them.
//!
//! A data key encrypts each value with AES-256-GCM, and KMS encrypts the data key. So a page of values, or an import of thousands,
//! costs one or two calls of KMS, and a reader of the table has nothing without KMS. Only the key-management function may use
//! the KMS key; the authorizer does not even contain the code that decrypts a value.
//!
//! - `data_key`: encrypts and decrypts values.
//! - `keeper`: makes and opens data keys, by KMS or for development.

use std::collections::{HashMap, HashSet};
use std::num::NonZeroUsize;
use std::slice::from_ref;
use std::sync::{Arc, Mutex, PoisonError};

use aws_config::SdkConfig;
use futures_util::{StreamExt, TryStreamExt, stream};
use lru::LruCache;
use tokio::sync::OnceCell;
use tollgate_core::id::KeyId;
use tollgate_core::key::KeyValue;
use tollgate_dynamo::item::key::{KeyRecord, Sealed};

mod data_key;
mod keeper;

use data_key::{DataKey, SealingKey};
use keeper::Keeper;

pub use keeper::Unavailable;

/// The variable that names the KMS key which encrypts data keys: its id, ARN or alias. If it is unset or empty, the stack does
/// not keep values.
const VARIABLE: &str = "TOLLGATE_VALUES_KMS_KEY";

/// Data keys that stay open. Each instance makes one, so these are many pages of keys.
const OPEN_KEYS: NonZeroUsize = NonZeroUsize::new(1000).unwrap();

/// Calls of KMS at a time.
const AT_ONCE: usize = 16;

/// Keeps values, or does not.
#[derive(Debug)]
pub struct Vault(Option<Open>);

#[derive(Debug)]
struct Open {
    keeper: Keeper,
    /// The data key that this instance encrypts with. Its nonces are random, so it is good for four billion values.
    sealing: OnceCell<SealingKey>,
    /// Data keys by their encrypted form.
    known: Mutex<LruCache<String, Arc<DataKey>>>,
}

impl Vault {
    /// Keeps no values.
    pub const fn off() -> Self {
        Self(None)
    }

    /// Keeps values with the KMS key in `TOLLGATE_VALUES_KMS_KEY`, or does not keep them if that is unset.
    pub fn from_env(sdk: &SdkConfig) -> Self {
        match std::env::var(VARIABLE) {
            Ok(key) if !key.is_empty() => Self::kms(sdk, key),
            _ => Self::off(),
        }
    }

    /// Keeps values with a KMS key.
    pub fn kms(sdk: &SdkConfig, key: String) -> Self {
        Self::on(Keeper::kms(sdk, key))
    }

    /// Keeps values with a data key that is in this source, so every reader of the table can decrypt them. For development only.
    pub fn local() -> Self {
        Self::on(Keeper::Local)
    }

    fn on(keeper: Keeper) -> Self {
        Self(Some(Open {
            keeper,
            sealing: OnceCell::new(),
            known: Mutex::new(LruCache::new(OPEN_KEYS)),
        }))
    }

    /// Encrypts a value, bound to its hash; `None` if values are not kept.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub async fn seal(&self, value: &KeyValue) -> Result<Option<Sealed>, Unavailable> {
        let Some(open) = &self.0 else {
            return Ok(None);
        };
        let generate = || open.keeper.generate();
        let sealing = open.sealing.get_or_try_init(generate).await?;
        Ok(Some(sealing.seal(value)))
    }

    /// The value of a key; `None` if it is not kept.
    ///
    /// # Errors
    /// [`Unavailable`], also if the value can never be decrypted again.
    pub async fn reveal_one(&self, record: &KeyRecord) -> Result<Option<String>, Unavailable> {
        let value = self.reveal(from_ref(record)).await?.remove(&record.id);
        match (&self.0, &record.sealed, &value) {
            (Some(_), Some(_), None) => Err(Unavailable(format!(
                "the value of key {} cannot be decrypted",
                record.id
            ))),
            _ => Ok(value),
        }
    }

    /// The values of keys for an answer that is complete without them: if KMS is unavailable, there are none.
    pub async fn reveal_available(&self, records: &[KeyRecord]) -> HashMap<KeyId, String> {
        let values = self.reveal(records).await;
        values.unwrap_or_else(|unavailable| {
            tracing::error!(%unavailable, "answered without values");
            HashMap::new()
        })
    }

    /// The values of keys by id, as far as they are kept. One that cannot be decrypted is left out, with a line in the log: it must
    /// not hide the others.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub async fn reveal(
        &self,
        records: &[KeyRecord],
    ) -> Result<HashMap<KeyId, String>, Unavailable> {
        let Some(open) = &self.0 else {
            return Ok(HashMap::new());
        };
        let sealed: Vec<_> = records
            .iter()
            .filter_map(|record| Some((record, record.sealed.as_ref()?)))
            .collect();
        let data_keys = open
            .data_keys(sealed.iter().map(|(_, sealed)| *sealed))
            .await?;
        let values = sealed.into_iter().filter_map(|(record, sealed)| {
            let key = data_keys.get(&sealed.data_key)?.as_deref()?;
            let value = key.unseal(sealed, &record.hash.to_string());
            if value.is_none() {
                tracing::error!(key = %record.id, "its value cannot be decrypted");
            }
            Some((record.id.clone(), value?))
        });
        Ok(values.collect())
    }
}

impl Open {
    /// The data keys of values, by their encrypted form; `None` for one that can never be opened again.
    async fn data_keys<'a>(
        &self,
        sealed: impl Iterator<Item = &'a Sealed>,
    ) -> Result<HashMap<String, Option<Arc<DataKey>>>, Unavailable> {
        let encrypted: HashSet<_> = sealed.map(|sealed| sealed.data_key.clone()).collect();
        stream::iter(encrypted)
            .map(|encrypted| async {
                let key = self.data_key(&encrypted).await?;
                Ok((encrypted, key))
            })
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await
    }

    async fn data_key(&self, encrypted: &str) -> Result<Option<Arc<DataKey>>, Unavailable> {
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = known().get(encrypted) {
            return Ok(Some(Arc::clone(key)));
        }
        let key = self.keeper.open(encrypted).await?.map(Arc::new);
        if let Some(key) = &key {
            known().put(encrypted.to_owned(), Arc::clone(key));
        }
        Ok(key)
    }
}
