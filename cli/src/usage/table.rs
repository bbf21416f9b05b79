//! Tables of usage, with bars.

use std::collections::BTreeMap;

use comfy_table::{Cell, Table};
use jiff::ToSpan;
use jiff::civil::Date;
use serde_json::{Map, Value};

use crate::output::table::{count, entries, list, members, number};

/// Columns of the longest bar. A row then fits into 80 columns.
const BAR: u64 = 30;
/// Keys that are shown unless all are asked for.
const TOP_KEYS: usize = 20;

/// One key's usage of one day.
#[derive(Debug, Clone, Copy)]
struct Used {
    used: u64,
    /// What the quota had left; `None` without a quota.
    remaining: Option<u64>,
}

impl Used {
    /// Reads `[used, remaining]`, where a negative number stands for no quota.
    fn read(pair: &Value) -> Self {
        Self {
            used: pair[0].as_u64().unwrap_or(0),
            remaining: pair[1].as_u64(),
        }
    }
}

/// A row for each day with the usage of all keys together; for a single key also with what its quota had left. Days before the
/// first usage and after the last are left out, unless `all` are asked for.
pub(super) fn by_day(usage: &Value, from: Date, all: bool) -> Table {
    let empty = Map::new();
    let keys = usage["values"].as_object().unwrap_or(&empty);
    let days = keys
        .values()
        .filter_map(Value::as_array)
        .map(Vec::len)
        .max();
    let on_day = |day: usize| keys.values().map(move |days| Used::read(&days[day]));
    let used: Vec<u64> = (0..days.unwrap_or(0))
        .map(|day| on_day(day).map(|key| key.used).sum())
        .collect();
    let most = used.iter().copied().max().unwrap_or(0);
    let first = used.iter().position(|used| *used > 0).unwrap_or(0);
    let last = used.iter().rposition(|used| *used > 0).unwrap_or(0);
    let days = used.iter().enumerate();
    let days = days.filter(|(day, _)| all || (first..=last).contains(day));
    list(
        &["DAY", "USED", "LEFT", ""],
        days.map(|(day, used)| {
            let date = from.saturating_add(i64::try_from(day).unwrap_or(0).days());
            let single = on_day(day).next().filter(|_| keys.len() == 1);
            let remaining = single.and_then(|key| key.remaining);
            row(Cell::new(date), *used, remaining, most)
        }),
    )
}

/// A row for each key with its usage in all the days, the most first. Without `all`, the top keys and a row for the rest.
pub(super) fn by_key(usage: &Value, names: &BTreeMap<String, String>, all: bool) -> Table {
    let mut keys: Vec<_> = members(&usage["values"])
        .map(|(key, days)| {
            let days: Vec<_> = entries(days).map(Used::read).collect();
            let used: u64 = days.iter().map(|day| day.used).sum();
            (used, key, days.last().and_then(|day| day.remaining))
        })
        .collect();
    keys.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(b.1)));
    let most = keys.first().map_or(0, |(used, ..)| *used);
    let shown = if all { keys.len() } else { TOP_KEYS };
    let rest = keys.split_off(shown.min(keys.len()));
    let name = |key| names.get(key).cloned().unwrap_or_default();
    let mut rows: Vec<_> = keys
        .into_iter()
        .map(|(used, key, remaining)| {
            let mut cells = vec![Cell::new(key)];
            cells.extend(row(Cell::new(name(key)), used, remaining, most));
            cells
        })
        .collect();
    if !rest.is_empty() {
        let used = rest.iter().map(|(used, ..)| used).sum();
        let others = format!("{} other keys (--all)", rest.len());
        rows.push(vec![Cell::new(""), Cell::new(others), count(used)]);
    }
    list(&["KEY", "NAME", "USED", "LEFT", ""], rows)
}

fn row(of: Cell, used: u64, remaining: Option<u64>, most: u64) -> Vec<Cell> {
    let remaining = remaining.map_or_else(|| number(""), count);
    vec![of, count(used), remaining, bar(used, most).into()]
}

/// A bar as long as the value's share of the largest one. Anything above 0 shows at least a sliver.
fn bar(value: u64, most: u64) -> String {
    let eighths = if most == 0 {
        0
    } else {
        let exact = u128::from(value) * u128::from(BAR * 8) / u128::from(most);
        usize::try_from(exact)
            .unwrap_or(0)
            .max(usize::from(value > 0))
    };
    let part = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"][eighths % 8];
    "█".repeat(eighths / 8) + part
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_long_as_its_share_of_the_most() {
        assert_eq!(bar(10, 10), "█".repeat(30));
        assert_eq!(bar(5, 10), "█".repeat(15));
        assert_eq!(bar(1, 1_000_000), "▏");
        assert_eq!(bar(0, 10), "");
        assert_eq!(bar(0, 0), "");
        assert_eq!(bar(u64::MAX, u64::MAX), "█".repeat(30));
    }
}
