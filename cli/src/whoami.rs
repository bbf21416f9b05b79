//! `tollgate whoami`: what a key has left, for who holds it.

use std::process::ExitCode;

use clap::Args;
use comfy_table::Table;
use serde_json::Value;
use tollgate_keys::wire::Secret;

use crate::Failure;
use crate::api::Api;
use crate::keys::typed;
use crate::output::{Common, Output, cell, fields, list, number, text, time};

/// `tollgate whoami`.
#[derive(Debug, Args)]
pub(crate) struct WhoAmI {
    #[command(flatten)]
    common: Common,
    /// The key's value, or - to read it from standard input
    #[arg(
        long,
        value_name = "VALUE",
        env = "TOLLGATE_KEY",
        hide_env_values = true
    )]
    key: Secret,
}

impl WhoAmI {
    pub(crate) async fn run(self) -> Result<ExitCode, Failure> {
        let output = self.common.output;
        let api = Api::held(&self.common.place, typed(&self.key)?).await?;
        let told = api.get(&["whoami"], &[]).await?;
        if told.get("usagePlans").is_none() {
            return Err("the answer tells of no key; is this the management API (`tollgate dev` prints its URL)?".into());
        }
        output.print(&told, who)?;
        if output == Output::Table {
            crate::print("")?;
            output.print(&told, limits)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn who(told: &Value) -> Table {
    fields([
        ("key", text(&told["keyId"])),
        ("name", text(&told["name"])),
        ("customer", text(&told["customerId"])),
        ("expires", time(&told["expiresAt"])),
    ])
}

/// A row for each limit.
fn limits(told: &Value) -> Table {
    let mut rows = Vec::new();
    for plan in told["usagePlans"].as_array().into_iter().flatten() {
        let mut row = |what: String, limit: &Value| {
            if limit.is_null() {
                return;
            }
            rows.push(vec![
                cell(&plan["name"]),
                what.into(),
                number(text(&limit["limit"])),
                number(text(&limit["used"])),
                number(text(&limit["left"])),
                number(format!("{} s", text(&limit["resetAfter"]))),
            ]);
        };
        row("throttle".to_owned(), &plan["throttle"]);
        for method in plan["methods"].as_array().into_iter().flatten() {
            let (stage, name) = (text(&method["apiStage"]), text(&method["method"]));
            row(format!("{stage}{name}"), method);
        }
        row("quota".to_owned(), &plan["quota"]);
    }
    list(
        &["PLAN", "LIMIT", "OF", "USED", "LEFT", "WHOLE AGAIN IN"],
        rows,
    )
}
