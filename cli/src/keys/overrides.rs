//! `tollgate keys override` and `end-override`: limits of one key in place of a plan's.

use clap::Args;
use jiff::civil::Date;
use serde_json::{Value, json};
use tollgate_api::client::{Client, Error};

use super::arguments::KeyAndPlan;
use super::links::not_linked;
use super::update::update;
use crate::arguments::throttle::{self, MethodThrottle, rate};
use crate::changes::Change;
use crate::failure::Failure;
use crate::names::Found;
use crate::output::Output;

/// `tollgate keys override`.
#[derive(Debug, Args)]
pub(super) struct Override {
    #[command(flatten)]
    of: KeyAndPlan,
    /// Requests per second, instead of the plan's rate
    #[arg(long, value_name = "N", value_parser = rate)]
    rate: Option<f64>,
    /// Requests that may come at once, with --rate [default: one second's worth]
    #[arg(long, value_name = "N", requires = "rate")]
    burst: Option<u32>,
    /// Requests per period of the plan's quota, instead of its limit
    #[arg(long, value_name = "N")]
    quota: Option<u64>,
    /// Rate and burst of one method, instead of the plan's or in addition; repeatable
    #[arg(long, value_name = "API:STAGE/PATH/METHOD=RATE[:BURST]")]
    method_throttle: Vec<MethodThrottle>,
    /// Last day (UTC) on which these limits apply [default: no end]
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
        let (key, plan) = self.of.find(api).await?;
        let change = Change::replace(path(&plan), limits);
        change_limits(api, output, &key, &plan, change).await
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
    let (key, plan) = of.find(api).await?;
    let change = Change::remove(path(&plan));
    change_limits(api, output, &key, &plan, change).await
}

async fn change_limits(
    api: &Client,
    output: Output,
    key: &Found,
    plan: &Found,
    change: Change,
) -> Result<(), Failure> {
    let changed = update(api, output, key, &[change]).await;
    changed.map_err(|failure| match failure.downcast::<Error>() {
        Ok(error) => not_linked(*error, key, plan),
        Err(failure) => failure,
    })
}

/// The PATCH path of a key's own limits under a plan.
fn path(plan: &Found) -> String {
    format!("/tollgate/overrides/{}", plan.id)
}
