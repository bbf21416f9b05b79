//! Lists of methods: the open ones of a plan's stages, and those that a key is restricted to.

use std::collections::{BTreeMap, BTreeSet};

use tollgate_core::id::{InvalidStageId, StageId};
use tollgate_core::plan::Plan;
use tollgate_core::template::{InvalidTemplate, MethodTemplate};
use tollgate_core::terms::Restriction;

use super::Location;

/// Methods that one list can have.
const MAX_METHODS: usize = 100;

/// A list of methods, `/path/METHOD`, for each API stage, `apiId:stage`.
pub type MethodLists = BTreeMap<String, Vec<String>>;

/// A list of methods that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMethods {
    /// Too many for one list.
    #[error("{location}: expected at most {max} methods, got {got}")]
    TooMany {
        /// The list.
        location: Location,
        /// Methods that it can have.
        max: usize,
        /// Methods that it has.
        got: usize,
    },
    /// A text that is no method, or one that no request can mean.
    #[error("{location}: {source}")]
    Template {
        /// The list, or the throttle.
        location: Location,
        /// What is wrong with it.
        source: InvalidTemplate,
    },
    /// A list with the entry for every method: such a list restricts nothing.
    #[error("{location}: expected single methods, got the template for every method")]
    Every {
        /// The list.
        location: Location,
    },
    /// A restriction to nothing.
    #[error("a restriction names one stage at least")]
    EmptyRestriction,
    /// A restriction to a stage that cannot be one.
    #[error("the restriction: {source}, got {got:?}")]
    Stage {
        /// The text.
        got: String,
        /// What is wrong with it.
        source: InvalidStageId,
    },
}

/// What a key is restricted to.
///
/// # Errors
/// [`InvalidMethods`].
pub fn restriction(stages: &MethodLists) -> Result<Restriction, InvalidMethods> {
    if stages.is_empty() {
        return Err(InvalidMethods::EmptyRestriction);
    }
    let lists = stages.iter().map(|(stage, methods)| {
        let id: StageId = stage.parse().map_err(|source| InvalidMethods::Stage {
            got: stage.clone(),
            source,
        })?;
        let location = Location::Restriction {
            stage: stage.clone(),
        };
        Ok((id, templates(&location, methods)?))
    });
    lists.collect()
}

/// The methods of a list.
pub(super) fn templates(
    location: &Location,
    methods: &[String],
) -> Result<BTreeSet<MethodTemplate>, InvalidMethods> {
    if methods.len() > MAX_METHODS {
        return Err(InvalidMethods::TooMany {
            location: location.clone(),
            max: MAX_METHODS,
            got: methods.len(),
        });
    }
    let templates = methods.iter().map(|method| {
        let template = template(location, method)?;
        if !template.has_one_bucket() {
            let location = location.clone();
            return Err(InvalidMethods::Every { location });
        }
        Ok(template)
    });
    templates.collect()
}

/// A method that requests can mean.
pub(super) fn template(
    location: &Location,
    method: &str,
) -> Result<MethodTemplate, InvalidMethods> {
    let template = method.parse().and_then(MethodTemplate::meant);
    template.map_err(|source| InvalidMethods::Template {
        location: location.clone(),
        source,
    })
}

/// Methods as callers write them.
pub fn texts(methods: &BTreeSet<MethodTemplate>) -> Vec<String> {
    methods.iter().map(ToString::to_string).collect()
}

/// The open methods of a plan, for each stage that does not open all.
pub fn open_lists(limits: &Plan) -> MethodLists {
    let lists = limits.stages.iter().filter_map(|stage| {
        let methods = stage.methods.as_ref()?;
        Some((stage.id().to_string(), texts(methods)))
    });
    lists.collect()
}
