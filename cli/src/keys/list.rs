//! `tollgate keys list`.

use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use clap_complete::ArgValueCandidates;
use comfy_table::Table;
use serde_json::Value;
use tollgate_api::client::Client;

use crate::completion;
use crate::failure::Failure;
use crate::names::IdOrName;
use crate::output::Output;
use crate::output::table::{cell, entries, list, time};

/// `tollgate keys list`.
#[derive(Debug, Args)]
pub(super) struct List {
    /// Only names starting with PREFIX
    #[arg(long, value_name = "PREFIX", value_parser = NonEmptyStringValueParser::new())]
    name: Option<String>,
    /// Only keys of this customer
    #[arg(long, value_name = "ID", conflicts_with = "name", value_parser = NonEmptyStringValueParser::new())]
    customer: Option<String>,
    /// Only keys in this plan, by id or name
    #[arg(long, value_name = "PLAN", conflicts_with = "customer", add = ArgValueCandidates::new(completion::plans))]
    plan: Option<IdOrName>,
    /// Maximum to list [default: all]
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

impl List {
    pub(super) async fn run(self, api: &Client, output: Output) -> Result<(), Failure> {
        match &self.plan {
            Some(plan) => output.print(&self.in_plan(api, plan).await?, table_in_plan),
            None => output.print(&self.all(api).await?, table),
        }
    }

    async fn all(&self, api: &Client) -> Result<Value, Failure> {
        let query = [
            ("name", self.prefix()),
            ("customerId", self.customer.as_deref().unwrap_or_default()),
        ];
        Ok(Value::Array(
            api.list(&["apikeys"], &query, self.limit).await?,
        ))
    }

    async fn in_plan(&self, api: &Client, plan: &IdOrName) -> Result<Value, Failure> {
        let plan = plan.plan(api).await?;
        let query = [("name", self.prefix())];
        let path = ["usageplans", &plan.id, "keys"];
        Ok(Value::Array(api.list(&path, &query, self.limit).await?))
    }

    fn prefix(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }
}

fn table(keys: &Value) -> Table {
    list(
        &["ID", "NAME", "ENABLED", "CUSTOMER", "CREATED"],
        entries(keys).map(|key| {
            vec![
                cell(&key["id"]),
                cell(&key["name"]),
                cell(&key["enabled"]),
                cell(&key["customerId"]),
                time(&key["createdDate"]).into(),
            ]
        }),
    )
}

fn table_in_plan(keys: &Value) -> Table {
    list(
        &["ID", "NAME"],
        entries(keys).map(|key| vec![cell(&key["id"]), cell(&key["name"])]),
    )
}
