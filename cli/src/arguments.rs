//! Arguments that several commands take, each turned into a value once, while the command line is read.
//!
//! - [`id`]: ids of keys and plans; [`url`]: URLs.
//! - [`method`]: API stages and their methods; [`throttle`]: rates and bursts.
//! - [`time`]: dates, times and durations.
//! - [`value`]: the values of keys.

pub(crate) mod method;
pub(crate) mod throttle;
pub(crate) mod time;
pub(crate) mod url;
pub(crate) mod value;

/// The id of a key or a plan.
///
/// Longer text may be a key's value. URLs must not contain one, because they are logged.
pub(crate) fn id(text: &str) -> Result<String, String> {
    let is_id =
        (1..=19).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_id.then(|| text.to_owned()).ok_or_else(|| {
        "expected an id such as h9ptnx8gre, which `list` shows; a key's value is none".to_owned()
    })
}
