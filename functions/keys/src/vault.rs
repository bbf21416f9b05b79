//! Values that can be shown again, where the stack is told to keep them.
//!
//! A value is encrypted with AES-256-GCM under a data key, and the data key by KMS: so a page of values, or an import of
//! thousands, costs a call of KMS or two, and whoever reads the table has nothing without KMS. KMS lets only the
//! key-management function use its key; the authorizer does not even link what opens a value.

use std::collections::{HashMap, HashSet};
use std::num::NonZeroUsize;
use std::slice::from_ref;
use std::sync::{Arc, Mutex, PoisonError};

use aws_config::SdkConfig;
use aws_config::timeout::TimeoutConfig;
use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::digest::{SHA256, digest};
use aws_sdk_kms::Client;
use aws_sdk_kms::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::DataKeySpec;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::{StreamExt, TryStreamExt, stream};
use lru::LruCache;
use tokio::sync::OnceCell;
use tollgate_core::id::KeyId;
use tollgate_core::key::KeyValue;
use tollgate_dynamo::item::key::{KeyRecord, Sealed};

/// The KMS key that encrypts data keys: its id, ARN or alias. Values are not kept where it is empty or not there.
const VARIABLE: &str = "TOLLGATE_VALUES_KMS_KEY";

/// What KMS is told with every call, shows in its log, and can be asked for in a policy.
const PURPOSE: (&str, &str) = ("tollgate", "api-key-values");

/// Data keys that are kept open. Each instance makes one, so this is many pages of keys.
const OPEN_KEYS: NonZeroUsize = NonZeroUsize::new(1000).unwrap();

/// What KMS says of a data key whose KMS key is deleted, switched off or another account's.
const GONE: [&str; 5] = [
    "AccessDeniedException",
    "DisabledException",
    "InvalidCiphertextException",
    "KMSInvalidStateException",
    "NotFoundException",
];

/// Calls of KMS at a time.
const AT_ONCE: usize = 16;

/// How long a call of KMS may take, with its retries.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(5);

/// A value cannot be kept or shown now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unavailable(String);

/// Keeps values, or does not.
#[derive(Debug)]
pub struct Vault(Option<Open>);

#[derive(Debug)]
struct Open {
    keeper: Keeper,
    /// What this instance encrypts with. Its nonces are random: good for four thousand million values.
    mine: OnceCell<DataKey>,
    /// Data keys by their encrypted form.
    known: Mutex<LruCache<String, Arc<RandomizedNonceKey>>>,
}

#[derive(Debug)]
enum Keeper {
    Kms {
        client: Client,
        key: String,
    },
    /// One data key for all, which is no secret: for development.
    Local,
}

#[derive(Debug, Clone)]
struct DataKey {
    key: Arc<RandomizedNonceKey>,
    encrypted: String,
}

impl Vault {
    /// Keeps nothing.
    pub const fn off() -> Self {
        Self(None)
    }

    /// As the environment says: by the KMS key in `TOLLGATE_VALUES_KMS_KEY`, or not at all.
    pub fn from_env(sdk: &SdkConfig) -> Self {
        match std::env::var(VARIABLE) {
            Ok(key) if !key.is_empty() => Self::kms(sdk, key),
            _ => Self::off(),
        }
    }

    /// Keeps values by a KMS key.
    pub fn kms(sdk: &SdkConfig, key: String) -> Self {
        let timeouts = TimeoutConfig::builder().operation_timeout(PATIENCE).build();
        let config = aws_sdk_kms::config::Builder::from(sdk)
            .timeout_config(timeouts)
            .build();
        let client = Client::from_conf(config);
        Self::on(Keeper::Kms { client, key })
    }

    /// Keeps values by a key that is in this source: whoever has the table can open them. For development only.
    pub fn local() -> Self {
        Self::on(Keeper::Local)
    }

    fn on(keeper: Keeper) -> Self {
        Self(Some(Open {
            keeper,
            mine: OnceCell::new(),
            known: Mutex::new(LruCache::new(OPEN_KEYS)),
        }))
    }

    /// Encrypts a value, bound to its hash; `None` where values are not kept.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub async fn seal(&self, value: &KeyValue) -> Result<Option<Sealed>, Unavailable> {
        let Some(open) = &self.0 else {
            return Ok(None);
        };
        let mine = open.mine.get_or_try_init(|| open.keeper.generate()).await?;
        Ok(Some(mine.seal(value)))
    }

    /// The value of a key; `None` where it is not kept.
    ///
    /// # Errors
    /// [`Unavailable`], also where the value can never be decrypted again.
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

    /// The values of these keys where nobody asked for them: without KMS they are answered without.
    pub async fn reveal_now(&self, records: &[KeyRecord]) -> HashMap<KeyId, String> {
        let values = self.reveal(records).await;
        values.unwrap_or_else(|unavailable| {
            tracing::error!(%unavailable, "answered without values");
            HashMap::new()
        })
    }

    /// The values of these keys, by id, as far as they are kept. One that cannot be decrypted is left out, with a line in the
    /// log: it must not hide the others.
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
        let data_keys: HashSet<_> = sealed
            .iter()
            .map(|(_, sealed)| sealed.data_key.clone())
            .collect();
        let data_keys: HashMap<_, _> = stream::iter(data_keys)
            .map(|encrypted| async {
                let key = open.data_key(&encrypted).await?;
                Ok((encrypted, key))
            })
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await?;
        let values = sealed.into_iter().filter_map(|(record, sealed)| {
            let key = data_keys.get(&sealed.data_key)?.as_deref()?;
            let value = unseal(key, sealed, &record.hash.to_string());
            if value.is_none() {
                tracing::error!(key = %record.id, "its value cannot be decrypted");
            }
            Some((record.id.clone(), value?))
        });
        Ok(values.collect())
    }
}

impl Open {
    /// An opened data key; `None` where that cannot be done any more.
    async fn data_key(
        &self,
        encrypted: &str,
    ) -> Result<Option<Arc<RandomizedNonceKey>>, Unavailable> {
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

impl Keeper {
    async fn generate(&self) -> Result<DataKey, Unavailable> {
        let (key, encrypted) = match self {
            Self::Local => (local_key(), String::new()),
            Self::Kms { client, key } => {
                let (name, purpose) = PURPOSE;
                let answer = client
                    .generate_data_key()
                    .key_id(key)
                    .key_spec(DataKeySpec::Aes256)
                    .encryption_context(name, purpose)
                    .send()
                    .await
                    .map_err(|error| unavailable("generate", &error))?;
                let plaintext = answer.plaintext.unwrap_or_else(|| Blob::new([]));
                let encrypted = answer.ciphertext_blob.unwrap_or_else(|| Blob::new([]));
                let key = data_key(plaintext.as_ref())
                    .ok_or_else(|| Unavailable("KMS made no key of 256 bits".to_owned()))?;
                (key, STANDARD.encode(encrypted))
            }
        };
        Ok(DataKey {
            key: Arc::new(key),
            encrypted,
        })
    }

    /// A data key; `None` where it cannot be opened any more, whatever is tried.
    async fn open(&self, encrypted: &str) -> Result<Option<RandomizedNonceKey>, Unavailable> {
        let Self::Kms { client, .. } = self else {
            return Ok(encrypted.is_empty().then(local_key));
        };
        let Some(blob) = STANDARD.decode(encrypted).ok().filter(|it| !it.is_empty()) else {
            tracing::error!("a data key of kept values is not KMS's");
            return Ok(None);
        };
        let (name, purpose) = PURPOSE;
        // KMS finds the key in the blob: what was kept under an earlier key opens as long as KMS has that one.
        let answer = client
            .decrypt()
            .ciphertext_blob(Blob::new(blob))
            .encryption_context(name, purpose)
            .send()
            .await;
        match answer {
            Ok(answer) => Ok(answer.plaintext.and_then(|key| data_key(key.as_ref()))),
            Err(error) if error.code().is_some_and(|code| GONE.contains(&code)) => {
                tracing::error!(error = %DisplayErrorContext(&error), "a data key of kept values cannot be decrypted");
                Ok(None)
            }
            Err(error) => Err(unavailable("decrypt", &error)),
        }
    }
}

impl DataKey {
    fn seal(&self, value: &KeyValue) -> Sealed {
        let mut bytes = value.expose().as_bytes().to_vec();
        let nonce = self
            .key
            .seal_in_place_append_tag(bound_to(&value.hash().to_string()), &mut bytes)
            .expect("a value is far from the longest text that AES-GCM takes");
        Sealed {
            data_key: self.encrypted.clone(),
            value: STANDARD.encode([nonce.as_ref().as_slice(), &bytes].concat()),
        }
    }
}

fn unseal(key: &RandomizedNonceKey, sealed: &Sealed, hash: &str) -> Option<String> {
    let mut bytes = STANDARD.decode(&sealed.value).ok()?;
    let (nonce, bytes) = bytes.split_at_mut_checked(NONCE_LEN)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let value = key.open_in_place(nonce, bound_to(hash), bytes).ok()?;
    String::from_utf8(value.to_vec()).ok()
}

/// A value that was moved to another key's record does not open there.
fn bound_to(hash: &str) -> Aad<&[u8]> {
    Aad::from(hash.as_bytes())
}

fn data_key(bytes: &[u8]) -> Option<RandomizedNonceKey> {
    RandomizedNonceKey::new(&AES_256_GCM, bytes).ok()
}

fn local_key() -> RandomizedNonceKey {
    let bytes = digest(&SHA256, b"tollgate dev");
    data_key(bytes.as_ref()).expect("SHA-256 gives 256 bits")
}

fn unavailable<E, R>(action: &'static str, error: &SdkError<E, R>) -> Unavailable
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
    R: std::fmt::Debug,
{
    let cause = DisplayErrorContext(error);
    Unavailable(format!("KMS did not {action} a data key: {cause}"))
}
