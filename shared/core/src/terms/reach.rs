//! Which methods a key may call of a stage, as a list: for authorizers whose answers API Gateway caches.

use std::collections::BTreeSet;

use super::Terms;
use crate::plan::ApiStage;
use crate::template::{self, MethodTemplate};

/// What a key may call of a stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// All of it.
    All,
    /// These methods, each with a decoded path; [`ANY`](template::ANY) is every method. A method that is open by a template with
    /// a `{name}` is not among them: a list of paths cannot say that.
    Only(BTreeSet<(String, String)>),
}

type Methods = BTreeSet<MethodTemplate>;

impl Terms<'_> {
    /// What the key may call of a stage.
    pub fn reach(&self, stage: &ApiStage) -> Reach {
        let nothing = Reach::Only(BTreeSet::new());
        let Some(lists) = self.lists(stage) else {
            return nothing;
        };
        let closed = self.closed_methods(stage);
        match (lists.is_empty(), closed.is_empty()) {
            (true, true) => Reach::All,
            // A list of paths cannot say "all but these".
            (true, false) => nothing,
            (false, _) => Reach::Only(listed(&lists, &closed)),
        }
    }

    /// The lists of open methods, all of which must have a method for it to be open; `None` if the key may not call the stage.
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

/// The methods of `lists` that all of them open and nothing closes.
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
