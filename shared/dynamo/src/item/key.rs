//! The key's record: what is kept of an API key, except its counters.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};
use tollgate_core::id::{KeyId, PlanId};
use tollgate_core::key::KeyHash;
use tollgate_core::terms::{Override, Restriction, Terms};

use super::plan::PlanRecord;

/// Plans that a key was taken out of and that its record remembers.
const MAX_RETIRED_PLANS: usize = 20;

/// An API key.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct KeyRecord {
    /// Its id, which is no secret.
    pub id: KeyId,
    /// Grows with every change; the meters are told of it.
    pub revision: u64,
    /// The SHA-256 of its value.
    pub hash: KeyHash,
    /// Whether requests with it may pass.
    pub enabled: bool,
    /// It is being deleted: for everyone but the deletion it is gone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its description.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The customer it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer_id: Option<String>,
    /// The ids of its plans, in the order in which it was linked to them.
    #[serde(default)]
    pub plans: Vec<PlanId>,
    /// The ids of the plans that it was last taken out of: their meters are told so with every change, whether or not
    /// the call that took it out got that far.
    #[serde(default, rename = "left")]
    pub retired_plans: Vec<PlanId>,
    /// Its tags.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// Its value, encrypted, where values are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed: Option<Sealed>,
    /// From when on requests with it are refused.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "millisecond::optional"
    )]
    pub expires: Option<Timestamp>,
    /// The methods that it may call; `None` for all that its plans open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restriction: Option<Restriction>,
    /// Limits in place of its plans', by plan id. Those of a plan that it is not in wait for it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub overrides: BTreeMap<PlanId, Override>,
    /// It is on its way from one plan to another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moving: Option<Moving>,
    /// The move that has brought it where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved: Option<Moving>,
    /// The value before, where a rotation lets it be good for a while.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retiring: Option<Retiring>,
    /// API stages from before usage plans, `restApiId/stageName`: tools find their keys by them, and no decision goes by them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stage_keys: Vec<String>,
    /// When it was made.
    #[serde(with = "millisecond::required")]
    pub created: Timestamp,
    /// When it was last changed.
    #[serde(with = "millisecond::required")]
    pub updated: Timestamp,
}

/// A key's way from one plan to another, on which it is in neither.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moving {
    /// The plan that it left.
    pub from: PlanId,
    /// The plan that it is going to be in.
    pub to: PlanId,
    /// Whether what it has used of the quota goes with it.
    pub carries: bool,
    /// The key's revision when it left: the move's own mark.
    pub since: u64,
}

/// A value that a rotation has replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retiring {
    /// Its SHA-256.
    pub hash: KeyHash,
    /// Until when it is good.
    #[serde(with = "millisecond::required")]
    pub until: Timestamp,
}

impl KeyRecord {
    /// Drops what no decision goes by, and may be long.
    pub fn forget_texts(&mut self) {
        self.sealed = None;
        self.description = None;
        self.tags = BTreeMap::new();
        self.stage_keys = Vec::new();
    }

    /// Whether a value is, or lately was, this key's.
    pub fn has_value(&self, hash: &KeyHash) -> bool {
        let was = self.retiring.as_ref().map(|retiring| &retiring.hash);
        self.hash == *hash || was.is_some_and(|was| was == hash)
    }

    /// Takes it out of a plan. What was agreed for the plan ends, and a move from or to it is called off.
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

    /// Puts it into a plan. A move from that plan is called off, and one that is over is no more what has brought the key where
    /// it is.
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

    /// Calls off the move that it is on. The meter that was being brought up is told so with every change.
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

    /// What it may do under `plan`.
    pub fn terms<'a>(&'a self, plan: &'a PlanRecord) -> Terms<'a> {
        Terms {
            plan: &plan.limits,
            restriction: self.restriction.as_ref(),
            overrides: self.overrides.get(&plan.id),
        }
    }

    /// The time at which the key, or this one of its values, ends; `None` if neither does.
    pub fn good_until(&self, hash: &KeyHash) -> Option<Timestamp> {
        let retiring = self.retiring.as_ref();
        let retiring = retiring.filter(|retiring| retiring.hash == *hash);
        let ends = [self.expires, retiring.map(|retiring| retiring.until)];
        ends.into_iter().flatten().min()
    }

    /// Whether the key, or this one of its values, has ended.
    pub fn is_expired(&self, hash: &KeyHash, now: Timestamp) -> bool {
        self.good_until(hash).is_some_and(|end| end <= now)
    }
}

/// A key's value, encrypted. The store keeps it as it comes; only the key-management function can open it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    /// The data key that encrypts the value, itself encrypted; base64.
    pub data_key: String,
    /// Nonce, ciphertext and tag; base64.
    pub value: String,
}
