//! Data keys, which encrypt and decrypt values.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tollgate_core::key::KeyValue;
use tollgate_dynamo::item::key::Sealed;

/// An open data key.
#[derive(Debug)]
pub(super) struct DataKey(RandomizedNonceKey);

/// An open data key together with its encrypted form, which is stored with each value that it encrypts.
#[derive(Debug)]
pub(super) struct SealingKey {
    pub(super) key: DataKey,
    /// Base64.
    pub(super) encrypted: String,
}

impl DataKey {
    /// The key of these bytes, if there are 256 bits of them.
    pub(super) fn new(bytes: &[u8]) -> Option<Self> {
        RandomizedNonceKey::new(&AES_256_GCM, bytes).ok().map(Self)
    }

    /// The key for development, which is no secret.
    pub(super) fn local() -> Self {
        let bytes = digest(&SHA256, b"tollgate dev");
        Self::new(bytes.as_ref()).expect("SHA-256 gives 256 bits")
    }

    /// Decrypts the value that has this hash, if this key encrypted it.
    pub(super) fn unseal(&self, sealed: &Sealed, hash: &str) -> Option<String> {
        let mut bytes = STANDARD.decode(&sealed.value).ok()?;
        let (nonce, bytes) = bytes.split_at_mut_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let value = self.0.open_in_place(nonce, bound_to(hash), bytes).ok()?;
        String::from_utf8(value.to_vec()).ok()
    }
}

impl SealingKey {
    /// Encrypts a value, bound to its hash.
    pub(super) fn seal(&self, value: &KeyValue) -> Sealed {
        let mut bytes = value.expose().as_bytes().to_vec();
        let hash = value.hash().to_string();
        let nonce = self
            .key
            .0
            .seal_in_place_append_tag(bound_to(&hash), &mut bytes)
            .expect("a value is far shorter than the longest text that AES-GCM takes");
        Sealed {
            data_key: self.encrypted.clone(),
            value: STANDARD.encode([nonce.as_ref().as_slice(), &bytes].concat()),
        }
    }
}

/// The hash is authenticated with the value, so a value that is copied to another key's record does not decrypt there.
fn bound_to(hash: &str) -> Aad<&[u8]> {
    Aad::from(hash.as_bytes())
}
