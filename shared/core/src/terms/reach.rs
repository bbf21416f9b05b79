//! Lists the methods of a stage that a key may call. Authorizers need the list because API Gateway caches their policies.

use std::collections::BTreeSet;

use super::Terms;
use crate::plan::ApiStage;
use crate::template::{self, MethodTemplate};

/// The methods of a stage that a key may call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// All methods of the stage.
    All,
    /// These methods, each with a decoded path; [`ANY`](template::ANY) stands for every method. Methods opened by a template
    /// with a `{name}` are left out, because a list of paths cannot express them.
    Only(BTreeSet<(String, String)>),
}

type Methods = BTreeSet<MethodTemplate>;

impl Terms<'_> {
    /// The methods of the stage that the key may call.
    pub fn reach(&self, stage: &ApiStage) -> Reach {
        let nothing = Reach::Only(BTreeSet::new());
        let Some(lists) = self.lists(stage) else {
            return nothing;
        };
        let closed = self.closed_methods(stage);
        match (lists.is_empty(), closed.is_empty()) {
            (true, true) => Reach::All,
            // A list of paths cannot express "all except these".
            (true, false) => nothing,
            (false, _) => Reach::Only(listed(&lists, &closed)),
        }
    }

    /// The lists of open methods; a method is open only if every list has it. `None` if the key may not call the stage.
    fn lists<'a>(&'a self, stage: &'a ApiStage) -> Option<Vec<&'a Methods>> {
        let by_plan = stage.methods.as_ref();
        let by_key = match self.restriction {
            Some(restriction) => Some(restriction.get(&stage.id())?),
            None => None,
        };
        let by_key = by_key.filter(|methods| !methods.is_empty());
        Some(by_plan.into_iter().chain(by_key).collect())
    }

    /// The methods whose throttles admit nothing.
    fn closed_methods<'a>(&'a self, stage: &'a ApiStage) -> Vec<&'a MethodTemplate> {
        let own = self.overrides.and_then(|own| own.methods.get(&stage.id()));
        let throttles = stage.throttle.iter().chain(own.into_iter().flatten());
        let closed = throttles.filter(|(_, throttle)| throttle.is_closed());
        closed.map(|(template, _)| template).collect()
    }
}

/// The methods that every one of `lists` opens and that no throttle closes.
fn listed(lists: &[&Methods], closed: &[&MethodTemplate]) -> BTreeSet<(String, String)> {
    let covers = |template: &MethodTemplate, method: &str, path: &str| {
        template.fit(method, template::segments(path)).is_some()
    };
    let is_open = |method: &str, path: &str| {
        let open = |list: &&Methods| list.iter().any(|template| covers(template, method, path));
        lists.iter().all(open) && !closed.iter().any(|template| covers(template, method, path))
    };
    let templates = lists.iter().copied().flatten();
    let paths = templates.filter_map(MethodTemplate::only_path);
    let methods =
        paths.flat_map(|path| template::METHODS.iter().map(move |method| (*method, path)));
    methods
        .filter(|(method, path)| is_open(method, path))
        .map(|(method, path)| (method.to_owned(), path.to_owned()))
        .collect()
}
