//! Lanes: how an instance distinguishes a lost answer from a write that was never applied.
//!
//! A write whose answer was lost may have been applied, or may be applied late. So each instance stamps its charges with a
//! sequence number in its own lane on the meter, under the condition that the lane is absent or holds a smaller number. All
//! attempts of one decision carry the same number, so at most one of them is applied. A later decision carries a larger number,
//! so a late write of an earlier decision fails. A single stamp for each meter would not be enough, because other instances
//! would overwrite it.
//!
//! Sequence numbers are microseconds since the epoch, and each instance makes them strictly increasing. This also shows how
//! long a lane has been quiet.

use std::collections::BTreeMap;

/// Maximum number of lanes on one meter. Each takes about 20 bytes.
pub const MAX_LANES: usize = 12;

/// How long a lane must be quiet before another instance can take it over, in microseconds: ten minutes. DynamoDB rejects a
/// request five minutes after it was signed, so no late write in such a lane can still be applied.
pub const QUIET_AFTER: u64 = 600 * 1_000_000;

/// The mark that a charge leaves on a meter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// The instance's lane.
    pub lane: String,
    /// The decision's sequence number.
    pub sequence: u64,
    /// How the lane is placed on the meter.
    pub place: Place,
}

/// How a stamp is placed on a meter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// On the instance's existing lane.
    Own,
    /// On a new lane, because there is room for one.
    New,
    /// On a new lane that replaces this quiet lane, whose last number this is.
    InsteadOf(String, u64),
}

impl Stamp {
    /// Places a stamp on a meter with these lanes; `None` if no lane is free.
    pub fn claim(lanes: &BTreeMap<String, u64>, lane: &str, sequence: u64) -> Option<Self> {
        let place = if lanes.contains_key(lane) {
            Place::Own
        } else if lanes.len() < MAX_LANES {
            Place::New
        } else {
            let (quietest, last) = lanes.iter().min_by_key(|(_, last)| **last)?;
            if last.saturating_add(QUIET_AFTER) >= sequence {
                return None;
            }
            Place::InsteadOf(quietest.clone(), *last)
        };
        Some(Self {
            lane: lane.to_owned(),
            sequence,
            place,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full(oldest: u64) -> BTreeMap<String, u64> {
        (0..MAX_LANES)
            .map(|n| (format!("l{n}"), oldest + n as u64))
            .collect()
    }

    #[test]
    fn a_lane_is_claimed_while_there_is_room_or_it_is_already_ours() {
        let mut lanes = full(1_000);
        assert_eq!(Stamp::claim(&lanes, "mine", 2_000), None);
        assert!(Stamp::claim(&lanes, "l3", 2_000).is_some_and(|stamp| stamp.place == Place::Own));
        lanes.remove("l3");
        assert!(Stamp::claim(&lanes, "mine", 2_000).is_some_and(|stamp| stamp.place == Place::New));
    }

    #[test]
    fn only_the_quietest_lane_gives_way_and_only_after_ten_minutes() {
        assert_eq!(QUIET_AFTER, 600_000_000, "microseconds");
        let lanes = full(1_000);
        assert_eq!(Stamp::claim(&lanes, "mine", 1_000 + QUIET_AFTER), None);
        let stamp = Stamp::claim(&lanes, "mine", 1_001 + QUIET_AFTER).expect("free");
        assert_eq!(stamp.place, Place::InsteadOf("l0".to_owned(), 1_000));
    }
}
