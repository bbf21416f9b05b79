//! The record of an API key: everything about it except its counters.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};
use tollgate_core::id::{KeyId, PlanId};
use tollgate_core::key::KeyHash;
use tollgate_core::terms::{Override, Restriction, Terms};
use tollgate_core::verdict::Reason;

use super::plan::PlanRecord;

/// Maximum number of plans that a key was unlinked from and that its record remembers.
const MAX_RETIRED_PLANS: usize = 20;

/// An API key.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct KeyRecord {
    /// The key's id, which is not secret.
    pub id: KeyId,
    /// Increases with every change. Management writes it to the key's meters.
    pub revision: u64,
    /// The SHA-256 of the key's value.
    pub hash: KeyHash,
    /// Whether requests with the key may be admitted.
    pub enabled: bool,
    /// Whether the key is being deleted. For everything except the deletion it no longer exists.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
    /// The key's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The key's description.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The customer that the key belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer_id: Option<String>,
    /// The ids of the key's plans, in the order in which it was linked to them.
    #[serde(default)]
    pub plans: Vec<PlanId>,
    /// The ids of the plans that the key was most recently unlinked from. Every change of the key retires their meters again,
    /// in case the call that unlinked the key was interrupted before it did so.
    #[serde(default, rename = "left")]
    pub retired_plans: Vec<PlanId>,
    /// The key's tags.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// The key's value, encrypted, if the stack keeps retrievable values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed: Option<Sealed>,
    /// The time from which requests with the key are refused.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "millisecond::optional"
    )]
    pub expires: Option<Timestamp>,
    /// The methods that the key may call; `None` for all methods that its plans open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restriction: Option<Restriction>,
    /// Limits that replace those of the key's plans, by plan id. An override for a plan that the key is not linked to applies
    /// once it is linked.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub overrides: BTreeMap<PlanId, Override>,
    /// The move that the key is making from one plan to another, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moving: Option<Moving>,
    /// The move that brought the key to its current plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved: Option<Moving>,
    /// The previous value, if a rotation keeps it valid for an overlap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retiring: Option<Retiring>,
    /// API stages from before usage plans, `restApiId/stageName`. Tools use them to find their keys; decisions ignore them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stage_keys: Vec<String>,
    /// When the key was created.
    #[serde(with = "millisecond::required")]
    pub created: Timestamp,
    /// When the key was last changed.
    #[serde(with = "millisecond::required")]
    pub updated: Timestamp,
}

/// A key's move from one plan to another. During the move the key is linked to neither plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moving {
    /// The plan that the key leaves.
    pub from: PlanId,
    /// The plan that the key moves to.
    pub to: PlanId,
    /// Whether the key takes its use of the quota along.
    pub carries: bool,
    /// The key's revision when it left the first plan, which identifies the move.
    pub since: u64,
}

/// A value that a rotation has replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retiring {
    /// The value's SHA-256.
    pub hash: KeyHash,
    /// When the value stops working.
    #[serde(with = "millisecond::required")]
    pub until: Timestamp,
}

impl KeyRecord {
    /// Drops texts that no decision uses, because they may be long.
    pub fn forget_texts(&mut self) {
        self.sealed = None;
        self.description = None;
        self.tags = BTreeMap::new();
        self.stage_keys = Vec::new();
    }

    /// Whether a value belongs to this key, or did until a recent rotation.
    pub fn has_value(&self, hash: &KeyHash) -> bool {
        let was = self.retiring.as_ref().map(|retiring| &retiring.hash);
        self.hash == *hash || was.is_some_and(|was| was == hash)
    }

    /// Unlinks the key from a plan. This removes its override for the plan and cancels a move from or to the plan.
    pub fn leave(&mut self, plan: &PlanId) {
        self.plans.retain(|linked| linked != plan);
        self.overrides.remove(plan);
        if let Some(moving) = &self.moving
            && (moving.from == *plan || moving.to == *plan)
        {
            self.call_off();
        }
        self.moved = None;
        self.note_retired(plan);
    }

    /// Links the key to a plan. This cancels a move from that plan, and forgets a completed move, which no longer explains
    /// where the key is.
    pub fn enter(&mut self, plan: &PlanId) {
        if self
            .moving
            .as_ref()
            .is_some_and(|moving| moving.from == *plan)
        {
            self.call_off();
        }
        self.moved = None;
        self.retired_plans.retain(|retired| retired != plan);
        if !self.plans.iter().any(|linked| linked == plan) {
            self.plans.push(plan.clone());
        }
    }

    /// Cancels the key's current move. Every later change of the key retires the meter that the move was preparing.
    pub fn call_off(&mut self) {
        if let Some(moving) = self.moving.take() {
            self.note_retired(&moving.to);
        }
    }

    fn note_retired(&mut self, plan: &PlanId) {
        self.retired_plans.retain(|retired| retired != plan);
        self.retired_plans.insert(0, plan.clone());
        self.retired_plans.truncate(MAX_RETIRED_PLANS);
    }

    /// What the key may do under `plan`.
    pub fn terms<'a>(&'a self, plan: &'a PlanRecord) -> Terms<'a> {
        Terms {
            plan: &plan.limits,
            restriction: self.restriction.as_ref(),
            overrides: self.overrides.get(&plan.id),
        }
    }

    /// Checks that requests with the key may pass at `now`: it is enabled, not deleted and not expired. With `hash`, the value of
    /// that hash counts too, which expires at the end of a rotation's overlap.
    ///
    /// # Errors
    /// The reason to refuse: [`Reason::UnknownKey`], [`Reason::Disabled`] or [`Reason::Expired`].
    pub fn check_usable(&self, hash: Option<&KeyHash>, now: Timestamp) -> Result<(), Reason> {
        let end = match hash {
            Some(hash) => self.good_until(hash),
            None => self.expires,
        };
        if self.deleted {
            Err(Reason::UnknownKey)
        } else if !self.enabled {
            Err(Reason::Disabled)
        } else if end.is_some_and(|end| end <= now) {
            Err(Reason::Expired)
        } else {
            Ok(())
        }
    }

    /// The time at which the key, or this one of its values, expires; `None` if neither does.
    pub fn good_until(&self, hash: &KeyHash) -> Option<Timestamp> {
        let retiring = self.retiring.as_ref();
        let retiring = retiring.filter(|retiring| retiring.hash == *hash);
        let ends = [self.expires, retiring.map(|retiring| retiring.until)];
        ends.into_iter().flatten().min()
    }
}

/// A key's value, encrypted. The store does not interpret it; only the key-management function can decrypt it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    /// The data key that encrypts the value, itself encrypted, in base64.
    pub data_key: String,
    /// Nonce, ciphertext and tag, in base64.
    pub value: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_usable_while_it_is_enabled_there_and_not_expired() {
        let second = |second| Timestamp::from_second(second).expect("in range");
        let key = KeyRecord {
            enabled: true,
            expires: Some(second(10)),
            retiring: Some(Retiring {
                hash: KeyHash::default(),
                until: second(5),
            }),
            ..KeyRecord::default()
        };
        let value = Some(&key.hash);
        assert_eq!(key.check_usable(None, second(9)), Ok(()));
        assert_eq!(key.check_usable(None, second(10)), Err(Reason::Expired));
        assert_eq!(key.check_usable(value, second(4)), Ok(()));
        assert_eq!(key.check_usable(value, second(5)), Err(Reason::Expired));
        let disabled = KeyRecord {
            enabled: false,
            ..key.clone()
        };
        assert_eq!(
            disabled.check_usable(None, second(1)),
            Err(Reason::Disabled)
        );
        let deleted = KeyRecord {
            deleted: true,
            ..disabled
        };
        assert_eq!(
            deleted.check_usable(None, second(1)),
            Err(Reason::UnknownKey)
        );
    }
}
