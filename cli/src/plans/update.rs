//! `tollgate plans update`.

use clap::Args;
use clap_complete::ArgValueCandidates;
use serde_json::{Value, json};
use tollgate_api::client::Client;
use tollgate_core::id::StageId;

use super::limits::Limits;
use super::table;
use crate::arguments::method::{Method, by_stage, stage};
use crate::arguments::throttle::MethodThrottle;
use crate::changes::{self, Change};
use crate::completion;
use crate::failure::Failure;
use crate::names::IdOrName;
use crate::output::Output;

/// The PATCH path of a plan's stages.
const STAGES: &str = "/apiStages";

/// `tollgate plans update`.
#[derive(Debug, Args)]
pub(super) struct Update {
    /// The plan's id or name
    #[arg(add = ArgValueCandidates::new(completion::plans))]
    plan: IdOrName,
    /// Rename the plan
    #[arg(long)]
    name: Option<String>,
    /// Say what the plan is for
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Open this API stage to the plan's keys; repeatable
    #[arg(long, value_name = "API:STAGE", value_parser = stage)]
    add_stage: Vec<StageId>,
    /// Close this API stage to the plan's keys; repeatable
    #[arg(long, value_name = "API:STAGE", value_parser = stage)]
    remove_stage: Vec<StageId>,
    #[command(flatten)]
    limits: Limits,
    /// Remove the plan's throttle
    #[arg(long, conflicts_with_all = ["rate", "burst"])]
    no_throttle: bool,
    /// Remove the quota
    #[arg(long, conflicts_with_all = ["quota", "period", "offset"])]
    no_quota: bool,
    /// Remove the throttle of this method; repeatable
    #[arg(long, value_name = "API:STAGE/PATH/METHOD")]
    no_method_throttle: Vec<Method>,
    /// Open only this method of its stage; repeatable
    #[arg(long, value_name = "API:STAGE/PATH/METHOD")]
    open_method: Vec<Method>,
    /// Open all methods of this stage; repeatable
    #[arg(long, value_name = "API:STAGE", value_parser = stage)]
    open_all_methods: Vec<StageId>,
}

impl Update {
    pub(super) async fn run(self, api: &Client, output: Output) -> Result<(), Failure> {
        let changes = self.changes();
        if changes.is_empty() {
            return Err("nothing to change; see `tollgate plans update --help`".into());
        }
        let patch = changes::body(&changes);
        let plan = self.plan.plan(api).await?;
        let plan: Value = api.patch(&["usageplans", &plan.id], &patch).await?;
        output.print(&plan, table::plan)
    }

    /// The operations, in an order in which each applies: a stage is added before its methods change, and removed at the end.
    fn changes(&self) -> Vec<Change> {
        let mut changes = self.fields();
        let add = self.add_stage.iter();
        changes.extend(add.map(|stage| Change::add(STAGES, stage)));
        changes.extend(self.method_throttles());
        changes.extend(self.open_methods());
        let remove = self.remove_stage.iter();
        changes.extend(remove.map(|stage| Change::remove_entry(STAGES, stage)));
        changes
    }

    fn fields(&self) -> Vec<Change> {
        let limits = &self.limits;
        let text = |number: Option<u32>| number.map(|number| number.to_string());
        let replaced = [
            ("/name", self.name.clone()),
            ("/description", self.description.clone()),
            (
                "/throttle/rateLimit",
                limits.rate.map(|rate| rate.to_string()),
            ),
            ("/throttle/burstLimit", text(limits.burst)),
            ("/quota/limit", limits.quota.map(|limit| limit.to_string())),
            (
                "/quota/period",
                limits.period.map(|period| period.name().to_owned()),
            ),
            ("/quota/offset", text(limits.offset)),
        ];
        let replaced = replaced
            .into_iter()
            .filter_map(|(path, value)| Some(Change::replace(path, value?)));
        let removed = [("/throttle", self.no_throttle), ("/quota", self.no_quota)];
        let removed = removed
            .into_iter()
            .filter(|(_, remove)| *remove)
            .map(|(path, _)| Change::remove(path));
        replaced.chain(removed).collect()
    }

    fn method_throttles(&self) -> impl Iterator<Item = Change> {
        let set = self.limits.method_throttle.iter().flat_map(set_throttle);
        let removed = self.no_method_throttle.iter();
        set.chain(removed.map(|method| Change::remove(method.patch_path())))
    }

    fn open_methods(&self) -> impl Iterator<Item = Change> {
        let path = |stage: &StageId| format!("/tollgate/methods/{stage}");
        let listed = by_stage(&self.open_method).into_iter();
        let listed =
            listed.map(move |(stage, methods)| Change::replace(path(stage), json!(methods)));
        let all = self.open_all_methods.iter();
        listed.chain(all.map(move |stage| Change::remove(path(stage))))
    }
}

fn set_throttle(throttle: &MethodThrottle) -> impl Iterator<Item = Change> + use<> {
    let path = throttle.method.patch_path();
    let rate = Change::replace(format!("{path}/rateLimit"), throttle.rate);
    let burst = throttle.burst;
    let burst = burst.map(|burst| Change::replace(format!("{path}/burstLimit"), burst));
    std::iter::once(rate).chain(burst)
}
