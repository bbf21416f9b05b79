//! Estimates how much memory cached records take.

use tollgate_core::template::MethodTemplate;
use tollgate_dynamo::item::key::KeyRecord;
use tollgate_dynamo::item::plan::PlanRecord;

use crate::account::Account;
use crate::cache::Weigh;

impl Weigh for KeyRecord {
    fn bytes(&self) -> usize {
        let texts = [&self.name, &self.description, &self.customer_id];
        let texts = texts.into_iter().flatten().map(|id| id.as_str().len());
        let restriction = self.restriction.iter().flatten();
        let restriction =
            restriction.map(|(stage, methods)| stage.as_str().len() + of_methods(methods));
        let overrides = self.overrides.values().flat_map(|it| &it.methods);
        let overrides =
            overrides.map(|(stage, methods)| stage.as_str().len() + of_methods(methods.keys()));
        let plans = self
            .plans
            .iter()
            .chain(&self.retired_plans)
            .map(|id| id.as_str().len());
        texts.chain(restriction).chain(overrides).chain(plans).sum()
    }
}

impl Weigh for PlanRecord {
    fn bytes(&self) -> usize {
        let texts = [&self.description, &self.product_code];
        let texts = texts.into_iter().flatten().map(|id| id.as_str().len());
        let tags = self.tags.iter().map(|(key, value)| key.len() + value.len());
        let stages = self.limits.stages.iter().map(|stage| {
            let open = stage.methods.iter().flatten();
            stage.api_id.len()
                + stage.stage.as_str().len()
                + 100
                + of_methods(open.chain(stage.throttle.keys()))
        });
        texts.chain(tags).chain(stages).sum::<usize>() + self.name.len()
    }
}

/// The size of templates, including their entries in a map.
fn of_methods<'a>(methods: impl IntoIterator<Item = &'a MethodTemplate>) -> usize {
    let bytes = |method: &MethodTemplate| method.path().len() + method.method().len() + 100;
    methods.into_iter().map(bytes).sum()
}

impl Weigh for Account {
    fn bytes(&self) -> usize {
        // A meter takes about 1 KB; only its buckets can make it larger.
        let meters = self.meters.values();
        let meters = meters.map(|meter| 1_000 + meter.meter.value.buckets.len() * 100);
        self.record.value.bytes() + meters.sum::<usize>()
    }
}
