//! Keys and plans as people name them: by id, or by name.
//!
//! An id is looked for first. Names need not be unique, so a name that several have is refused with the ids to choose from.

use std::fmt;
use std::str::FromStr;

use serde_json::Value;
use tollgate_api::client::{Client, Error};

use crate::failure::Failure;
use crate::output::table::{entries, text};

/// What generated values of keys begin with. Ids and names are written to logs, and a value must not be.
const VALUE_PREFIX: &str = "tg_";

/// An id or a name, as it was typed.
#[derive(Debug, Clone)]
pub(crate) struct IdOrName(String);

/// A key or a plan that exists.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) id: String,
    /// Empty if it has none.
    pub(crate) name: String,
}

/// An id or a name that identifies nothing, or not only one thing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NameError {
    /// Neither an id nor a name.
    #[error("no {kind} has the id or the name {name:?}; `tollgate {} list` shows them all", .kind.command())]
    NotFound { kind: Kind, name: String },
    /// The key is not in the plan.
    #[error("key {key} is not in plan {plan}; `tollgate keys show {}` lists its plans", .key.id)]
    NotLinked { key: Found, plan: Found },
    /// The name of several.
    #[error("{} {}s are named {name:?}; give the id of one: {}", .ids.len(), .kind, .ids.join(", "))]
    Ambiguous {
        kind: Kind,
        name: String,
        ids: Vec<String>,
    },
}

/// What is named.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Key,
    Plan,
}

impl Kind {
    fn command(self) -> &'static str {
        match self {
            Self::Key => "keys",
            Self::Plan => "plans",
        }
    }

    fn path(self) -> &'static str {
        match self {
            Self::Key => "apikeys",
            Self::Plan => "usageplans",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Key => "API key",
            Self::Plan => "usage plan",
        })
    }
}

impl FromStr for IdOrName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("expected an id or a name".to_owned());
        }
        if text.starts_with(VALUE_PREFIX) {
            return Err("expected an id or a name, got a key's value".to_owned());
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.name.is_empty() {
            f.write_str(&self.id)
        } else {
            write!(f, "{} ({})", self.name, self.id)
        }
    }
}

impl Found {
    /// A key or a plan that the API has shown.
    pub(crate) fn of(record: &Value) -> Self {
        Self {
            id: text(&record["id"]),
            name: text(&record["name"]),
        }
    }
}

impl IdOrName {
    /// The key with this id or name.
    pub(crate) async fn key(&self, api: &Client) -> Result<Found, Failure> {
        self.find(api, Kind::Key).await
    }

    /// The plan with this id or name.
    pub(crate) async fn plan(&self, api: &Client) -> Result<Found, Failure> {
        self.find(api, Kind::Plan).await
    }

    async fn find(&self, api: &Client, kind: Kind) -> Result<Found, Failure> {
        if let Some(id) = self.as_id() {
            match api.get::<Value>(&[kind.path(), id], &[]).await {
                Ok(record) => return Ok(Found::of(&record)),
                Err(error) if error.is_not_found() => {}
                // The record may be damaged, and revoking it works all the same.
                Err(Error::Refused(refusal)) if refusal.status == 500 => {
                    return Ok(Found {
                        id: id.to_owned(),
                        name: String::new(),
                    });
                }
                Err(error) => return Err(error.into()),
            }
        }
        let query = match kind {
            Kind::Key => &[("name", &*self.0)][..],
            Kind::Plan => &[],
        };
        let records: Vec<Value> = api.list(&[kind.path()], query, None).await?;
        let mut found: Vec<_> = records
            .iter()
            .filter(|record| record["name"] == *self.0)
            .map(Found::of)
            .collect();
        let name = self.0.clone();
        match found.len() {
            0 => Err(NameError::NotFound { kind, name }.into()),
            1 => Ok(found.remove(0)),
            _ => {
                let ids = found.into_iter().map(|found| found.id).collect();
                Err(NameError::Ambiguous { kind, name, ids }.into())
            }
        }
    }

    /// The text, if it can be an id. Anything else has no place in a path, because paths are logged.
    fn as_id(&self) -> Option<&str> {
        let is_id = self.0.len() <= 19 && self.0.bytes().all(|byte| byte.is_ascii_alphanumeric());
        is_id.then_some(self.0.as_str())
    }
}

/// The names of all plans by their ids.
pub(crate) async fn of_plans(api: &Client) -> Result<Vec<Found>, Failure> {
    let plans: Vec<Value> = api.list(&["usageplans"], &[], None).await?;
    Ok(plans.iter().map(Found::of).collect())
}

/// The plans in an answer.
pub(crate) fn listed(records: &Value) -> impl Iterator<Item = Found> {
    entries(records).map(Found::of)
}
