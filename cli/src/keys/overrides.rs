//! `tollgate keys override` and `end-override`: limits of one key in place of a plan's.

use clap::Args;
use jiff::civil::Date;
use serde_json::{Value, json};
use tollgate_api::client::Client;

use super::arguments::KeyAndPlan;
use super::update::update;
use crate::arguments::id;
use crate::arguments::throttle::{self, MethodThrottle, rate};
use crate::changes::Change;
use crate::failure::Failure;
use crate::output::Output;

/// `tollgate keys override`.
#[derive(Debug, Args)]
pub(super) struct Override {
    #[arg(value_parser = id)]
    key: String,
    #[arg(value_parser = id)]
    plan: String,
    /// Requests per second, in place of the plan's
    #[arg(long, value_name = "N", value_parser = rate)]
    rate: Option<f64>,
    /// Requests that may come at once, with --rate
    #[arg(long, value_name = "N", requires = "rate")]
    burst: Option<u32>,
    /// Requests per period of the plan's quota, in place of its limit
    #[arg(long, value_name = "N")]
    quota: Option<u64>,
    /// A limit on one method, in place of the plan's or besides
    #[arg(long, value_name = "API:STAGE/PATH/METHOD=RATE[:BURST]")]
    method_throttle: Vec<MethodThrottle>,
    /// The last day on which they hold, UTC; without it they always do
    #[arg(long, value_name = "YYYY-MM-DD")]
    until: Option<Date>,
}

impl Override {
    pub(super) async fn run(self, api: &Client, output: Output) -> Result<(), Failure> {
        let mut limits = self.limits();
        if limits == json!({}) {
            return Err("nothing to override; give --rate, --quota or --method-throttle".into());
        }
        if let Some(until) = self.until {
            limits["until"] = json!(until.to_string());
        }
        let change = Change::replace(path(&self.plan), limits);
        update(api, output, &self.key, &[change]).await
    }

    fn limits(&self) -> Value {
        let mut limits = json!({});
        if let Some(rate) = self.rate {
            limits["throttle"] = throttle::body(Some(rate), self.burst);
        }
        if let Some(quota) = self.quota {
            limits["quotaLimit"] = json!(quota);
        }
        for throttle in &self.method_throttle {
            let method = &throttle.method;
            limits["methods"][method.stage.as_str()][&method.template] = throttle.body();
        }
        limits
    }
}

/// Ends a key's own limits: the plan's apply again.
pub(super) async fn end(api: &Client, output: Output, of: &KeyAndPlan) -> Result<(), Failure> {
    update(api, output, &of.key, &[Change::remove(path(&of.plan))]).await
}

/// The PATCH path of a key's own limits under a plan.
fn path(plan: &str) -> String {
    format!("/tollgate/overrides/{plan}")
}
