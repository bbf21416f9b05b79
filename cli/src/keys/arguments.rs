//! Arguments that several commands about keys take.

use clap::Args;
use clap_complete::ArgValueCandidates;
use tollgate_api::client::Client;

use crate::completion;
use crate::failure::Failure;
use crate::names::{Found, IdOrName};

#[derive(Debug, Args)]
pub(super) struct Key {
    /// The key's id or name
    #[arg(add = ArgValueCandidates::new(completion::keys))]
    key: IdOrName,
}

impl Key {
    /// The key, which must exist.
    pub(super) async fn find(&self, api: &Client) -> Result<Found, Failure> {
        self.key.key(api).await
    }
}

#[derive(Debug, Args)]
pub(super) struct KeyAndPlan {
    /// The key's id or name
    #[arg(add = ArgValueCandidates::new(completion::keys))]
    key: IdOrName,
    /// The plan's id or name
    #[arg(add = ArgValueCandidates::new(completion::plans))]
    plan: IdOrName,
}

impl KeyAndPlan {
    /// The key and the plan, which must exist.
    pub(super) async fn find(&self, api: &Client) -> Result<(Found, Found), Failure> {
        Ok((self.key.key(api).await?, self.plan.plan(api).await?))
    }
}

/// What people call a key, and whom they gave it to.
#[derive(Debug, Args)]
pub(super) struct Labels {
    /// Name the key
    #[arg(long)]
    name: Option<String>,
    /// Say what the key is for
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Record your own id of the customer who holds the key
    #[arg(long, value_name = "ID")]
    customer: Option<String>,
}

impl Labels {
    /// The given fields by the API's names for them.
    pub(super) fn members(&self) -> impl Iterator<Item = (&'static str, &String)> {
        let Self {
            name,
            description,
            customer,
        } = self;
        [
            ("name", name),
            ("description", description),
            ("customerId", customer),
        ]
        .into_iter()
        .filter_map(|(member, value)| Some((member, value.as_ref()?)))
    }
}
