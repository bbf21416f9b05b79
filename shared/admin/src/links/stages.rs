//! One plan per API stage: no two plans of a key may cover the same stage.

use std::collections::HashSet;

use tollgate_core::id::{PlanId, StageId};
use tollgate_core::plan::ApiStage;

use crate::{Admin, Error};
use tollgate_dynamo::item::ItemKey;
use tollgate_dynamo::item::key::KeyRecord;
use tollgate_dynamo::item::plan::PlanRecord;

/// The first of `others` that covers a stage of `plan`, and that stage. The plan itself does not count.
pub(crate) fn shared_stage<'a>(
    plan: &PlanRecord,
    others: impl IntoIterator<Item = &'a PlanRecord>,
) -> Option<(&'a PlanId, StageId)> {
    let stages: HashSet<_> = plan.limits.stages.iter().map(ApiStage::id).collect();
    let others = others.into_iter().filter(|other| other.id != plan.id);
    let mut theirs = others.flat_map(|other| {
        let stages = other.limits.stages.iter();
        stages.map(|stage| (&other.id, stage.id()))
    });
    theirs.find(|(_, stage)| stages.contains(stage))
}

impl Admin {
    /// Checks that no other plan of the key covers a stage of `plan`. The plan that the key leaves for it does not count.
    pub(crate) async fn check_stages(
        &self,
        key: &KeyRecord,
        plan: &PlanRecord,
        leaves: Option<&PlanId>,
    ) -> Result<(), Error> {
        let others = key.plans.iter().filter(|id| Some(*id) != leaves);
        let others: Vec<_> = others.map(ItemKey::plan).collect();
        let mut others: Vec<PlanRecord> = self.read_many(&others).await?;
        others.retain(|other| !other.deleted);
        match shared_stage(plan, &others) {
            None => Ok(()),
            Some((other, stage)) => Err(Error::StageTaken {
                key: key.id.clone(),
                plan: other.clone(),
                stage,
            }),
        }
    }
}
