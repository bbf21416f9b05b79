//! New ids, and new values of keys.

use tollgate_core::key::{ENTROPY_BYTES, KeyValue};

/// The longest id that is looked up, in bytes. Ours have ten characters.
const MAX_ID: usize = 64;

/// Whether a text can be an id at all. DynamoDB rejects a look-up of an empty or very long one.
pub(crate) fn is_id(text: &str) -> bool {
    (1..=MAX_ID).contains(&text.len())
}

/// A new id: ten characters of lower-case base 36, as API Gateway's ids are.
pub(crate) fn new_id() -> String {
    const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let mut random = getrandom::u64().expect("the operating system gives random bytes");
    let digits = (0..10).map(|_| {
        let digit = DIGITS[usize::try_from(random % 36).unwrap_or(0)];
        random /= 36;
        char::from(digit)
    });
    digits.collect()
}

/// A new value for a key, generated from the operating system's random bytes.
pub fn generate_value() -> KeyValue {
    let mut entropy = [0; ENTROPY_BYTES];
    getrandom::fill(&mut entropy).expect("the operating system gives random bytes");
    KeyValue::generate(entropy)
}
