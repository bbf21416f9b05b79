//! Lanes: how a lost answer is told from a write that never happened.
//!
//! A write whose answer was lost may have been applied, or may be applied late. Each instance therefore stamps its
//! charges with a sequence number in a lane of its own on the meter, under the condition that the lane is absent or
//! smaller. All tries of one decision carry one number, so at most one of them lands; a later decision carries a larger
//! one, so a late original cannot land after it. One stamp per meter would not do: other instances would erase it.
//!
//! Sequence numbers are microseconds since the epoch, made strictly increasing by each instance, which tells how long
//! a lane has been quiet.

use std::collections::BTreeMap;

/// Lanes on one meter at most; they cost it about 20 bytes each.
pub const MAX_LANES: usize = 12;

/// A lane this quiet can be taken over, in microseconds: ten minutes. DynamoDB refuses a request five minutes after
/// it was signed, so no write of such a lane can still arrive.
pub const QUIET_AFTER: u64 = 600 * 1_000_000;

/// The mark that a charge leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// The instance's lane.
    pub lane: String,
    /// The decision's number.
    pub sequence: u64,
    /// Where it goes.
    pub place: Place,
}

/// Where a stamp goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// On the instance's lane, which is there.
    Own,
    /// On a new lane, for which there is room.
    New,
    /// On a new lane, in the place of this quiet one with this last number.
    InsteadOf(String, u64),
}

impl Stamp {
    /// A stamp on a meter with these lanes; `None` when none is free.
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
