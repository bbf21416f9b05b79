//! Where data keys come from: KMS, or for development this source.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_kms::Client;
use aws_sdk_kms::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::DataKeySpec;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::data_key::{DataKey, SealingKey};

/// The encryption context of every call. KMS shows it in its log, and a key policy can require it.
const PURPOSE: (&str, &str) = ("tollgate", "api-key-values");

/// KMS's errors for a data key whose KMS key is deleted, disabled or another account's.
const GONE: [&str; 5] = [
    "AccessDeniedException",
    "DisabledException",
    "InvalidCiphertextException",
    "KMSInvalidStateException",
    "NotFoundException",
];

/// The time that a call of KMS can take, with its retries.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A value cannot be encrypted or decrypted now. The text is for the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unavailable(pub(super) String);

/// Makes and opens data keys.
#[derive(Debug)]
pub(super) enum Keeper {
    /// By a KMS key.
    Kms {
        client: Client,
        /// Its id, ARN or alias.
        key: String,
    },
    /// One data key for all, which is no secret: for development.
    Local,
}

impl Keeper {
    pub(super) fn kms(sdk: &SdkConfig, key: String) -> Self {
        let timeouts = TimeoutConfig::builder().operation_timeout(TIMEOUT).build();
        let config = aws_sdk_kms::config::Builder::from(sdk)
            .timeout_config(timeouts)
            .build();
        let client = Client::from_conf(config);
        Self::Kms { client, key }
    }

    /// Makes a data key.
    pub(super) async fn generate(&self) -> Result<SealingKey, Unavailable> {
        let Self::Kms { client, key } = self else {
            return Ok(SealingKey {
                key: DataKey::local(),
                encrypted: String::new(),
            });
        };
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
        let key = DataKey::new(plaintext.as_ref())
            .ok_or_else(|| Unavailable("KMS made no key of 256 bits".to_owned()))?;
        Ok(SealingKey {
            key,
            encrypted: STANDARD.encode(encrypted),
        })
    }

    /// Opens a data key; `None` if that can never succeed again.
    pub(super) async fn open(&self, encrypted: &str) -> Result<Option<DataKey>, Unavailable> {
        let Self::Kms { client, .. } = self else {
            return Ok(encrypted.is_empty().then(DataKey::local));
        };
        let blob = STANDARD.decode(encrypted).ok();
        let Some(blob) = blob.filter(|blob| !blob.is_empty()) else {
            tracing::error!("a data key of kept values is not KMS's");
            return Ok(None);
        };
        let (name, purpose) = PURPOSE;
        // KMS finds its key in the blob, so a data key from an earlier KMS key opens as long as KMS has that one.
        let answer = client
            .decrypt()
            .ciphertext_blob(Blob::new(blob))
            .encryption_context(name, purpose)
            .send()
            .await;
        match answer {
            Ok(answer) => Ok(answer.plaintext.and_then(|key| DataKey::new(key.as_ref()))),
            Err(error) if error.code().is_some_and(|code| GONE.contains(&code)) => {
                tracing::error!(error = %DisplayErrorContext(&error), "a data key of kept values cannot be decrypted");
                Ok(None)
            }
            Err(error) => Err(unavailable("decrypt", &error)),
        }
    }
}

fn unavailable<E, R>(action: &'static str, error: &SdkError<E, R>) -> Unavailable
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
    R: std::fmt::Debug,
{
    let cause = DisplayErrorContext(error);
    Unavailable(format!("KMS did not {action} a data key: {cause}"))
}
