//! The value that a client sends as its API key: its format, checksum and hash.
//!
//! A generated value is `tg_`, 33 base62 digits (192 random bits) and 6 base62 digits of their CRC-32. The checksum lets a
//! mistyped or invented value be refused without a lookup, and the form lets scanners recognize a leaked one. Imported values
//! are 20 to 128 visible ASCII characters.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use sha2::{Digest, Sha256};

/// The prefix of generated values.
pub const PREFIX: &str = "tg_";
/// Minimum length of a value, in characters.
pub const MIN_LENGTH: usize = 20;
/// Maximum length of a value, in characters.
pub const MAX_LENGTH: usize = 128;
/// Number of random bytes in a generated value.
pub const ENTROPY_BYTES: usize = 24;

/// The number of base62 digits that hold any `u64`, and any CRC-32.
const U64_DIGITS: usize = 11;
const CHECKSUM_DIGITS: usize = 6;
const RANDOM_DIGITS: usize = ENTROPY_BYTES / 8 * U64_DIGITS;

/// An API key's value. It is secret, so it has no `Display` and its `Debug` output hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyValue(String);

/// A text that cannot be an API key's value. The error does not contain the text, which may be a mistyped secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MalformedKey {
    /// Shorter than [`MIN_LENGTH`].
    #[error("API Key value should be at least {MIN_LENGTH} characters")]
    TooShort,
    /// Longer than [`MAX_LENGTH`].
    #[error("API Key value exceeds maximum size of {MAX_LENGTH} characters")]
    TooLong,
    /// Contains a character that an HTTP header cannot carry.
    #[error("API Key value must be visible ASCII characters without spaces")]
    Character,
    /// Has the prefix of generated values, but the wrong form or checksum.
    #[error(
        "API Key value starts with {PREFIX} but is not a generated value: its checksum does not match"
    )]
    Checksum,
}

impl KeyValue {
    /// Parses a value as a client sent it.
    ///
    /// # Errors
    /// [`MalformedKey`] says what is wrong with the value.
    pub fn parse(text: &str) -> Result<Self, MalformedKey> {
        match text.chars().count() {
            length if length < MIN_LENGTH => return Err(MalformedKey::TooShort),
            length if length > MAX_LENGTH => return Err(MalformedKey::TooLong),
            _ => {}
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(MalformedKey::Character);
        }
        match text.strip_prefix(PREFIX) {
            Some(rest) if !is_generated(rest) => Err(MalformedKey::Checksum),
            _ => Ok(Self(text.to_owned())),
        }
    }

    /// Generates a value from random bytes.
    pub fn generate(entropy: [u8; ENTROPY_BYTES]) -> Self {
        let mut random = String::with_capacity(RANDOM_DIGITS);
        for chunk in entropy.chunks_exact(8) {
            let mut word = [0; 8];
            word.copy_from_slice(chunk);
            random.push_str(&digits(u64::from_be_bytes(word), U64_DIGITS));
        }
        let checksum = checksum(&random);
        Self(format!("{PREFIX}{random}{checksum}"))
    }

    /// The hash that represents the value in the table. It needs no salt, because generated values are random.
    pub fn hash(&self) -> KeyHash {
        KeyHash(Sha256::digest(self.0.as_bytes()).into())
    }

    /// Returns the secret value itself, to be shown once.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

fn is_generated(rest: &str) -> bool {
    rest.len() == RANDOM_DIGITS + CHECKSUM_DIGITS
        && rest
            .split_at_checked(RANDOM_DIGITS)
            .is_some_and(|(random, sum)| checksum(random) == sum)
}

fn checksum(random: &str) -> String {
    digits(
        u64::from(crc32fast::hash(random.as_bytes())),
        CHECKSUM_DIGITS,
    )
}

fn digits(number: u64, width: usize) -> String {
    format!("{:0>width$}", base62::encode(number))
}

impl fmt::Debug for KeyValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyValue(hidden)")
    }
}

/// The SHA-256 of a value, which the table stores in its place. Written as 64 hexadecimal digits.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyHash([u8; 32]);

/// A text that is not a SHA-256 in hexadecimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a SHA-256 as 64 hexadecimal digits")]
pub struct InvalidKeyHash;

impl FromStr for KeyHash {
    type Err = InvalidKeyHash;

    fn from_str(text: &str) -> Result<Self, InvalidKeyHash> {
        let mut bytes = [0; 32];
        if text.len() != 64 || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(InvalidKeyHash);
        }
        for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let digits = str::from_utf8(digits).map_err(|_| InvalidKeyHash)?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| InvalidKeyHash)?;
        }
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for KeyHash {
    type Error = InvalidKeyHash;

    fn try_from(text: String) -> Result<Self, InvalidKeyHash> {
        text.parse()
    }
}

impl From<KeyHash> for String {
    fn from(hash: KeyHash) -> Self {
        hash.to_string()
    }
}

impl fmt::Display for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyHash({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_generated_value_has_the_documented_form_and_its_hash_is_sha256() {
        let value = KeyValue::generate([0xff; ENTROPY_BYTES]);
        assert_eq!(value.expose().len(), 42);
        assert!(value.expose().starts_with("tg_LygHa16AHYF"));
        let custom = KeyValue::parse("abcdefghijklmnopqrst").expect("valid");
        assert_eq!(
            custom.hash().to_string(),
            "dd65eea0329dcb94b17187af9dff28c31a1d78026737a16af75979a1fa4618e5"
        );
    }

    #[test]
    fn small_entropy_is_padded_to_the_same_length() {
        assert_eq!(KeyValue::generate([0; ENTROPY_BYTES]).expose().len(), 42);
    }

    #[test]
    fn a_value_of_the_wrong_length_or_alphabet_is_told_so() {
        let parse = |text: &str| KeyValue::parse(text).err();
        assert_eq!(parse(&"a".repeat(19)), Some(MalformedKey::TooShort));
        assert_eq!(parse(&"a".repeat(20)), None);
        assert_eq!(parse(&"a".repeat(128)), None);
        assert_eq!(parse(&"a".repeat(129)), Some(MalformedKey::TooLong));
        assert_eq!(parse(&"é".repeat(20)), Some(MalformedKey::Character));
        assert_eq!(
            parse("has a space, at least 20"),
            Some(MalformedKey::Character)
        );
        assert_eq!(
            parse("tg_0123456789abcdefghij"),
            Some(MalformedKey::Checksum)
        );
    }

    #[test]
    fn debug_never_shows_a_value() {
        let value = KeyValue::generate([7; ENTROPY_BYTES]);
        assert_eq!(format!("{value:?}"), "KeyValue(hidden)");
        let hash = value.hash();
        assert_eq!(hash.to_string().parse(), Ok(hash));
        assert_eq!("é".repeat(32).parse::<KeyHash>(), Err(InvalidKeyHash));
        assert_eq!(format!("{hash:?}"), format!("KeyHash({hash})"));
    }

    proptest! {
        #[test]
        fn a_generated_value_reads_back_and_any_one_changed_digit_does_not(
            entropy: [u8; ENTROPY_BYTES], position in 3usize..42, digit in "[0-9A-Za-z]",
        ) {
            let value = KeyValue::generate(entropy);
            prop_assert_eq!(KeyValue::parse(value.expose()), Ok(value.clone()));
            let mut changed = value.expose().to_owned();
            changed.replace_range(position..=position, &digit);
            prop_assume!(changed != value.expose());
            prop_assert_eq!(KeyValue::parse(&changed), Err(MalformedKey::Checksum));
        }
    }
}
