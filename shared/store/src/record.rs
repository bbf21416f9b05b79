//! What the items of keys, plans and values hold, and under which keys they are found.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tollgate_core::key::KeyHash;
use tollgate_core::plan::Plan;
use tollgate_core::template::MethodTemplate;
use tollgate_core::terms::{Override, Restriction, Terms};

use crate::cache::Weigh;
use crate::failure::Damaged;
use crate::schema::{ITEM_VERSION, PK, SK};

/// An item as DynamoDB hands it out.
pub type Item = HashMap<String, AttributeValue>;

/// The primary key of an item.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ItemKey {
    /// The partition key.
    pub pk: String,
    /// The sort key.
    pub sk: String,
}

impl ItemKey {
    fn new(pk: String, sk: impl Into<String>) -> Self {
        Self { pk, sk: sk.into() }
    }

    /// The item of a key's record.
    pub fn key(id: &str) -> Self {
        Self::new(format!("KEY#{id}"), "KEY")
    }

    /// The item that says which key a value belongs to.
    pub fn hash(hash: &str) -> Self {
        Self::new(format!("HASH#{hash}"), "HASH")
    }

    /// The item of a plan.
    pub fn plan(id: &str) -> Self {
        Self::new(format!("PLAN#{id}"), "PLAN")
    }

    /// The item of a key's meter under a plan.
    pub fn meter(key: &str, plan: &str) -> Self {
        Self::new(format!("KEY#{key}"), format!("METER#{plan}"))
    }

    /// The item of a key's closed day under a plan; `day` is `yyyy-mm-dd`.
    pub fn usage(key: &str, plan: &str, day: impl std::fmt::Display) -> Self {
        Self::new(format!("KEY#{key}"), format!("USAGE#{plan}#{day}"))
    }

    /// The two attributes of the primary key.
    pub fn attributes(&self) -> Item {
        HashMap::from([
            (PK.to_owned(), AttributeValue::S(self.pk.clone())),
            (SK.to_owned(), AttributeValue::S(self.sk.clone())),
        ])
    }
}

impl std::fmt::Display for ItemKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.pk, self.sk)
    }
}

/// Plans that a key was taken out of and that its record remembers.
const MOST_LEFT: usize = 20;

/// An API key.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct KeyRecord {
    /// Its id, which is no secret.
    pub id: String,
    /// Grows with every change; the meters are told of it.
    pub revision: u64,
    /// The SHA-256 of its value, hexadecimal.
    pub hash: String,
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
    pub plans: Vec<String>,
    /// The ids of the plans that it was last taken out of: their meters are told so with every change, whether or not
    /// the call that took it out got that far.
    #[serde(default)]
    pub left: Vec<String>,
    /// Its tags.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// Its value, encrypted, where values are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed: Option<Sealed>,
    /// From when on requests with it are refused, milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<i64>,
    /// The methods that it may call; `None` for all that its plans open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restriction: Option<Restriction>,
    /// Limits in place of its plans', by plan id. Those of a plan that it is not in wait for it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub overrides: BTreeMap<String, Override>,
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
    /// When it was made, milliseconds since the epoch.
    pub created: i64,
    /// When it was last changed, milliseconds since the epoch.
    pub updated: i64,
}

/// A key's way from one plan to another, on which it is in neither.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moving {
    /// The plan that it left.
    pub from: String,
    /// The plan that it is going to be in.
    pub to: String,
    /// Whether what it has used of the quota goes with it.
    pub carries: bool,
    /// The key's revision when it left: the move's own mark.
    pub since: u64,
}

/// A value that a rotation has replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retiring {
    /// Its SHA-256, hexadecimal.
    pub hash: String,
    /// Until when it is good, milliseconds since the epoch.
    pub until: i64,
}

impl KeyRecord {
    /// Drops what no decision goes by, and may be long.
    pub(crate) fn forget_texts(&mut self) {
        self.sealed = None;
        self.description = None;
        self.tags = BTreeMap::new();
        self.stage_keys = Vec::new();
    }

    /// Whether a value is, or lately was, this key's.
    pub fn has_value(&self, hash: &str) -> bool {
        let was = self.retiring.as_ref().map(|retiring| &retiring.hash);
        self.hash == hash || was.is_some_and(|was| was == hash)
    }

    /// Takes it out of a plan. What was agreed for the plan ends, and a move from or to it is called off.
    pub(crate) fn leave(&mut self, plan: &str) {
        self.plans.retain(|linked| linked != plan);
        self.overrides.remove(plan);
        if let Some(moving) = &self.moving
            && (moving.from == plan || moving.to == plan)
        {
            self.call_off();
        }
        self.moved = None;
        self.note_left(plan);
    }

    /// Puts it into a plan. A move from that plan is called off, and one that is over is no more what has brought the key where
    /// it is.
    pub(crate) fn enter(&mut self, plan: &str) {
        if self
            .moving
            .as_ref()
            .is_some_and(|moving| moving.from == plan)
        {
            self.call_off();
        }
        self.moved = None;
        self.left.retain(|left| left != plan);
        if !self.plans.iter().any(|linked| linked == plan) {
            self.plans.push(plan.to_owned());
        }
    }

    /// Calls off the move that it is on. The meter that was being brought up is told so with every change.
    pub(crate) fn call_off(&mut self) {
        if let Some(moving) = self.moving.take() {
            self.note_left(&moving.to);
        }
    }

    fn note_left(&mut self, plan: &str) {
        self.left.retain(|left| left != plan);
        self.left.insert(0, plan.to_owned());
        self.left.truncate(MOST_LEFT);
    }

    /// What it may do under `plan`.
    pub fn terms<'a>(&'a self, plan: &'a PlanRecord) -> Terms<'a> {
        Terms {
            plan: &plan.limits,
            restriction: self.restriction.as_ref(),
            overrides: self.overrides.get(&plan.id),
        }
    }

    /// Whether the key, or this one of its values, is over.
    pub fn is_expired(&self, hash: &KeyHash, now: Timestamp) -> bool {
        let retiring = self.retiring.as_ref();
        let retiring = retiring.filter(|retiring| retiring.hash == hash.to_string());
        let ends = [self.expires, retiring.map(|retiring| retiring.until)];
        let now = now.as_millisecond();
        ends.into_iter().flatten().any(|end| end <= now)
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

/// A usage plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlanRecord {
    /// Its id.
    pub id: String,
    /// Grows with every change.
    pub revision: u64,
    /// It is being deleted: for everyone but the deletion it is gone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
    /// Its name.
    pub name: String,
    /// Its description.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The AWS Marketplace product it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product_code: Option<String>,
    /// Its tags.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// When it was made, milliseconds since the epoch.
    pub created: i64,
    /// Its limits.
    pub limits: Plan,
}

/// Which key a value belongs to. The plans are a hint: what to read together with the key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HashRecord {
    /// The key's id.
    pub key_id: String,
    /// The ids of the key's plans.
    #[serde(default)]
    pub plans: Vec<String>,
    /// From when on the value is forgotten, epoch seconds: a day after a rotation has ended its time. `DynamoDB` deletes the item
    /// some time after that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<i64>,
}

impl Weigh for KeyRecord {
    fn bytes(&self) -> usize {
        let texts = [&self.name, &self.description, &self.customer_id];
        let texts = texts.into_iter().flatten().map(String::len);
        let restriction = self.restriction.iter().flatten();
        let restriction = restriction.map(|(stage, methods)| stage.len() + of_methods(methods));
        let overrides = self.overrides.values().flat_map(|it| &it.methods);
        let overrides = overrides.map(|(stage, methods)| stage.len() + of_methods(methods.keys()));
        let plans = self.plans.iter().chain(&self.left).map(String::len);
        texts.chain(restriction).chain(overrides).chain(plans).sum()
    }
}

impl Weigh for PlanRecord {
    fn bytes(&self) -> usize {
        let texts = [&self.description, &self.product_code];
        let texts = texts.into_iter().flatten().map(String::len);
        let tags = self.tags.iter().map(|(key, value)| key.len() + value.len());
        let stages = self.limits.stages.iter().map(|stage| {
            let open = stage.methods.iter().flatten();
            stage.api_id.len()
                + stage.stage.len()
                + 100
                + of_methods(open.chain(stage.throttle.keys()))
        });
        texts.chain(tags).chain(stages).sum::<usize>() + self.name.len()
    }
}

/// What templates take, with their place in a map.
fn of_methods<'a>(methods: impl IntoIterator<Item = &'a MethodTemplate>) -> usize {
    let bytes = |method: &MethodTemplate| method.path().len() + method.method().len() + 100;
    methods.into_iter().map(bytes).sum()
}

impl HashRecord {
    /// Where the record of `hash` is found.
    pub fn item_key(hash: &KeyHash) -> ItemKey {
        ItemKey::hash(&hash.to_string())
    }
}

/// The item of `record` under `key`.
pub(crate) fn to_item(key: &ItemKey, record: &impl Serialize) -> Item {
    let mut item: Item = serde_dynamo::aws_sdk_dynamodb_1::to_item(record)
        .expect("a record is a map of plain values");
    item.extend(key.attributes());
    item.insert("v".to_owned(), AttributeValue::N(ITEM_VERSION.to_string()));
    item
}

/// Whether an item is of a form that this release knows.
pub(crate) fn check_version(item: &Item) -> Result<(), Damaged> {
    let Some(version) = item.get("v") else {
        // A meter that was told of a change before it was made has none.
        return Ok(());
    };
    let known = version.as_n().ok().and_then(|version| version.parse().ok());
    if known.is_some_and(|version: u8| version <= ITEM_VERSION) {
        Ok(())
    } else {
        Err(Damaged {
            item: name_of(item),
            what: format!(
                "attribute v must be at most {ITEM_VERSION}, the version of items that this release knows; got {version:?}"
            ),
        })
    }
}

/// The record that `item` holds.
pub(crate) fn from_item<T: DeserializeOwned>(item: Item) -> Result<T, Damaged> {
    check_version(&item)?;
    let name = name_of(&item);
    serde_dynamo::aws_sdk_dynamodb_1::from_item(item).map_err(|error| Damaged {
        item: name,
        what: error.to_string(),
    })
}

/// The keys of an item, for messages.
pub(crate) fn name_of(item: &Item) -> String {
    let part = |name| {
        item.get(name)
            .and_then(|value: &AttributeValue| value.as_s().ok())
            .map_or("?", String::as_str)
    };
    format!("{} {}", part(PK), part(SK))
}
