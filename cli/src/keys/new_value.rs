//! New values of keys, which are shown only once.

use serde_json::Value;

use super::table::table;
use crate::failure::Failure;
use crate::output::Output;
use crate::output::table::text;

/// What to do with a value that was generated.
pub(super) const NOTE: &str = "Store the value now. Unless the stack keeps values, only a hash is stored, and the value is never \
                               shown again.";

/// Shows a key with its new value. `remedy` is what to do if it cannot be printed.
pub(super) fn show(key: &Value, output: Output, remedy: &str) -> Result<(), Failure> {
    output.print(key, table).map_err(|error| {
        let id = text(&key["id"]);
        format!("{error}; the value of key {id} is lost: {remedy}").into()
    })
}
