//! The sort keys of the indexes: by time, or by name and then by time.

use jiff::Timestamp;

/// The lowest sort key. DynamoDB accepts no empty key, and every sort key comes after a single space.
const LOWEST: &str = " ";

/// Digits of a time in a sort key: milliseconds since the epoch.
const TIME_DIGITS: usize = 14;

/// The longest sort key that DynamoDB accepts, in bytes.
const MAX_BYTES: usize = 1024;

/// A sort key by time of creation, unique by id.
pub(crate) fn by_time(created: Timestamp, id: &str) -> String {
    let created = created.as_millisecond();
    format!("{created:0TIME_DIGITS$}#{id}")
}

/// A sort key by name, and by time among equal names.
pub(crate) fn by_name(name: &str, time: &str) -> String {
    format!("{name}#{time}")
}

/// The time in the sort key by name of the entry `id`. Release 0.2.0 wrote sort keys without one; these count as the oldest.
pub(super) fn time_of(sort: &str, id: &str) -> String {
    let time = sort.rsplit('#').nth(1);
    let time = time
        .filter(|time| time.len() == TIME_DIGITS && time.bytes().all(|byte| byte.is_ascii_digit()));
    format!("{}#{id}", time.unwrap_or("00000000000000"))
}

/// The lowest and the highest sort key of a page, both inclusive. Lists by name ascend, lists by time descend.
pub(super) fn bounds(prefix: Option<&str>, after: Option<&str>) -> (String, String) {
    let Some(prefix) = prefix else {
        let high = after.map_or_else(|| highest(""), str::to_owned);
        return (LOWEST.to_owned(), high);
    };
    let low = if prefix.is_empty() { LOWEST } else { prefix };
    (after.unwrap_or(low).to_owned(), highest(prefix))
}

/// The highest sort key with this prefix: the prefix, filled with the last character of Unicode up to the maximum length.
pub(super) fn highest(prefix: &str) -> String {
    const LAST: char = '\u{10ffff}';
    let room = MAX_BYTES.saturating_sub(prefix.len()) / LAST.len_utf8();
    let last = std::iter::repeat_n(LAST, room);
    prefix.chars().chain(last).collect()
}

/// Whether DynamoDB accepts `sort` as the sort key of a list.
pub(super) fn is_sort_key(sort: &str) -> bool {
    sort.len() <= MAX_BYTES && sort >= LOWEST && sort <= highest("").as_str()
}
