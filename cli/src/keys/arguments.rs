//! Arguments that several commands about keys take.

use clap::Args;

use crate::arguments::id;

#[derive(Debug, Args)]
pub(super) struct Key {
    #[arg(value_parser = id)]
    pub(super) key: String,
}

#[derive(Debug, Args)]
pub(super) struct KeyAndPlan {
    #[arg(value_parser = id)]
    pub(super) key: String,
    #[arg(value_parser = id)]
    pub(super) plan: String,
}

/// What people call a key, and whom they gave it to.
#[derive(Debug, Args)]
pub(super) struct Labels {
    /// What it is called
    #[arg(long)]
    name: Option<String>,
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Whom it belongs to
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
