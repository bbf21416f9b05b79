//! `tollgate whoami`: what a key has left, for its holder.

use clap::Args;
use comfy_table::{Cell, Table};
use serde_json::Value;

use crate::api_options::ApiOptions;
use crate::arguments::value::{Secret, value_or_stdin};
use crate::failure::Failure;
use crate::output::limits::restriction;
use crate::output::print;
use crate::output::table::{cell, duration, entries, fields, list, number, text, time};

/// `tollgate whoami`.
#[derive(Debug, Args)]
pub(crate) struct WhoAmI {
    #[command(flatten)]
    options: ApiOptions,
    /// The key's value; - reads it from standard input
    #[arg(
        long,
        value_name = "VALUE",
        env = "TOLLGATE_KEY",
        hide_env_values = true
    )]
    key: Secret,
}

impl WhoAmI {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let ApiOptions { endpoint, output } = self.options;
        let key = value_or_stdin(&self.key)?;
        let api = endpoint.client_as_key_holder(&key).await?;
        let response: Value = api.get(&["whoami"], &[]).await?;
        if response.get("usagePlans").is_none() {
            return Err("the answer describes no key; is this the management API? `tollgate dev` prints its URL".into());
        }
        output.print(&response, who)?;
        if !output.is_json() {
            print("")?;
            output.print(&response, limits)?;
        }
        Ok(())
    }
}

fn who(response: &Value) -> Table {
    fields([
        ("key", text(&response["keyId"])),
        ("name", text(&response["name"])),
        ("customer", text(&response["customerId"])),
        ("expires", time(&response["expiresAt"])),
        ("only", restriction(&response["restriction"])),
    ])
}

/// A row for each limit of each plan.
fn limits(response: &Value) -> Table {
    list(
        &[
            "PLAN",
            "LIMIT",
            "RATE/S",
            "AT MOST",
            "USED",
            "LEFT",
            "FULL AGAIN IN",
        ],
        entries(&response["usagePlans"]).flat_map(limits_of_plan),
    )
}

fn limits_of_plan(plan: &Value) -> Vec<Vec<Cell>> {
    let methods = entries(&plan["methods"]).map(|method| {
        let (stage, name) = (text(&method["apiStage"]), text(&method["method"]));
        (format!("{stage}{name}"), method)
    });
    let throttle = std::iter::once(("throttle".to_owned(), &plan["throttle"]));
    let quota = std::iter::once(("quota".to_owned(), &plan["quota"]));
    let limits = throttle.chain(methods).chain(quota);
    limits
        .filter(|(_, limit)| !limit.is_null())
        .map(|(name, limit)| {
            vec![
                cell(&plan["name"]),
                name.into(),
                number(text(&limit["rateLimit"])),
                number(text(&limit["limit"])),
                number(text(&limit["used"])),
                number(text(&limit["left"])),
                number(duration(&limit["resetAfter"])),
            ]
        })
        .collect()
}
